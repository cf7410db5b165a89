// The answer of `vram compare` for a person, in 80 columns: what all rows have in common above, one line a row below, as many columns as
// the width takes, and what does not fit with its reason. It formats and computes nothing.
import { thousands } from '../numbers.ts';
import { columns as allColumns } from '../plan/compare/columns.ts';
import type { CompareOutput, CompareRow } from '../plan/compare/output.ts';
import { usualContext } from '../plan/speed/shape.ts';
import { cellText, reasonText, valueAt } from './compare-cells.ts';
import { diffParts } from './compare-diff.ts';
import { columnsFor, naming, rowsGrid } from './compare-grid.ts';
import { type Paint, paintFor } from './paint.ts';
import type { TableStyle } from './table.ts';
import { visible, wrap } from './text.ts';

export interface CompareTableOptions {
  style: TableStyle;
  /** Keys of the columns asked for; else as many as the width takes. */
  columns?: readonly string[] | undefined;
  explain: boolean;
}

/** Rows that do not fit, at most, with their reasons. */
const mostRefused = 10;
/** Rows that fit, at most, where --top does not say. */
const usualRows = 25;

export function compareTable(output: CompareOutput, { style, columns, explain }: CompareTableOptions): string {
  const paint = paintFor(style.colour);
  const width = style.columns;
  const { rows, diff, groups } = output.result;
  const fitting = rows.filter((row) => row.fits);
  // Of a single row the model and the GPU head its line, the rest stands above it.
  const shared = naming.filter((key) =>
    rows.length > 1 ? isShared(rows, key) : rows.length === 1 && !/^(model|gpu)$/.test(key),
  );
  const parts = [
    heading(output, shared, paint, Math.min(width, 80)),
    ...(groups
      ? groupBlocks(output, shared, columns, paint, width)
      : [fittingBlock(output, fitting, shared, columns, paint, width)]),
    diff ? diffParts(output, paint, Math.min(width, 80)) : '',
    groups ? '' : refusedBlock(rows, shared, paint, Math.min(width, 80)),
    explain ? explained(paint, Math.min(width, 80)) : legend(output, shared, columns, width),
  ];
  return `${parts.filter(Boolean).join('\n\n')}\n`;
}

function isShared(rows: readonly CompareRow[], key: string): boolean {
  const first = valueAt(rows[0]!, key);
  return rows.every((row) => valueAt(row, key) === first);
}

function heading({ result }: CompareOutput, shared: readonly string[], paint: Paint, width: number): string {
  const { combinations, rows } = result;
  const counted = `${thousands(combinations.planned)} ${combinations.planned === 1 ? 'combination' : 'combinations'}, ${thousands(combinations.fitting)} fit`;
  const said = rows.length > 0 ? shared.map((key) => sharedText(key, valueAt(rows[0]!, key))).filter(Boolean) : [];
  return [paint.bold(counted), said.length > 0 ? wrap(`all: ${said.join(', ')}`, width) : '']
    .filter(Boolean)
    .join('\n');
}

function sharedText(key: string, value: unknown): string {
  const text = cellText({ key, unit: 'count' }, value);
  switch (key) {
    case 'gpus':
      return value === 1 ? 'one GPU' : `${text} GPUs`;
    case 'parallel.tp':
    case 'parallel.pp':
    case 'parallel.dp':
      return value === 1 ? '' : `${key.slice(9)} ${text}`;
    case 'workload.context':
      return value === null ? '' : `${text} tokens a sequence`;
    case 'workload.concurrency':
      return value === null ? '' : `${text} at once`;
    case 'kvCacheDtype':
      return `KV cache ${text}`;
    case 'quantization':
      return value === 'none' ? 'weights not quantized' : `weights ${text}`;
    default:
      return text;
  }
}

function fittingBlock(
  output: CompareOutput,
  fitting: readonly CompareRow[],
  shared: readonly string[],
  asked: readonly string[] | undefined,
  paint: Paint,
  width: number,
): string {
  if (fitting.length === 0) {
    if (output.result.combinations.fitting === 0) return paint.bad('NOTHING FITS');
    // Rows that fit were left out; those that do not and were asked for stand below.
    return output.result.rows.length > 0 ? '' : paint.warn('NO ROW MEETS WHAT IS ASKED FOR (--filter, --pareto)');
  }
  const shown = fitting.slice(0, usualRows);
  const more = fitting.length - shown.length;
  const title = output.result.pareto
    ? `Pareto front: ${output.result.pareto.columns.map((key) => allColumns.find((one) => one.key === key)!.title).join(', ')}`
    : more > 0
      ? `Fits, the first ${shown.length} of ${thousands(fitting.length)}`
      : 'Fits';
  const rest =
    more > 0 ? `\n${paint.dim(`${thousands(more)} more: --filter, --sort, --top, --format csv or html`)}` : '';
  return `${paint.good(title)}\n${rowsGrid(shown, shared, asked, width)}${rest}`;
}

