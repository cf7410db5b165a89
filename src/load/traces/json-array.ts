// Cuts a JSON array into the texts of its elements while it is read: an array of conversations is hundreds of megabytes, one
// of them is small. Only brackets and strings are looked at; each element is parsed by itself.
import { inputError } from '../../diagnostics.ts';
import { printable } from '../names.ts';
import { lineTooLong, maxLineBytes, tooManyBlankLines } from './lines.ts';

const quote = 0x22;
const backslash = 0x5c;

/** Calls with the text of every element and the line it begins on, until the callback returns false. */
export async function forEachElement(
  chunks: AsyncIterable<Buffer>,
  file: string,
  take: (text: string, line: number) => boolean,
  blankLines = 0,
): Promise<void> {
  const state = { depth: 0, inString: false, escaped: false, line: blankLines + 1 };
  let pieces: Buffer[] = [];
  let bytes = 0;
  let startLine = state.line;
  let begun = false;
  let closed = false;
  const emit = (): boolean => {
    const text = Buffer.concat(pieces, bytes).toString('utf8').trim();
    pieces = [];
    bytes = 0;
    begun = false;
    return text === '' || take(text, startLine);
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = 0; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (byte === 0x0a) state.line++;
      if (state.inString) {
        if (state.escaped) state.escaped = false;
        else if (byte === backslash) state.escaped = true;
        else if (byte === quote) state.inString = false;
        continue;
      }
      if (state.depth === 0) {
        if (byte === 0x5b && !closed) {
          state.depth = 1;
          from = at + 1;
        } else if (closed && byte > 0x20) throw trailing(file, state.line);
        continue;
      }
      if (!begun && byte > 0x20) {
        begun = true;
        startLine = state.line;
      }
      if (byte === quote) state.inString = true;
      else if (byte === 0x7b || byte === 0x5b) state.depth++;
      else if (byte === 0x7d || byte === 0x5d) state.depth--;
      const ends = (byte === 0x2c && state.depth === 1) || state.depth === 0;
      if (!ends) continue;
      pieces.push(chunk.subarray(from, at));
      bytes += at - from;
      from = at + 1;
      if (!emit()) return;
      if (state.depth === 0) closed = true;
    }
    if (state.depth > 0) {
      pieces.push(chunk.subarray(from));
      bytes += chunk.length - from;
      if (bytes > maxLineBytes) throw begun ? lineTooLong(file, startLine) : tooManyBlankLines(file, state.line);
    }
  }
  // What is left over belongs to an element that was cut short.
  if (!closed && bytes > 0) emit();
}

function trailing(file: string, line: number): Error {
  return inputError('VRAM602', 'something follows the end of the JSON list', {
    path: `${printable(file)}:${line}`,
    hint: 'a trace is one list, or one JSON object a line',
  });
}
