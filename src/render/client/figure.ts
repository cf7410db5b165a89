// How the page writes a figure of each unit. It rounds for reading only: sorting, filtering and the front use the value itself.
import type { PageColumn, Value } from './data.ts';

const digits: Readonly<Record<NonNullable<PageColumn['unit']>, (value: number) => string>> = {
  GiB: (value) => fixed(value, 2),
  MiB: (value) => fixed(value, 2),
  tokens: (value) => fixed(value, 0),
  count: (value) => fixed(value, Number.isInteger(value) ? 0 : 2),
  'USD/h': (value) => fixed(value, 2),
  'USD/M': (value) => fixed(value, Math.abs(value) < 1 ? 3 : 2),
  'tokens/s': (value) => fixed(value, Math.abs(value) < 100 ? 1 : 0),
  s: (value) => String(Number(value.toPrecision(3))),
  '%': (value) => fixed(value, 2),
};

/** The text of a cell; empty where there is no value. */
export function cellText(column: PageColumn, row: number): string {
  return valueText(column, column.values[row] ?? null);
}

export function valueText(column: PageColumn, value: Value): string {
  if (value === null) return '';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value === 'string') return value;
  return figureText(column, value / column.scale);
}

/** `figure` in the column's unit. */
export function figureText(column: PageColumn, figure: number): string {
  if (column.unit) return digits[column.unit](figure);
  return Number.isInteger(figure) ? fixed(figure, 0) : String(Number(figure.toFixed(3)));
}

/** "price (USD/h, estimate)". */
export function columnName(column: PageColumn): string {
  const notes = columnNotes(column);
  return notes === '' ? column.title : `${column.title} (${notes})`;
}

/** Unit and confidence, without what the title says itself. */
export function columnNotes({ title, unit, estimate }: PageColumn): string {
  const told = unit === null || unit === 'count' || title.toLowerCase().includes(unit);
  return [told ? '' : unit, estimate ? 'estimate' : ''].filter(Boolean).join(', ');
}

export function thousands(value: number): string {
  return fixed(value, 0);
}

/** Intl is ten times slower, and ten thousand rows have a quarter of a million figures. */
function fixed(value: number, places: number): string {
  const [whole = '', rest] = value.toFixed(places).split('.');
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return rest === undefined ? grouped : `${grouped}.${rest}`;
}
