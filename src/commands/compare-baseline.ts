// The baseline of `--diff FILE`: an earlier answer of `vram compare --format json`, checked before anything is planned.
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { readText } from '../load/context.ts';
import { printable } from '../load/names.ts';
import type { Cell } from '../plan/compare/cells.ts';
import { columns } from '../plan/compare/columns.ts';
import type { BaselineRow } from '../plan/compare/diff.ts';

const option = '--diff';

/** Bytes of a baseline at most: a row takes about 1,100 as JSON. */
const mostBytes = 256 * 2 ** 20;

export function readBaseline(file: string, io: Io): BaselineRow[] {
  const text = readText(file, { env: io.env }, option, mostBytes);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw notOurs(file, (error as Error).message);
  }
  const rows = (value as { command?: unknown; result?: { rows?: unknown } } | null)?.result?.rows;
  if ((value as { command?: unknown } | null)?.command !== 'compare' || !Array.isArray(rows))
    throw notOurs(file, 'it has no rows of a comparison');
  const version = (value as { schemaVersion?: unknown }).schemaVersion;
  if (version !== 1)
    throw notOurs(file, `its schemaVersion is ${JSON.stringify(version) ?? 'missing'}, this release knows 1`);
  return rows.map((row, at) => baselineRow(row, file, at));
}

function baselineRow(row: unknown, file: string, at: number): BaselineRow {
  const values = new Map<string, Cell>();
  for (const { key } of columns) {
    const value = key
      .split('.')
      .reduce<unknown>((into, name) => (isObject(into) && Object.hasOwn(into, name) ? into[name] : undefined), row);
    if (value === null || ['string', 'number', 'boolean'].includes(typeof value)) values.set(key, value as Cell);
  }
  if (typeof values.get('id') !== 'string') throw notOurs(file, `row ${at + 1} has no id`);
  return values;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function notOurs(file: string, why: string): Error {
  return inputError('VRAM711', `${printable(file)} is no baseline: ${printable(why)}`, {
    hint: 'make one with vram compare ... --format json -o baseline.json',
    path: option,
  });
}
