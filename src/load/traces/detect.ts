// Which format a trace has: from its first bytes (JSON lines, JSON array, CSV) and from the columns or keys found, never from
// its name. What is no trace is named for what it is.
import { type InputError, inputError } from '../../diagnostics.ts';
import { nearestNames, printable } from '../names.ts';
import type { TraceFormat } from './format.ts';

type Container = 'csv' | 'jsonl' | 'json';

const beginnings: readonly (readonly [bytes: string, what: string, hint: string])[] = [
  ['\x1f\x8b', 'compressed with gzip', 'unpack it: gunzip -c FILE | vram simulate --workload -'],
  ['\x28\xb5\x2f\xfd', 'compressed with zstd', 'unpack it: zstd -dc FILE | vram simulate --workload -'],
  ['PK\x03\x04', 'a zip archive', 'unpack it first'],
  ['PAR1', 'a Parquet file', 'convert it to CSV or JSON lines'],
  ['version https://git-lfs', 'a Git LFS pointer', 'fetch the data with git lfs pull'],
  ['\xff\xfe', 'UTF-16 text', 'save it as UTF-8'],
  ['\xfe\xff', 'UTF-16 text', 'save it as UTF-8'],
  ['<', 'HTML or XML', 'this may be the web page around the file: take the raw file'],
];

/** JSON lines, a JSON array, or CSV; throws for an empty file and for what is recognized as something else. */
export function containerOf(head: Buffer, file: string, blankLines = 0): Container {
  const text = head.subarray(0, 4096).toString('latin1');
  const trimmed = text.replace(/^\xef\xbb\xbf/, '').trimStart();
  const path = printable(file);
  if (trimmed === '') {
    const what = blankLines > 0 ? 'holds nothing but blank lines' : 'is empty';
    throw inputError('VRAM601', `${path} ${what}`, { path, hint: 'a trace has one request a line' });
  }
  for (const [bytes, what, hint] of beginnings) {
    if (text.startsWith(bytes) || trimmed.startsWith(bytes)) {
      throw inputError('VRAM602', `${path} is ${what}, not a trace`, { path, hint });
    }
  }
  if (/\x00/.test(text)) throw inputError('VRAM602', `${path} is binary, not a trace`, { path, hint: knownFormats });
  return trimmed.startsWith('{') ? 'jsonl' : trimmed.startsWith('[') ? 'json' : 'csv';
}

/** The format whose names are all there; otherwise an error that says what the nearest one lacks. */
export function formatOf<Format extends TraceFormat>(
  formats: readonly Format[],
  found: readonly string[],
  file: string,
  line: number,
): Format {
  const present = keysOf(formats, found);
  const complete = formats.find((format) => missing(format, present).length === 0);
  if (complete) return complete;
  throw noFormat(formats, found, file, line);
}

export const knownFormats =
  'traces: Azure, BurstGPT, vidur and Prism CSV; Mooncake, Bailian, measured-run and vram JSON lines; ShareGPT JSON';

function noFormat(formats: readonly TraceFormat[], found: readonly string[], file: string, line: number): InputError {
  const present = keysOf(formats, found);
  const near = [...formats].sort(
    (a, b) => missing(a, present).length - missing(b, present).length || b.required.length - a.required.length,
  )[0]!;
  const lacking = missing(near, present);
  const what = near.container === 'csv' ? 'columns' : 'keys';
  const shown =
    found.length > 0
      ? found
          .slice(0, 12)
          .map((name) => printable(name, 40))
          .join(', ')
      : 'none';
  const more = found.length > 12 ? `, and ${found.length - 12} more` : '';
  const path = printable(file);
  if (lacking.length === near.required.length) {
    return inputError('VRAM602', `${path} is no known trace; ${what} found: ${shown}${more}`, {
      path: `${path}:${line}`,
      hint: /[;\t]/.test(found.join('')) ? 'columns are separated by commas' : knownFormats,
    });
  }
  const typos = lacking.map((name) => nearestNames(name, found, 1)[0]).filter((name) => name !== undefined);
  return inputError(
    'VRAM603',
    `${path}: not a complete ${near.title}, missing ${lacking.join(', ')}; ${what} found: ${shown}${more}`,
    {
      path: `${path}:${line}`,
      hint: typos.length > 0 ? `is ${typos.map((name) => printable(name, 40)).join(', ')} meant?` : knownFormats,
    },
  );
}

function missing(format: TraceFormat, present: ReadonlySet<string>): string[] {
  return format.required.flatMap((name) => {
    if (typeof name === 'string') return present.has(keyOf(format, name)) ? [] : [name];
    return name.some((one) => present.has(keyOf(format, one))) ? [] : [name.join(' or ')];
  });
}

function keysOf(formats: readonly TraceFormat[], found: readonly string[]): Set<string> {
  return new Set(found.map((name) => keyOf(formats[0]!, name)));
}

/** Columns are compared without case, keys of JSON exactly. */
function keyOf({ container }: TraceFormat, name: string): string {
  return container === 'csv' ? name.toLowerCase() : name;
}
