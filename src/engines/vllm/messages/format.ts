// Number formats of the engine's messages: printf-like placeholders in presets/engines/vllm/messages.yaml. {name:.4f} fixed
// decimals, {name:s} Python's str() of a value rounded to two decimals, {name:,} thousands separators, {name} as it is.
import { assert } from '../../../assert.ts';
import { GiB } from '../../../units.ts';

export type Values = Readonly<Record<string, number | string>>;

/** Fills a template; a name that the values lack is a fault of the program. */
export function fill(template: string, values: Values): string {
  return template.replace(/\{(\w+)(?::([^}]+))?\}/g, (_, name: string, format: string | undefined) => {
    const value = values[name];
    assert(value !== undefined, `message value ${name} is missing`);
    return typeof value === 'string' ? value : formatNumber(value, format);
  });
}

function formatNumber(value: number, format: string | undefined): string {
  if (format === undefined) return String(value);
  if (format === 's') return pythonRounded(value);
  if (format === ',') return thousands(value);
  const fixed = /^\.(\d)f$/.exec(format);
  assert(fixed, `unknown number format ${format}`);
  return value.toFixed(Number(fixed[1]));
}

/** str(round(value, 2)) in Python: at least one decimal, no trailing zeros. */
function pythonRounded(value: number): string {
  const rounded = Math.round(value * 100) / 100;
  return Number.isInteger(rounded) ? rounded.toFixed(1) : String(rounded);
}

function thousands(value: number): string {
  return Math.trunc(value)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}

export function gib(bytes: number): number {
  return bytes / GiB;
}
