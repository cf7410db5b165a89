// A comparison as its page wants it: one list of values per column, a name and a state per row, the axes to start with. Text has its
// control and bidirectional characters made visible here, once, so that nothing later can forget it.
import type { CompareColumn, CompareOutput, CompareRow } from '../plan/compare/output.ts';
import { GiB, MiB } from '../units.ts';
import type { PageColumn, PageData, RowState, Value } from './client/data.ts';
import { reasonText } from './compare-cells.ts';
import { visible } from './text.ts';

/** A column with at most so many values is filtered by choosing among them. */
const mostChoices = 40;

/** What the table shows at first, of what is known and not the same in every row; the rest is a click away. */
const firstShown = new Set([
  ...['model', 'gpu', 'gpus', 'engine', 'quantization', 'kvCacheDtype', 'fits', 'verdict.reason', 'pareto'],
  ...['parallel.tp', 'parallel.pp', 'parallel.dp', 'parallel.ep', 'workload.context', 'workload.concurrency'],
  ...['weights.loadedBytes', 'kvCache.bytes', 'kvCache.tokens', 'workload.maxConcurrencyAtContext'],
  ...['verdict.headroomBytes', 'price.perHour', 'price.perMillionOutputTokens', 'speed.outputTokensPerSecond'],
  ...['speed.decodeTokensPerSecond', 'speed.prefillTokensPerSecond', 'speed.decodeBound', 'quality.relativeLoss'],
]);
const alwaysShown = new Set(['model', 'gpu', 'gpus', 'engine', 'quantization', 'fits']);

const firstX = ['price.perHour', 'price.perMillionOutputTokens', 'gpus'];
const firstY = ['workload.maxConcurrencyAtContext', 'kvCache.maxConcurrency', 'kvCache.tokens'];

/** `wanted`: keys of the columns that the table shows at first. */
export function pageData(output: CompareOutput, wanted?: readonly string[]): PageData {
  const { columns: asked, rows, pareto } = output.result;
  const columns = asked.map((column) => pageColumn(column, rows, wanted));
  const onFront = new Set(pareto?.rows);
  const known = columns.some(({ key }) => key === 'pareto');
  if (pareto && !known) {
    const values = rows.map((_, i) => onFront.has(i));
    const description = `No other row is better in all of ${pareto.columns.join(', ')}.`;
    columns.push({ ...plain('pareto', 'on the front', description), kind: 'choice', values });
  }
  return {
    title: titleOf(output),
    columns,
    names: namesOf(rows),
    states: rows.map(stateOf),
    reasons: rows.map((row) => text(reasonText(row))),
    axes: axesOf(columns, pareto?.columns ?? []),
  };
}

/** "llama-3.1-70b, qwen2.5-72b on rtx4090, l40s", or "12 models on 30 kinds of GPU". */
function titleOf({ result: { rows } }: CompareOutput): string {
  return `${several(
    rows.map(({ model }) => model),
    'models',
  )} on ${several(
    rows.map(({ gpu }) => gpu),
    'GPUs',
  )}`;
}

function several(names: readonly string[], what: string): string {
  const distinct = [...new Set(names)];
  if (distinct.length === 0) return `no ${what}`;
  return distinct.length <= 4 ? distinct.map(visible).join(', ') : `${distinct.length} ${what}`;
}

/** "llama-3.1-70b on 4x l40s, vllm@0.21, fp8, tp4", and what else tells rows apart. */
function namesOf(rows: readonly CompareRow[]): string[] {
  const varying = [cacheOf, loadOf].filter((read) => new Set(rows.map(read)).size > 1);
  return rows.map((row) => {
    const place = `${row.gpus > 1 ? `${row.gpus}x ` : ''}${row.gpu}`;
    const parts = [`${row.model} on ${place}`, row.engine, row.quantization, layoutOf(row)];
    return visible([...parts, ...varying.map((read) => read(row))].filter(Boolean).join(', '));
  });
}

