// Several simulated models on one GPU for a person: what there was to share, which policy to take, every policy side by side, the
// models under the chosen one, and who held what over time. 80 columns, readable without colour; it computes nothing.
import { gib, thousands } from '../numbers.ts';
import type { SharedOutput, SharedPolicyResult } from '../plan/shared-output.ts';
import { variantName } from '../plan/sharing/variant.ts';
import { grid } from './grid.ts';
import { type Paint, paintFor } from './paint.ts';
import { type Column, meaningOf, shownColumns } from './shared-columns.ts';
import { modelSections, type NamedRow, runSections, type Section } from './shared-sections.ts';
import {
  chosenName,
  demandLine,
  estimateLines,
  nameText,
  poolLine,
  prose,
  refusedLines,
  sharedTitle,
} from './shared-text.ts';
import { sparkline } from './spark.ts';
import type { TableStyle } from './table.ts';
import { visible, wrap } from './text.ts';

interface Look {
  paint: Paint;
  width: number;
}

export function sharedTable(output: SharedOutput, style: TableStyle): string {
  const { result } = output;
  const look = { paint: paintFor(style.colour), width: Math.min(style.columns, 80) };
  const { paint, width } = look;
  const parts = [
    [
      paint.bold(prose(sharedTitle(output), width)),
      ...[poolLine(output), demandLine(output)].filter(Boolean).map((line) => prose(line, width)),
    ].join('\n'),
    answer(output, look),
    policyTables(output, look),
    modelTables(output, look),
    overTime(output, look),
    ...estimateLines(result.models).map((text) => paint.dim(wrap(`Times: ${text}`, width))),
    refusedLines(output)
      .map((line) => `${paint.bad('NOT RUN')}  ${prose(line, width - 9, 2)}`)
      .join('\n'),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function answer({ input, result }: SharedOutput, { paint, width }: Look): string {
  const lines = [];
  if (result.advice)
    lines.push(
      `${paint.good('TAKE')}  ${prose(`${variantName(result.advice, input.pool)}: ${result.advice.because}`, width - 6, 2)}`,
    );
  const { total, finished } = result.pool?.requests ?? { total: 0, finished: 0 };
  if (result.policies.length === 0 || finished === 0)
    lines.push(
      paint.bad('NOTHING SERVED') + (total === 0 && result.policies.length > 0 ? '  there are no requests' : ''),
    );
  for (const { id, requests } of result.models) {
    for (const { reason, count, first } of requests.rejections)
      lines.push(
        prose(`${nameText(id)}: ${thousands(count)} rejected: ${reason} (first ${nameText(first)})`, width, 2),
      );
  }
  return lines.join('\n');
}

function policyTables(output: SharedOutput, { paint, width }: Look): string {
  const several = output.result.policies.length > 1;
  const painted = (text: string, { row, chosen }: NamedRow<SharedPolicyResult>): string =>
    several && chosen ? paint.bold(text) : row.runs ? text : paint.dim(text);
  return runSections(output)
    .map((section) => explained(section, { paint, width, least: leastRun, painted }))
    .join('\n\n');
}

function modelTables(output: SharedOutput, { paint, width }: Look): string {
  return modelSections(output)
    .map((section) => explained(section, { paint, width }))
    .join('\n\n');
}

/** A table under its title, and what the columns that there was room for mean. */
function explained<Row>(section: Section<Row>, { paint, ...look }: NamedLook<Row> & { paint: Paint }): string {
  const { text, shown } = namedTable(section, look);
  const meaning = wrap(meaningOf({ ...section, columns: shown }), look.width);
  const note = section.note === '' ? '' : `\n${paint.dim(wrap(section.note, look.width))}`;
  return `${paint.bold(section.title)}\n${text}\n${paint.dim(meaning)}${note}`;
}

interface NamedLook<Row> {
  width: number;
  /** Names get so many columns before a spare one is given up. */
  least?: number;
  painted?: ((text: string, row: NamedRow<Row>) => string) | undefined;
}

/** Figures to the right of names; where a line would be too wide, spare columns go first, then names are cut. */
function namedTable<Row>(
  { columns, rows }: Section<Row>,
  { width, least = leastName, painted }: NamedLook<Row>,
): { text: string; shown: Column<Row>[] } {
  const shown = shownColumns(columns, rows);
  const longest = Math.max(...rows.map(({ name }) => name.length));
  for (;;) {
    const room = width - draw(shown, rows, 1).width + 1;
    const next = Math.min(...shown.map(({ spare }) => spare ?? Number.POSITIVE_INFINITY));
    if (room >= Math.min(longest, least) || next === Number.POSITIVE_INFINITY)
      return { text: draw(shown, rows, Math.max(shortestName, room), painted).text, shown };
    shown.splice(
      shown.findIndex(({ spare }) => spare === next),
      1,
    );
  }
}

/** By default, and for a run that is named by its policy and its loading behaviour; any name gets the last. */
const leastName = 14;
const leastRun = 26;
const shortestName = 8;

function draw<Row>(
  columns: readonly Column<Row>[],
  rows: readonly NamedRow<Row>[],
  room: number,
  painted = (text: string, _: NamedRow<Row>): string => text,
): { text: string; width: number } {
  const body = rows.map(({ name, row }) => [nameText(name, room), ...columns.map(({ text }) => text(row))]);
  const isFlat = columns.every(({ head: [top] }) => top === '');
  const head = isFlat
    ? ['', ...columns.map(({ head: [, bottom] }) => bottom)]
    : ['\n', ...columns.map(({ head: [top, bottom] }) => `${top}\n${bottom}`)];
  const lines = grid(head, ['left', ...columns.map(() => 'right' as const)], body).split('\n');
  const heads = lines.length - rows.length;
  return {
    width: Math.max(...lines.map((line) => line.length)),
    text: lines.map((line, i) => (i < heads ? line : painted(line, rows[i - heads]!))).join('\n'),
  };
}

/** So many models get a line of their own. */
const mostLines = 12;

function overTime(output: SharedOutput, { paint, width }: Look): string {
  const { result } = output;
  const { timeline, models } = result;
  if (timeline.length < 2 || models.length === 0) return '';
  const all = models
    .map(({ id, memoryBytes }, i) => ({ id, i, most: memoryBytes.peakMapped }))
    .sort((a, b) => b.most - a.most || a.i - b.i);
  const shown = all.slice(0, mostLines).sort((a, b) => a.i - b.i);
  const most = Math.max(...all.map((model) => model.most));
  const named = Math.min(18, Math.max(7, ...shown.map(({ id }) => [...visible(id)].length)));
  const columns = Math.max(10, width - named - 19);
  const row = (name: string, line: string, note: string, colour = (text: string): string => text): string =>
    ` ${nameText(name, named).padEnd(named)}  ${colour(line.padEnd(columns))}  ${paint.dim(note)}`;
  const lines = shown.map(({ id, i, most: top }) => {
    const line = sparkline(timeline, (point) => point.models[i]?.mapped ?? 0, most, columns);
    return row(id, line, `peak ${gib(top)}`, (text) => paint.share('tokenStates', text));
  });
  const waiting = (point: (typeof timeline)[number]): number => point.models.reduce((sum, m) => sum + m.waiting, 0);
  const queue = Math.max(...timeline.map(waiting));
  if (queue > 0)
    lines.push(row('waiting', sparkline(timeline, waiting, queue, columns), `at most ${thousands(queue)}`));
  const rest = all.length - shown.length;
  const left = rest > 0 ? `; ${rest} more hold ${gib(all[mostLines]!.most)} at most` : '';
  const note = `KV memory mapped under ${chosenName(output)}, full height ${gib(most)}${left}`;
  return `${paint.bold('Over time')}  ${wrap(note, width - 11, 2)}\n${lines.map((line) => line.trimEnd()).join('\n')}`;
}
