// One value of a comparison as a person reads it, by its column's unit.
import { thousands } from '../numbers.ts';
import type { CompareColumn, CompareRow } from '../plan/compare/output.ts';
import { GiB } from '../units.ts';
import { visible } from './text.ts';

export function cellText({ key, unit }: Pick<CompareColumn, 'key' | 'unit'>, value: unknown): string {
  if (value === null || value === undefined) return '-';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (typeof value !== 'number') return visible(String(value));
  switch (unit) {
    case 'GiB':
      return threeDigits(value / GiB);
    case '%':
      return `${(value * 100).toFixed(1)}%`;
    case 'USD/h':
    case 'USD/M':
      return value > 0 && value < 0.1 ? value.toPrecision(2) : value.toFixed(2);
    case 's':
      return secondsText(value);
    case 'tokens':
    case 'count':
    case 'tokens/s':
      return countText(value);
    default:
      return /[bB]ytes/.test(key) ? thousands(Math.round(value)) : String(value);
  }
}

function threeDigits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

function countText(value: number): string {
  if (!Number.isInteger(value)) return value >= 100 ? countText(Math.round(value)) : threeDigits(value);
  if (value < 10_000) return thousands(value);
  if (value < 1e6) return `${(value / 1e3).toFixed(value < 1e5 ? 1 : 0)}k`;
  return `${(value / 1e6).toFixed(value < 1e7 ? 2 : 1)}M`;
}

function secondsText(value: number): string {
  if (value < 0.001) return `${(value * 1e6).toFixed(0)} us`;
  if (value < 1) return `${threeDigits(value * 1e3)} ms`;
  return value < 120 ? `${threeDigits(value)} s` : `${threeDigits(value / 60)} min`;
}

/** Value of a dotted path in a row. */
export function valueAt(row: object, key: string): unknown {
  return key.split('.').reduce<unknown>((into, name) => {
    if (typeof into !== 'object' || into === null || !Object.hasOwn(into, name)) return null;
    return (into as Record<string, unknown>)[name];
  }, row);
}

/** Why a row does not fit, with the engine's own words where it has said something. */
export function reasonText({ verdict: { reason, refusal } }: Pick<CompareRow, 'verdict'>): string | null {
  return reason && refusal ? `${reason}: ${refusal}` : reason;
}
