// Several simulated runs side by side, and the hit-rate curve of a cache: one row a run, one table for memory and one for what
// the requests saw of it, so that 80 columns hold them. It computes nothing.
import { percent, thousands } from '../numbers.ts';
import {
  type CurveResult,
  differencesOf,
  distinctions,
  type NamedRun,
  type SeveralRuns,
  type SimulateOutput,
} from '../plan/simulate-output.ts';
import type { CurvePoint } from '../sim/result.ts';
import { grid } from './grid.ts';
import { type Paint, paintFor } from './paint.ts';
import { simulateHeading } from './simulate-table.ts';
import { estimateText, exactLine, rate, requestsText, seconds, tokens } from './simulate-text.ts';
import type { TableStyle } from './table.ts';
import { visible, wrap } from './text.ts';

export function runsTable({ input, result }: SimulateOutput<SeveralRuns>, style: TableStyle): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const { runs, refused } = result;
  if (input.poolSource === 'run-config') return configuredTable(runs, { paint, width });
  const names = rowNames(runs);
  const parts = [
    simulateHeading(input, paint, width),
    runs.length > 0 ? memoryTable(runs, names, { paint, width }) : '',
    runs.length > 0 ? requestTable(runs, names, { paint, width }) : '',
    ...estimateLines(runs, paint, width),
    refused.map((run) => refusedLine(run, width, paint)).join('\n'),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

/** Runs of a file, each with its own release and workload: what was counted, and whether that is what the file states. */
function configuredTable(runs: readonly NamedRun[], { paint, width }: Look): string {
  const rows = runs.map((run) => [
    runName(run),
    visible(String(run.settings.workload)),
    thousands(run.steps),
    ...(run.expected ? [differencesOf(run).length === 0 ? paint.good('exact') : paint.bad('differs')] : ['']),
  ]);
  const table = grid(['run', 'workload', 'steps', ''], ['left', 'left', 'right', 'left'], rows);
  const title = wrap(
    `${thousands(runs.length)} runs of vLLM's scheduler from a file, each on the release it names`,
    width,
  );
  return `${[paint.bold(title), table, exactLine(runs)].filter(Boolean).join('\n\n')}\n`;
}

/** id@release, as a file names a run; an id that ends with its release says it already. */
function runName({ settings: { run, engine } }: NamedRun): string {
  const id = visible(String(run));
  return id.endsWith(`@${engine}`) ? id : `${id}@${engine}`;
}

/** One name a run: what sets it apart, with the name of the setting where the value alone says nothing. */
export function namesOf(runs: readonly NamedRun[]): string[] {
  if (runs.every(({ settings }) => settings.run !== undefined)) return runs.map(runName);
  const { keys, values } = distinctions(runs);
  return values.map((row) =>
    visible(
      row.map((value, i) => (/^(policy|eviction|run)$/.test(keys[i]!) ? value : `${keys[i]} ${value}`)).join(', '),
    ),
  );
}

/** The values alone, under a head that names what they are of. */
function rowNames(runs: readonly NamedRun[]): { of: string; names: string[] } {
  const { keys, values } = distinctions(runs);
  return {
    of: keys.length === 1 && keys[0] === 'policy' ? '' : keys.join(', '),
    names: values.map((row) => visible(row.join(', '))),
  };
}

/** Figures to the right of names that are cut where the line would be too wide; the JSON has them whole. */
function namedGrid(head: readonly string[], rows: readonly (readonly string[])[], width: number): string {
  const right = head.slice(1).map(() => 'right' as const);
  const whole = grid(head, ['left', ...right], rows);
  const excess = Math.max(...whole.split('\n').map((line) => line.length)) - width;
  if (excess <= 0) return whole;
  const room = Math.max(8, Math.max(...[head, ...rows].map(([name]) => name!.length)) - excess);
  const cut = ([name, ...rest]: readonly string[]): string[] => [
    name!.length > room ? `${name!.slice(0, room - 1)}…` : name!,
    ...rest,
  ];
  return grid(cut(head), ['left', ...right], rows.map(cut));
}

interface Look {
  paint: Paint;
  width: number;
}

function memoryTable(
  runs: readonly NamedRun[],
  { of, names }: ReturnType<typeof rowNames>,
  { paint, width }: Look,
): string {
  const rows = runs.map(({ memory: { shares, meanUtilization }, pool }, i) => [
    names[i]!,
    thousands(pool.numBlocks),
    number(shares.tokenStates),
    number(shares.reserved),
    number(shares.internalFragmentation),
    number(shares.externalFragmentation),
    number(shares.free),
    number(meanUtilization),
  ]);
  const head = [of, 'blocks', 'tokens', 'reserved', 'int.', 'ext.', 'free', 'used %'];
  const table = namedGrid(head, rows, width);
  return `${paint.bold('KV cache')}  shares of the token slots over time in %: token states, reserved,\n  internal and external fragmentation, free or cached; blocks used\n${table}`;
}

function requestTable(
  runs: readonly NamedRun[],
  { of, names }: ReturnType<typeof rowNames>,
  { paint, width }: Look,
): string {
  const rejected = runs.some(({ requests }) => requests.rejected > 0);
  const rows = runs.map(({ latency, throughput, prefixCache, preemptions, requests }, i) => [
    names[i]!,
    ...(rejected ? [tokens(requests.rejected)] : []),
    number(prefixCache.hitRate),
    tokens(preemptions.recompute + preemptions.swap),
    seconds(latency.ttftSeconds.mean),
    seconds(latency.tpotSeconds.mean),
    seconds(latency.e2eSeconds.mean),
    rate(throughput.meanBatch),
    rate(throughput.requestsPerSecond),
  ]);
  const head = [of, ...(rejected ? ['rej.'] : []), 'hit %', 'pre.', 'TTFT', 'TPOT', 'e2e', 'batch', 'req/s'];
  const table = namedGrid(head, rows, width);
  const note = `tokens cached at admission, preemptions${rejected ? ', rejected' : ''}; mean latencies`;
  return `${paint.bold('Requests')}  ${note}\n${table}`;
}

function estimateLines(runs: readonly NamedRun[], paint: Paint, width: number): string[] {
  return [...new Set(runs.map(estimateText))].map((text) => paint.dim(wrap(`Times: ${text}`, width)));
}

function refusedLine(
  { policy, settings, reason }: SeveralRuns['refused'][number],
  width: number,
  paint: Paint,
): string {
  const name = visible([policy, ...Object.entries(settings).map(([key, value]) => `${key} ${value}`)].join(', '));
  return `${paint.bad('NOT RUN')}  ${wrap(`${name}: ${visible(reason)}`, width - 9, 2)}`;
}

function number(share: number): string {
  return (share * 100).toFixed(1);
}

/** Hit rates by capacity: capacities down, eviction orders across. */
export function curveTable({ input, result }: SimulateOutput<CurveResult>, style: TableStyle): string {
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  const { evictions, capacities, at } = curveGrid(result);
  const rows = capacities.map((capacity) => [
    capacityText(capacity),
    ...evictions.map((eviction) => {
      const point = at(eviction, capacity);
      return point ? point.blockHitRate.toFixed(4) : '';
    }),
  ]);
  const head = ['capacity', ...evictions.map(visible)];
  const table = grid(
    head,
    head.map(() => 'right' as const),
    rows,
  );
  const [first] = result.curve;
  const queried = first ? `${thousands(first.queriedBlocks)} blocks looked up. ` : '';
  const best = Math.max(0, ...result.curve.map(({ blockHitRate }) => blockHitRate));
  return `${[
    `${paint.bold(visible(input.workload.name))}: ${requestsText(input.workload.requests)}`,
    `${paint.bold('Block hit rate')} by capacity in blocks\n${table}`,
    paint.dim(wrap(`${queried}${result.counting} Best of these: ${percent(best)}.`, width)),
  ].join('\n\n')}\n`;
}

export function curveGrid({ curve }: CurveResult): {
  evictions: string[];
  capacities: (number | null)[];
  at: (eviction: string, capacity: number | null) => CurvePoint | undefined;
} {
  return {
    evictions: [...new Set(curve.map(({ eviction }) => eviction))],
    capacities: [...new Set(curve.map(({ capacityBlocks }) => capacityBlocks))],
    at: (eviction, capacity) => curve.find((point) => point.eviction === eviction && point.capacityBlocks === capacity),
  };
}

export function capacityText(capacity: number | null): string {
  return capacity === null ? 'unlimited' : thousands(capacity);
}
