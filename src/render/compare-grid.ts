// The grid of a comparison's table: which columns stand in it, how names are cut so that figures have room, and how more columns than the
// width takes are laid out below one another. It knows nothing of headings, groups or differences.
import { columns as allColumns } from '../plan/compare/columns.ts';
import type { CompareRow } from '../plan/compare/output.ts';
import { cellText, valueAt } from './compare-cells.ts';
import { grid } from './grid.ts';

/** What names a row, in reading order. */
export const naming = [
  'model',
  'gpu',
  'gpus',
  'engine',
  'quantization',
  'kvCacheDtype',
  'parallel.tp',
  'parallel.pp',
  'parallel.dp',
  'workload.context',
  'workload.concurrency',
];
/** What is told of a row, the most wanted first. */
const telling = [
  'kvCache.tokens',
  'workload.maxConcurrencyAtContext',
  'price.perMillionOutputTokens',
  'speed.decodeTokensPerSecond',
  'weights.loadedBytes',
  'price.perHour',
  'kvCache.bytes',
  'speed.prefillTokensPerSecond',
  'quality.relativeLoss',
  'verdict.headroomBytes',
  'speed.decodeBound',
];
export function rowsGrid(
  rows: readonly CompareRow[],
  shared: readonly string[],
  asked: readonly string[] | undefined,
  width: number,
): string {
  const keys = asked ?? columnsFor(rows, shared, width);
  const limits = asked ? new Map<string, number>() : nameLimits(rows, namesFor(rows, shared), width);
  const shown = keys.map((key) => allColumns.find((column) => column.key === key)!);
  const cells = rows.map((row) =>
    shown.map((column) => shortened(cellText(column, valueAt(row, column.key)), limits.get(column.key))),
  );
  const align = shown.map(({ unit, key }) =>
    unit === null && !/Bytes/.test(key) ? ('left' as const) : ('right' as const),
  );
  return blocks({ heads: shown.map(({ short }) => short), align, cells }, width);
}

interface Grid {
  heads: string[];
  align: ('left' | 'right')[];
  cells: string[][];
}

/** As many columns side by side as the width takes, the others below; numbers then say which row is which. */
function blocks({ heads, align, cells }: Grid, width: number): string {
  const widths = heads.map((head, at) => Math.max(head.length, ...cells.map((row) => row[at]!.length)) + 2);
  if (widths.reduce((sum, one) => sum + one, -2) <= width) return grid(heads, align, cells);
  const parts: number[][] = [];
  const number = String(cells.length).length + 2;
  let left = 0;
  widths.forEach((one, at) => {
    if (parts.length === 0 || one - 2 > left) {
      parts.push([]);
      left = width - number;
    }
    parts.at(-1)!.push(at);
    left -= one;
  });
  const pick = <Value>(list: readonly Value[], part: readonly number[]): Value[] => part.map((at) => list[at]!);
  return parts
    .map((part) =>
      grid(
        ['#', ...pick(heads, part)],
        ['right', ...pick(align, part)],
        cells.map((row, at) => [String(at + 1), ...pick(row, part)]),
      ),
    )
    .join('\n\n');
}

function namesFor(rows: readonly CompareRow[], shared: readonly string[]): string[] {
  return naming.filter((key) => !shared.includes(key) && !(key === 'gpus' && redundant(rows)));
}

/** Names longer than this are cut where they would leave no room for figures. */
const shortestName = 16;
const roomForFigures = 24;

function nameLimits(rows: readonly CompareRow[], names: readonly string[], width: number): Map<string, number> {
  const limits = new Map<string, number>();
  const sizes = names.map((key) => ({ key, size: widthOf(rows, key) })).sort((a, b) => b.size - a.size);
  let over = sizes.reduce((sum, { size }) => sum + size + 2, 0) - (width - roomForFigures);
  for (const { key, size } of sizes) {
    if (over <= 0 || size <= shortestName) break;
    const limit = Math.max(shortestName, size - over);
    limits.set(key, limit);
    over -= size - limit;
  }
  return limits;
}

/** The middle goes: makers are told by the beginning, variants by the end. */
function shortened(text: string, limit = Number.POSITIVE_INFINITY): string {
  if (text.length <= limit) return text;
  const end = Math.floor((limit - 3) / 2);
  return `${text.slice(0, limit - 3 - end)}...${text.slice(text.length - end)}`;
}

/** Naming columns that differ, then as many of the others as there is room for. */
export function columnsFor(rows: readonly CompareRow[], shared: readonly string[], width: number): string[] {
  const names = namesFor(rows, shared);
  const limits = nameLimits(rows, names, width);
  let left = width - names.reduce((sum, key) => sum + Math.min(widthOf(rows, key), limits.get(key) ?? 1e9) + 2, 0);
  const told = new Set<string>();
  for (const key of telling) {
    if (rows.every((row) => valueAt(row, key) === null) || isIdle(rows, key)) continue;
    const more = widthOf(rows, key) + 2;
    if (more > left + 2) continue;
    told.add(key);
    left -= more;
  }
  // Beside one another they stand in the order of all columns.
  return [...names, ...allColumns.map(({ key }) => key).filter((key) => told.has(key))];
}

/** No loss is told where nothing is quantized. */
function isIdle(rows: readonly CompareRow[], key: string): boolean {
  return key === 'quality.relativeLoss' && rows.every((row) => valueAt(row, 'quality.relation') === 'none');
}

/** The layout says how many GPUs there are. */
function redundant(rows: readonly CompareRow[]): boolean {
  return rows.every((row) => row.gpus === valueAt(row, 'parallel.tp'));
}

function widthOf(rows: readonly CompareRow[], key: string): number {
  const column = allColumns.find((one) => one.key === key)!;
  return Math.max(column.short.length, ...rows.map((row) => cellText(column, valueAt(row, key)).length));
}
