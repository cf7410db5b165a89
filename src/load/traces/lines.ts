// Cuts a stream of bytes into lines, in memory bounded by one piece and one line: a line above the limit ends the reading.
import { inputError } from '../../diagnostics.ts';
import { printable } from '../names.ts';

/** The longest line that is read; the longest of any known trace (16-token hash ids of a million tokens) is far below. */
export const maxLineBytes = 16 * 2 ** 20;

/** So many bytes of blank lines in a row are no part of a trace. */
export const maxBlankBytes = maxLineBytes;

/** Calls with every line (without its end) and its number, `line` more than from 1, until the callback returns false. */
export async function forEachLine(
  chunks: AsyncIterable<Buffer>,
  file: string,
  take: (text: string, line: number) => boolean,
  line = 0,
): Promise<void> {
  let blankBytes = 0;
  let rest: Buffer[] = [];
  let restBytes = 0;
  for await (const chunk of chunks) {
    const end = chunk.lastIndexOf(0x0a);
    if (end < 0) {
      rest.push(chunk);
      restBytes += chunk.length;
      if (restBytes > maxLineBytes) throw lineTooLong(file, line + 1);
      continue;
    }
    const text = decode(rest, restBytes, chunk.subarray(0, end));
    for (let from = 0; from <= text.length; ) {
      let to = text.indexOf('\n', from);
      if (to < 0) to = text.length;
      if (to - from > maxLineBytes) throw lineTooLong(file, line + 1);
      line++;
      if (isBlankLine(text, from, to)) {
        blankBytes += to - from + 1;
        if (blankBytes > maxBlankBytes) throw tooManyBlankLines(file, line);
      } else {
        blankBytes = 0;
        if (!take(text.slice(from, to), line)) return;
      }
      from = to + 1;
    }
    rest = [chunk.subarray(end + 1)];
    restBytes = rest[0]!.length;
  }
  if (restBytes > 0) take(decode(rest, restBytes, Buffer.alloc(0)), line + 1);
}

function decode(rest: readonly Buffer[], restBytes: number, more: Buffer): string {
  if (restBytes === 0) return more.toString('utf8');
  return Buffer.concat([...rest, more], restBytes + more.length).toString('utf8');
}

function isBlankLine(text: string, from: number, to: number): boolean {
  return from === to || (text.charCodeAt(from) <= 0x20 && text.slice(from, to).trim() === '');
}

export function tooManyBlankLines(file: string, line: number): Error {
  return inputError('VRAM604', `there are more than ${maxBlankBytes / 2 ** 20} MiB of blank lines`, {
    path: `${printable(file)}:${line}`,
    hint: "leave them out: sed '/^[[:space:]]*$/d' FILE | vram simulate --workload -",
  });
}

export function lineTooLong(file: string, line: number): Error {
  return inputError('VRAM604', `line ${line} is longer than ${maxLineBytes / 2 ** 20} MiB: not a line of a trace`, {
    path: `${printable(file)}:${line}`,
    hint: 'a trace has one request a line',
  });
}
