// One row of a comparison while it is being worked on: its values in the order of the columns, which is small enough to keep a million
// of them and quick to sort, filter and send between threads; and the row as the answer has it, nested by the columns' keys.
import { columns } from './columns.ts';
import type { CompareRow } from './output.ts';

export type Cell = string | number | boolean | null;
export type Cells = readonly Cell[];

const places = new Map(columns.map(({ key }, at) => [key, at]));

/** Position of a column's value in the cells of a row. */
export function placeOf(key: string): number {
  const at = places.get(key);
  if (at === undefined) throw new Error(`no column ${key}`);
  return at;
}

export function cellOf(cells: Cells, key: string): Cell {
  return cells[placeOf(key)]!;
}

/** The row of the answer: `kvCache.tokens` becomes row.kvCache.tokens, the names that `plan` has. */
export function rowOf(cells: Cells): CompareRow {
  const row: Record<string, unknown> = {};
  columns.forEach(({ key }, at) => {
    const path = key.split('.');
    let into = row;
    for (const name of path.slice(0, -1)) {
      into[name] ??= {};
      into = into[name] as Record<string, unknown>;
    }
    into[path.at(-1)!] = cells[at]!;
  });
  return row as unknown as CompareRow;
}

/** The cells of a row of the answer. */
export function cellsIn(row: CompareRow): Cells {
  return columns.map(({ key }) => {
    let value: unknown = row;
    for (const name of key.split('.')) value = (value as Record<string, unknown> | null | undefined)?.[name];
    return (value ?? null) as Cell;
  });
}
