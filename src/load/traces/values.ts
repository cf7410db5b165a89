// Reads the values of a row: token counts and times, from text (CSV) or JSON. A value that cannot be meant makes the row bad.
import { thousands } from '../../numbers.ts';
import { maxTokensOfRow } from '../../sim/workload/token-space.ts';
import { printable } from '../names.ts';
import { RowProblem } from './report.ts';

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
/** Times beyond this (30,000 years in seconds) are no times. */
const maxSeconds = 1e12;

/** A whole number of tokens from 0 to 2^24. */
export function tokenCount(value: unknown, name: string): number {
  const number = numberOf(value, name);
  if (!Number.isInteger(number)) throw bad(name, value, 'not a whole number');
  if (number < 0) throw bad(name, value, 'negative');
  if (number > maxTokensOfRow) throw bad(name, value, `above ${thousands(maxTokensOfRow)}, longer than any context`);
  return number;
}

/** A prompt has at least one token; no server takes an empty one. */
export function promptTokens(value: unknown, name: string): number {
  const tokens = tokenCount(value, name);
  if (tokens === 0) throw bad(name, value, 'an empty prompt');
  return tokens;
}

/** A time or a duration in the trace's own unit; `scale` makes seconds of it. */
export function seconds(value: unknown, name: string, scale = 1): number {
  const number = numberOf(value, name);
  const time = number * scale;
  if (Math.abs(time) > maxSeconds) throw bad(name, value, 'no plausible time');
  return scale === 1 ? time : Math.round(time * 1e9) / 1e9;
}

export function smallInteger(value: unknown, name: string, { min, max }: { min: number; max: number }): number {
  const number = numberOf(value, name);
  if (!Number.isInteger(number) || number < min || number > max) {
    throw bad(name, value, `not a whole number from ${min} to ${max}`);
  }
  return number;
}

export function numberOf(value: unknown, name: string): number {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw bad(name, value, 'not a number');
    return value;
  }
  if (value === undefined || value === null || value === '') throw new RowProblem('VRAM606', `${name} is missing`);
  const text = typeof value === 'string' ? value.trim() : '';
  if (!decimal.test(text)) throw bad(name, value, 'not a number');
  const number = Number(text);
  if (!Number.isFinite(number)) throw bad(name, value, 'not a number');
  return number;
}

function bad(name: string, value: unknown, why: string): RowProblem {
  const shown = typeof value === 'object' ? 'a list or an object' : printable(String(value), 40);
  return new RowProblem('VRAM606', `${name} is ${shown} (${why})`);
}
