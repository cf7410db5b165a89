// Traces from texts: what the tests of readers share.
import { fileURLToPath } from 'node:url';
import { type InputError, isInputError } from '../../../src/diagnostics.ts';
import { readTrace, type Trace, type TraceOptions } from '../../../src/load/traces/read.ts';
import type { TokenRuns } from '../../../src/sim/types.ts';

export const fixture = (name: string): string => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

export function readText(
  text: string | Buffer,
  options?: TraceOptions,
  pieceBytes = Number.POSITIVE_INFINITY,
): Promise<Trace> {
  return readTrace('-', { stdinChunks: pieces(Buffer.from(text as string), pieceBytes) }, options);
}

export async function* pieces(bytes: Buffer, size: number): AsyncIterable<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, Math.min(bytes.length, at + size));
}

/** The refusal of a trace, or a failure when it is taken. */
export async function refusal(reading: Promise<unknown>): Promise<InputError> {
  try {
    await reading;
  } catch (error) {
    if (isInputError(error)) return error;
    throw error;
  }
  throw new Error('the trace was not refused');
}

export const lines = (...rows: (string | object)[]): string =>
  `${rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n')}\n`;

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function expandRuns(runs: TokenRuns): number[] {
  const tokens: number[] = [];
  for (let at = 0; at < runs.length; at += 2) for (let id = runs[at]!; id < runs[at + 1]!; id++) tokens.push(id);
  return tokens;
}