function groupBlocks(
  { result }: CompareOutput,
  shared: readonly string[],
  asked: readonly string[] | undefined,
  paint: Paint,
  width: number,
): string[] {
  const { groups, rows } = result;
  return groups!.values.map(({ value, fitting, rows: own }) => {
    const fits = own.map((at) => rows[at]!).filter((row) => row.fits);
    const reason = own[0] === undefined ? null : reasonText(rows[own[0]]!);
    const why = fits.length > 0 || reason === null || reason === value ? '' : `: ${visible(reason)}`;
    const name = groupName(groups!.column, value);
    const rest = `  ${thousands(fitting)} fit${why}`;
    const line = `${paint.bold(name)}${rest}`;
    const title = name.length + rest.length <= width ? line : wrap(line, width, 2);
    if (fits.length === 0) return title;
    return `${title}\n${rowsGrid(fits, [...shared, groups!.column], asked, width)}`;
  });
}

/** A number alone says nothing. */
function groupName(key: string, value: unknown): string {
  const column = allColumns.find((one) => one.key === key)!;
  const text = cellText(column, value);
  return typeof value === 'string' ? text : `${column.title} ${text}`;
}

function refusedBlock(rows: readonly CompareRow[], shared: readonly string[], paint: Paint, width: number): string {
  const refused = rows.filter((row) => !row.fits);
  if (refused.length === 0) return '';
  const names = naming.filter((key) => !shared.includes(key) && !/workload|gpus/.test(key));
  const lines = refused.slice(0, mostRefused).map((row) => {
    const words = names.map((key) => nameText(key, valueAt(row, key))).filter(Boolean);
    return wrap(`${words.join(' ')}: ${visible(reasonText(row) ?? 'it does not fit')}`, width, 2);
  });
  const more = refused.length - lines.length;
  if (more > 0) lines.push(paint.dim(`${thousands(more)} more`));
  return `${paint.bad('Does not fit')}\n${lines.join('\n')}`;
}

function nameText(key: string, value: unknown): string {
  const text = cellText({ key, unit: 'count' }, value);
  return key.startsWith('parallel.') ? (value === 1 ? '' : `${key.slice(9)} ${text}`) : text;
}

/** What the short heads mean, of those that stand in the table. */
const heads: Readonly<Record<string, string>> = {
  'weights.loadedBytes': 'weights: GiB on the fullest GPU',
  'kvCache.bytes': 'KV: GiB on the tightest',
  'workload.maxConcurrencyAtContext': 'seqs: sequences at this context',
  'verdict.headroomBytes': 'room: GiB left beside them',
  'price.perMillionOutputTokens': '$/M: USD a million output tokens under this load (estimate)',
  'speed.decodeTokensPerSecond': 'dec/s: tokens a second while decoding (estimate by roofline)',
  'speed.prefillTokensPerSecond': 'pre/s: the same of prompts',
  'quality.relativeLoss': 'loss: published, against 16 bit',
};

function legend(
  { result }: CompareOutput,
  shared: readonly string[],
  asked: readonly string[] | undefined,
  width: number,
): string {
  const fitting = result.rows.filter((row) => row.fits).slice(0, usualRows);
  if (fitting.length === 0) return '';
  const keys = asked ?? columnsFor(fitting, shared, width);
  const said = keys.flatMap((key) => heads[key] ?? []);
  const estimates = keys.some((key) => allColumns.find((column) => column.key === key)!.estimate);
  if (estimates && fitting.some((row) => valueAt(row, 'workload.concurrency') === null))
    said.push(`no load is given, so for one sequence of ${thousands(usualContext)} tokens: --context, --concurrency`);
  return said.length === 0 ? '' : wrap(`${said.join('; ')}. More: --explain.`, Math.min(width, 80));
}

function explained(paint: Paint, width: number): string {
  const lines = allColumns.map(
    ({ key, title, description, estimate }) =>
      `${paint.bold(key)}\n  ${wrap(`${title}: ${description}${estimate ? ' (estimate)' : ''}`, width - 2, 2)}`,
  );
  return lines.join('\n');
}
