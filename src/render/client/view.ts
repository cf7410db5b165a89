// Which rows the page shows, and in which order: words over all columns, conditions and choices per column, one column to sort by.
// Pure, and quick enough for ten thousand rows at every key stroke.
import type { PageColumn, PageData, Value } from './data.ts';
import { cellText, figureText } from './figure.ts';

export interface Wish {
  words: string;
  fitsOnly: boolean;
  /** Column key -> what was typed, for figures and texts. */
  conditions: Readonly<Record<string, string>>;
  /** Column key -> texts of the values chosen. */
  choices: Readonly<Record<string, readonly string[]>>;
}

export interface Sorting {
  key: string;
  descending: boolean;
}

export const noWish: Wish = { words: '', fitsOnly: false, conditions: {}, choices: {} };

type Test = (row: number) => boolean;

/** Rows that pass every filter, in the order given. A condition that cannot be read filters nothing. */
export function filterRows(data: PageData, wish: Wish): number[] {
  const tests = [
    ...(wish.fitsOnly ? [(row: number) => data.states[row] === 'fits'] : []),
    ...data.columns.flatMap((column) => columnTests(column, wish)),
    ...wordTests(data, wish.words),
  ];
  const rows: number[] = [];
  for (let row = 0; row < data.names.length; row++) {
    if (tests.every((test) => test(row))) rows.push(row);
  }
  return rows;
}

/** A copy in order; rows without a value stand last whichever way, equal ones stay as they were. */
export function sortRows(data: PageData, rows: readonly number[], sorting: Sorting | null): readonly number[] {
  const column = data.columns.find(({ key }) => key === sorting?.key);
  if (!column || !sorting) return rows;
  const { values } = column;
  const sign = sorting.descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [left, right] = [values[a] ?? null, values[b] ?? null];
    if (left === null || right === null) return Number(left === null) - Number(right === null);
    return sign * order(left, right);
  });
}

/** How many filters are on, for the headline of the panel. */
export function filterCount(wish: Wish): number {
  const typed = Object.values(wish.conditions).filter((text) => text.trim() !== '').length;
  return typed + Object.values(wish.choices).filter((chosen) => chosen.length > 0).length;
}

/**
 * A condition on figures: `>= 4`, `< 2.5`, `2..8`, `1,2,4` (any of them), `> 1 <= 4` (both). Undefined where it is not one. A bare
 * or `=` number means the figure as it is shown.
 */
export function readCondition(column: PageColumn, text: string): ((value: number) => boolean) | undefined {
  const any = text.split(',').map((part) => readAll(column, part.trim()));
  if (any.some((test) => test === undefined)) return undefined;
  return (value) => any.some((test) => test?.(value));
}

function readAll(column: PageColumn, text: string): ((value: number) => boolean) | undefined {
  const number = '(-?(?:\\d+\\.?\\d*|\\.\\d+)(?:e[+-]?\\d+)?)';
  const range = new RegExp(`^${number}\\s*\\.\\.\\s*${number}$`, 'i').exec(text.replace(/\.\.(?=[-\d.])/, ' .. '));
  if (range) {
    const [low, high] = [Number(range[1]), Number(range[2])];
    return (value) => value >= low && value <= high;
  }
  const one = new RegExp(`\\s*(?:&|and\\b)?\\s*(>=|<=|!=|==|=|>|<|≥|≤|≠)?\\s*${number}`, 'iy');
  const tests: ((value: number) => boolean)[] = [];
  while (one.lastIndex < text.length) {
    const found = one.exec(text);
    if (!found || (tests.length > 0 && !found[1])) return undefined;
    tests.push(comparison(column, found[1] ?? '=', Number(found[2])));
  }
  return tests.length > 0 ? (value) => tests.every((test) => test(value)) : undefined;
}

function comparison(column: PageColumn, operator: string, bound: number): (value: number) => boolean {
  const shown = figureText(column, bound);
  switch (operator) {
    case '>':
      return (value) => value > bound;
    case '<':
      return (value) => value < bound;
    case '>=':
    case '≥':
      return (value) => value >= bound;
    case '<=':
    case '≤':
      return (value) => value <= bound;
    case '!=':
    case '≠':
      return (value) => value !== bound && figureText(column, value) !== shown;
    default:
      return (value) => value === bound || figureText(column, value) === shown;
  }
}

function columnTests(column: PageColumn, wish: Wish): Test[] {
  const chosen = wish.choices[column.key] ?? [];
  const typed = (wish.conditions[column.key] ?? '').trim();
  const tests: Test[] = [];
  if (chosen.length > 0) {
    const set = new Set(chosen);
    tests.push((row) => set.has(cellText(column, row)));
  }
  if (typed !== '' && column.kind === 'number') {
    const condition = readCondition(column, typed);
    if (condition) {
      tests.push((row) => {
        const value = column.values[row];
        return typeof value === 'number' && condition(value / column.scale);
      });
    }
  } else if (typed !== '') {
    const part = typed.toLowerCase();
    tests.push((row) => cellText(column, row).toLowerCase().includes(part));
  }
  return tests;
}

function wordTests(data: PageData, text: string): Test[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  const texts = rowTexts(data);
  return words.map((word) => (row) => texts[row]!.includes(word));
}

const made = new WeakMap<PageData, string[]>();

/** All that a row shows, in lower case; made when words are first looked for. */
function rowTexts(data: PageData): string[] {
  let texts = made.get(data);
  if (!texts) {
    texts = data.names.map((name, row) => {
      const cells = data.columns.map((column) => cellText(column, row));
      return [name, ...cells, data.reasons[row] ?? ''].join('\n').toLowerCase();
    });
    made.set(data, texts);
  }
  return texts;
}

const collator = new Intl.Collator('en', { numeric: true });

function order(a: NonNullable<Value>, b: NonNullable<Value>): number {
  if (typeof a === 'string' && typeof b === 'string') return collator.compare(a, b);
  if (typeof a === typeof b) return Number(a) - Number(b);
  return typeof a === 'string' ? 1 : -1;
}
