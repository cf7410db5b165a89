// A simulation as one HTML file that works offline and runs no script: memory over time, shares, what the requests saw, ways to do
// better. Every word from outside is escaped.
import { thousands } from '../numbers.ts';
import {
  type CurveResult,
  type NamedRun,
  runsOf,
  type SimulateInputEcho,
  type SimulateOutput,
} from '../plan/simulate-output.ts';
import { htmlPage, items, section } from './html.ts';
import { timelineSvg } from './simulate-chart.ts';
import { capacityText, curveGrid, namesOf } from './simulate-runs.ts';
import {
  atFoundRate,
  estimateText,
  idText,
  latencyHeads,
  latencyNames,
  latencyTexts,
  maxRateText,
  modelText,
  placeText,
  poolText,
  preemptionText,
  prefixText,
  servedText,
  shareIds,
  shareNames,
  sharePercent,
  sharingText,
  span,
  throughputText,
  titleOf,
  usedText,
  workloadText,
} from './simulate-text.ts';
import { escapeXml } from './text.ts';

export async function simulateHtml(output: SimulateOutput): Promise<string> {
  const { input, result, diagnostics } = output;
  const title = escapeXml(titleOf(output));
  return htmlPage(title, [
    `<h1>${title}</h1>`,
    ...('curve' in result ? [curve(result)] : [about(atFoundRate(output)), ...(await foundParts(output))]),
    section(
      'Notes',
      items(diagnostics.map(({ severity, code, message }) => escapeXml(`${severity} ${code}: ${message}`))),
    ),
    `<p class="dim">vram ${escapeXml(output.tool.version)}, seed ${input.seed}</p>`,
  ]);
}

/** The figures of the highest rate found; of none where none holds. */
async function foundParts(output: SimulateOutput): Promise<string[]> {
  const { result } = output;
  const search = 'maxRate' in result ? result.maxRate : undefined;
  const found = search ? [`<p>Highest rate: ${escapeXml(maxRateText(search))}</p>`] : [];
  return search?.scale === null ? found : [...found, ...(await runParts(output))];
}

function about(input: SimulateInputEcho): string {
  const lines = [modelText(input), `on ${placeText(input)}`, workloadText(input)];
  return `<p>${lines.map(escapeXml).join('<br>')}</p>`;
}

/** The chart alone, as a page: --timeline FILE.html. */
export async function timelineHtml(output: SimulateOutput): Promise<string> {
  const title = escapeXml(titleOf(output));
  return htmlPage(title, [`<h1>${title}</h1>`, await timelineSvg(runsOf(output.result)), chartNote]);
}

const chartNote = '<p class="dim">Above: shares of the pool’s token slots. Below: requests running and waiting.</p>';

async function runParts({ input, result }: SimulateOutput): Promise<string[]> {
  const runs = runsOf(result);
  const several = runs.length > 1;
  const names = several ? namesOf(runs) : [''];
  return [
    await timelineSvg(runs),
    chartNote,
    section('KV cache', figures(names, runs, memoryRows(input))),
    section('Requests', figures(names, runs, requestRows)),
    section('Latency', latency(names, runs)),
    ...('runs' in result
      ? [section('Not run', items(result.refused.map(({ policy, reason }) => escapeXml(`${policy}: ${reason}`))))]
      : []),
    'advice' in result
      ? section(
          'Try (each one simulated)',
          items(
            result.advice.map(
              ({ change, effect }) => `${escapeXml(change)}<br><span class="dim">${escapeXml(effect)}</span>`,
            ),
          ),
        )
      : '',
  ];
}

type Row = readonly [name: string, text: (run: NamedRun) => string];

function memoryRows(input: SimulateInputEcho): Row[] {
  return [
    ['pool', (run) => poolText(run, input)],
    ...shareIds.map((id): Row => [shareNames[id], ({ memory }) => sharePercent(memory.shares, id)]),
    ['blocks used', usedText],
  ];
}

const requestRows: readonly Row[] = [
  ['served', servedText],
  [
    'rejected',
    ({ requests }) =>
      requests.rejected === 0
        ? '0'
        : requests.rejections
            .map(({ count, reason, first }) => `${thousands(count)}: ${reason} (${idText(first)})`)
            .join('; '),
  ],
  ['makespan', ({ makespanSeconds, steps }) => `${span(makespanSeconds)}, ${thousands(steps)} steps`],
  ['prefix cache', prefixText],
  ['preemptions', preemptionText],
  ['sharing', (run) => sharingText(run) ?? 'none'],
  ['throughput', throughputText],
];

function figures(names: readonly string[], runs: readonly NamedRun[], rows: readonly Row[]): string {
  const head =
    runs.length > 1 ? `<tr><th></th>${names.map((name) => `<th>${escapeXml(name)}</th>`).join('')}</tr>` : '';
  const body = rows.map(
    ([name, text]) => `<tr><th>${name}</th>${runs.map((run) => `<td>${escapeXml(text(run))}</td>`).join('')}</tr>`,
  );
  return `<table>${head}${body.join('')}</table>`;
}

function latency(names: readonly string[], runs: readonly NamedRun[]): string {
  const head = ['', ...latencyHeads].map((text) => `<th class="n">${text}</th>`).join('');
  const rows = runs.flatMap((run, i) =>
    latencyNames.map(([key, name]) => {
      const cells = latencyTexts(run, key).map((text) => `<td class="n">${text}</td>`);
      return `<tr><th>${escapeXml([names[i], name].filter(Boolean).join(', '))}</th>${cells.join('')}</tr>`;
    }),
  );
  const notes = [...new Set(runs.map(estimateText))].map((text) => `<p class="dim">${escapeXml(text)}</p>`);
  return `<table><tr>${head}</tr>${rows.join('')}</table>${notes.join('')}`;
}

function curve(result: CurveResult): string {
  const { evictions, capacities, at } = curveGrid(result);
  const head = ['capacity', ...evictions].map((text) => `<th class="n">${escapeXml(text)}</th>`).join('');
  const rows = capacities.map((capacity) => {
    const cells = evictions.map((eviction) => at(eviction, capacity)?.blockHitRate.toFixed(4) ?? '');
    return `<tr><th class="n">${capacityText(capacity)}</th>${cells.map((text) => `<td class="n">${text}</td>`).join('')}</tr>`;
  });
  const note = `<p class="dim">${escapeXml(result.counting)}</p>`;
  return section('Block hit rate by capacity in blocks', `<table><tr>${head}</tr>${rows.join('')}</table>${note}`);
}
