// One simulated run for a person: what was simulated, where the memory went, how it moved over time, what the prefix cache gave,
// latency and throughput, and what another run with one change gave. 80 columns, readable without colour; it computes nothing.
import { thousands } from '../numbers.ts';
import type { SimulateInputEcho, SimulateOutput, SingleRun } from '../plan/simulate-output.ts';
import { barCells } from './bar.ts';
import { grid } from './grid.ts';
import { type Paint, paintFor } from './paint.ts';
import {
  atFoundRate,
  draftText,
  estimateText,
  exactLine,
  idText,
  latencyHeads,
  latencyNames,
  latencyTexts,
  maxRateText,
  modelText,
  offloadText,
  placeText,
  poolText,
  preemptionText,
  prefixText,
  rate,
  requestsText,
  scaleText,
  seconds,
  shareGlyphs,
  shareIds,
  shareNames,
  sharePercent,
  sharingText,
  span,
  throughputText,
  usedText,
  workloadText,
} from './simulate-text.ts';
import { sparkline } from './spark.ts';
import type { TableStyle } from './table.ts';
import { visible, wrap } from './text.ts';

export function simulateTable(output: SimulateOutput<SingleRun>, style: TableStyle): string {
  const { result } = output;
  const input = atFoundRate(output);
  const paint = paintFor(style.colour);
  const width = Math.min(style.columns, 80);
  // Figures of a rate at which nothing holds are no answer.
  if (result.maxRate?.scale === null)
    return `${[simulateHeading(input, paint, width), maxRate(result, paint, width)].join('\n\n')}\n`;
  const parts = [
    simulateHeading(input, paint, width),
    outcome(result, paint, width),
    ...(result.steps > 0
      ? [
          memory(result, input, paint, width),
          overTime(result, paint, width),
          facts(result, paint, width),
          latency(result, paint, width),
        ]
      : []),
    maxRate(result, paint, width),
    advice(result, paint, width),
    input.poolSource === 'run-config' ? exactLine([result]) : '',
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

export function simulateHeading(input: SimulateInputEcho, paint: Paint, width: number): string {
  return [
    paint.bold(wrap(modelText(input), width)),
    wrap(`on ${placeText(input)}`, width),
    wrap(workloadText(input), width),
  ].join('\n');
}

function outcome(run: SingleRun, paint: Paint, width: number): string {
  const { total, finished, rejected, cut, rejections } = run.requests;
  const who = `${visible(run.policy)}${run.eviction === 'lru' ? '' : `, eviction ${visible(run.eviction)}`}`;
  const text = `${thousands(finished)} of ${requestsText(total)} in ${span(run.makespanSeconds)}, ${thousands(run.steps)} steps (${who})`;
  const label =
    finished === 0 ? paint.bad('NOTHING SERVED') : rejected > 0 ? paint.warn('SERVED') : paint.good('SERVED');
  const indent = finished === 0 ? 16 : 8;
  const lines = [`${label}  ${wrap(text, width - indent, 2)}`];
  for (const { reason, count, first } of rejections) {
    const named = count === 1 ? idText(first) : `first ${idText(first)}`;
    lines.push(wrap(`${thousands(count)} rejected: ${visible(reason)} (${named})`, width - 2, 2));
  }
  if (cut > 0) {
    const answers = cut === 1 ? '1 answer is' : `${thousands(cut)} answers are`;
    lines.push(wrap(`${answers} cut short: prompt and answer reach max_model_len`, width - 2, 2));
  }
  return lines.join('\n');
}

function memory(run: SingleRun, input: SimulateInputEcho, paint: Paint, width: number): string {
  const { shares } = run.memory;
  const shown = shareIds.filter((id) => shares[id] >= 0.0005 || id === 'tokenStates' || id === 'free');
  const bar = barCells(
    shown.map((id) => ({ id, bytes: shares[id] })),
    shown.reduce((sum, id) => sum + shares[id], 0),
    width - 2,
  )
    .map(({ id, cells }) => paint.share(id, shareGlyphs[id].repeat(cells)))
    .join('');
  const rows = shown.map((id) => [`${paint.share(id, shareGlyphs[id])} ${shareNames[id]}`, sharePercent(shares, id)]);
  const table = grid(['', ''], ['left', 'right'], rows).replace(/^\n/, '');
  return `${paint.bold('KV cache')}  ${wrap(poolText(run, input), width - 10, 2)}\n ${bar}\n${table}\n${paint.dim(wrap('shares of the token slots, averaged over time', width))}`;
}

function overTime(run: SingleRun, paint: Paint, width: number): string {
  const { timeline, pool } = run;
  if (timeline.length < 2) return '';
  const columns = width - 38;
  const usable = Math.max(1, pool.numBlocks - 1, ...timeline.map((point) => point.usedBlocks));
  const running = Math.max(1, ...timeline.map((point) => point.running));
  const waiting = Math.max(...timeline.map((point) => point.waiting + point.swapped));
  const preempted = Math.max(...timeline.map((point) => point.preemptions));
  const row = (name: string, line: string, note: string, colour = (text: string) => text): string =>
    ` ${name.padEnd(12)}${note === '' ? colour(line.trimEnd()) : `${colour(line.padEnd(columns))}  ${paint.dim(note)}`}`;
  const rows = [
    row(
      'blocks used',
      sparkline(timeline, (point) => point.usedBlocks, usable, columns),
      usedText(run),
      (text) => paint.share('tokenStates', text),
    ),
    row(
      'running',
      sparkline(timeline, (point) => point.running, running, columns),
      `at most ${thousands(running)}`,
    ),
  ];
  if (waiting > 0) {
    const line = sparkline(timeline, (point) => point.waiting + point.swapped, waiting, columns);
    rows.push(row('waiting', line, `at most ${thousands(waiting)}`));
  }
  if (preempted > 0) {
    const line = sparkline(timeline, (point) => point.preemptions, preempted, columns);
    rows.push(row('preempted', line, '', paint.warn));
  }
  return `${paint.bold('Over time')}\n${rows.join('\n')}`;
}

function facts(run: SingleRun, paint: Paint, width: number): string {
  const sharing = sharingText(run);
  const offload = offloadText(run);
  const drafts = draftText(run);
  const entries: (readonly [string, string])[] = [
    ['Prefix cache', prefixText(run)],
    ...(offload ? [['Offloaded', offload] as const] : []),
    ...(drafts ? [['Speculation', drafts] as const] : []),
    ['Preemptions', preemptionText(run)],
    ...(sharing ? [['Sharing', sharing] as const] : []),
    ['Throughput', `${throughputText(run)}, ${rate(run.throughput.meanBatch)} sequences a step`],
  ];
  return entries
    .map(
      ([name, text]) =>
        `${paint.bold(name.padEnd(12))}  ${wrap(text, width - 14).replaceAll('\n', `\n${' '.repeat(14)}`)}`,
    )
    .join('\n');
}

/** Below so many columns one percentile of each latency is left out. */
const narrow = 52;

function latency(run: SingleRun, paint: Paint, width: number): string {
  const fits = (_: string, i: number): boolean => width >= narrow || latencyHeads[i] !== 'p90';
  const rows = latencyNames.map(([key, name]) => [name, ...latencyTexts(run, key).filter(fits)]);
  const head = ['', ...latencyHeads.filter(fits)];
  const table = grid(
    head,
    head.map((_, i) => (i === 0 ? 'left' : 'right')),
    rows,
  );
  return `${paint.bold('Latency')}  ${paint.dim(wrap(estimateText(run), width - 9, 2))}\n${table}`;
}

function maxRate({ maxRate: found }: SingleRun, paint: Paint, width: number): string {
  if (!found) return '';
  const text = maxRateText(found);
  const rows = found.trials.map(({ scale, requestsPerSecond, holds, values }) => [
    scaleText(scale),
    `${rate(requestsPerSecond)}/s`,
    ...values.map(seconds),
    holds ? paint.good('holds') : paint.bad('fails'),
  ]);
  const head = ['rate', 'requests', ...found.slo.map((objective) => visible(objective.replace(/[<=].*$/, ''))), ''];
  const align = head.map((_, i) => (i === head.length - 1 ? ('left' as const) : ('right' as const)));
  return `${paint.bold('Highest rate')}  ${wrap(text, width - 14, 2)}\n${grid(head, align, rows)}`;
}

function advice({ advice: entries }: SingleRun, paint: Paint, width: number): string {
  if (entries.length === 0) return '';
  const lines = entries.map(
    ({ change, effect }, i) =>
      `${i + 1}. ${wrap(visible(change), width - 3, 3)}\n   ${paint.dim(wrap(visible(effect), width - 3, 3))}`,
  );
  return `${paint.bold('Try')} (each one simulated)\n${lines.join('\n')}`;
}