/** "tp4 pp2" */
function layoutOf({ parallel }: CompareRow): string {
  const sizes = Object.entries((parallel ?? {}) as Record<string, unknown>);
  return sizes.flatMap(([way, size]) => (typeof size === 'number' && size > 1 ? [`${way}${size}`] : [])).join(' ');
}

function cacheOf({ kvCacheDtype }: CompareRow): string {
  return typeof kvCacheDtype === 'string' ? `KV ${kvCacheDtype}` : '';
}

/** "8192 x 16": tokens of a sequence, sequences. */
function loadOf({ workload }: CompareRow): string {
  const [context, concurrency] = [own(workload, 'context'), own(workload, 'concurrency')];
  return [context, concurrency].filter((size) => typeof size === 'number').join(' x ');
}

function stateOf({ verdict, workload }: CompareRow): RowState {
  if (!verdict.fits) return 'no';
  return own(workload, 'fits') === false ? 'starts' : 'fits';
}

function pageColumn(column: CompareColumn, rows: readonly CompareRow[], wanted?: readonly string[]): PageColumn {
  const { key, title, unit, better, estimate, description } = column;
  const path = key.split('.');
  const values = rows.map((row) => toValue(path.reduce<unknown>((at, part) => own(at, part), row)));
  const present = values.filter((value) => value !== null);
  const figures = present.length > 0 ? present.every((value) => typeof value === 'number') : unit !== null;
  const few = new Set(present).size <= mostChoices;
  return {
    ...plain(key, title, description),
    unit,
    better,
    estimate,
    kind: figures ? 'number' : few ? 'choice' : 'text',
    scale: scaleOf(column),
    shown: wanted ? wanted.includes(key) : isShown(key, present, rows.length),
    values,
  };
}

/** Bytes are shown in the unit, shares as percent; other figures are in their unit already. */
function scaleOf({ key, unit }: CompareColumn): number {
  if (unit === '%') return /percent$/i.test(key) ? 1 : 0.01;
  if (!/bytes$/i.test(key)) return 1;
  return unit === 'GiB' ? GiB : unit === 'MiB' ? MiB : 1;
}

function isShown(key: string, present: readonly Value[], rows: number): boolean {
  if (alwaysShown.has(key)) return true;
  const varies = present.length < rows || new Set(present).size > 1 || rows === 1;
  return firstShown.has(key) && present.length > 0 && varies;
}

function plain(key: string, title: string, description: string): PageColumn {
  return {
    key: visible(key),
    title: visible(title),
    unit: null,
    better: null,
    estimate: false,
    description: visible(description),
    kind: 'text',
    scale: 1,
    shown: true,
    values: [],
  };
}

function own(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key)
    ? (value as Record<string, unknown>)[key]
    : null;
}

function toValue(value: unknown): Value {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (typeof value === 'boolean') return value;
  return text(value);
}

function text(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (typeof value === 'string') return visible(value);
  return visible(Array.isArray(value) ? value.map(String).join(', ') : JSON.stringify(value));
}

/** What --pareto named, else the price against the sequences, else the first two columns of which one knows what is better. */
function axesOf(columns: readonly PageColumn[], asked: readonly string[]): PageData['axes'] {
  const at = (key: string) => columns.findIndex((column) => column.key === key);
  const drawable = (i: number) =>
    columns[i]?.kind === 'number' && columns[i].values.some((value) => typeof value === 'number');
  const named = asked.map(at).filter(drawable);
  const judged = columns.map((_, i) => i).filter((i) => drawable(i) && columns[i]!.better !== null);
  const any = columns.map((_, i) => i).filter(drawable);
  const x = [named[0] ?? -1, ...firstX.map(at), ...judged, ...any].find(drawable);
  if (x === undefined) return null;
  const y = [named[1] ?? -1, ...firstY.map(at), ...judged, ...any].find((i) => i !== x && drawable(i));
  return y === undefined ? null : { x, y };
}
