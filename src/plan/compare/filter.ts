// `--filter "<expr>"`: conditions over the columns of a row, such as fits and cost<2 and gpu~="h100.*". The language is filtrex'; what a
// row does not have (no price known, no speed) makes a comparison with it false instead of an error.
import { compileExpression } from 'filtrex';
import { inputError } from '../../diagnostics.ts';
import { type Cells, placeOf } from './cells.ts';
import { columns } from './columns.ts';
import { columnCalled, columnNamed } from './names.ts';

export type RowFilter = (cells: Cells) => boolean;

/** Throws InputError VRAM702 (cannot be read) or VRAM701 (no such column). */
export function parseFilter(text: string, option = '--filter'): RowFilter {
  const value = rowExpression(text, option);
  const answer = (cells: Cells): boolean => {
    const said = value(cells);
    if (typeof said !== 'boolean') throw noAnswer(text, said, option);
    return said;
  };
  // Words compared with numbers are found before anything is planned; behind an `and`, when a row gets so far.
  for (const known of [false, true]) answer(sample(known));
  return answer;
}

/** A row of nothing, or one with everything. */
function sample(known: boolean): Cells {
  return columns.map(({ kind }) => (known ? something[kind] : null));
}

function noAnswer(text: string, said: unknown, option: string): Error {
  const why =
    said instanceof Error
      ? firstLine(said)
      : `its answer is ${typeof said === 'string' ? 'a text' : 'a number'}, not yes or no`;
  return inputError('VRAM717', `cannot use the filter ${shown(text)}: ${why}`, {
    hint: `compare numbers with numbers and texts with texts, e.g. ${option} "tokens > 1000 and gpu == 'l40s'"`,
    path: option,
  });
}

/** Enough of it to recognize it by. */
function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

/** `best`: the row that names with the prefix `best.` are read from. */
export type RowExpression = (cells: Cells, best?: Cells) => unknown;

const bestPrefix = /^best\./;

/** The same for any value; with `constants`, further names, `best.` is known too. */
export function rowExpression(
  text: string,
  option: string,
  constants?: Readonly<Record<string, number>>,
): RowExpression {
  const words = plain(text);
  checkNames(words, option, constants);
  const rows: { cells: Cells; best: Cells | undefined } = { cells: [], best: undefined };
  let run: (row: object) => unknown;
  try {
    run = compileExpression(words, {
      constants: { true: true, false: false, ...constants },
      customProp: (name: string) =>
        bestPrefix.test(name)
          ? columnValue(rows.best ?? rows.cells, name.replace(bestPrefix, ''))
          : columnValue(rows.cells, name),
    });
  } catch (error) {
    throw inputError('VRAM702', `cannot read the filter ${shown(text)}: ${firstLine(error)}`, {
      hint: `e.g. ${option} 'fits and cost < 2 and gpu in ("l40s", "h100-sxm")'`,
      path: option,
    });
  }
  return (cells, best) => {
    rows.cells = cells;
    rows.best = best;
    return run(rows);
  };
}

/** What people write out of habit: && || ! = and words in single quotes. */
function plain(text: string): string {
  return text
    .replace(/'([^'"]*)'/g, '"$1"')
    .split(/("[^"]*")/)
    .map((part) =>
      part.startsWith('"')
        ? part
        : part
            .replaceAll('&&', ' and ')
            .replaceAll('||', ' or ')
            .replace(/!(?![=])/g, ' not ')
            .replace(/(?<![=<>!~])=(?![=~])/g, '=='),
    )
    .join('');
}

const operators = new Set(['and', 'or', 'not', 'in', 'mod', 'if', 'then', 'else', 'of', 'true', 'false']);
const functions = new Set(['abs', 'ceil', 'floor', 'log', 'log2', 'log10', 'max', 'min', 'round', 'sqrt', 'exists']);

function checkNames(words: string, option: string, constants: Readonly<Record<string, number>> | undefined): void {
  const unquoted = words.replace(/"[^"]*"/g, '');
  for (const [name] of unquoted.matchAll(/[A-Za-z_][\w.]*/g)) {
    if (operators.has(name) || functions.has(name)) continue;
    if (!constants) columnNamed(name, option);
    else if (!Object.hasOwn(constants, name)) columnNamed(name.replace(bestPrefix, ''), option);
  }
}

function columnValue(cells: Cells, name: string): unknown {
  const column = columnCalled(name);
  const value = column ? cells[placeOf(column.key)] : null;
  return value ?? nothing[column?.kind ?? 'number'];
}

/** What is not known: a number that every comparison is false with, an empty text, or false. */
const nothing = { number: Number.NaN, text: '', flag: false } as const;
const something = { number: 1, text: 'text', flag: true } as const;

function firstLine(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).split('\n');
  return lines.slice(0, 3).join(' ').replace(/\s+/g, ' ').slice(0, 160);
}
