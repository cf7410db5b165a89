// Where the bytes of a trace come from: a file or standard input, in pieces, never whole. The first pieces can be looked at
// before they are read, to find the format.
import { createReadStream } from 'node:fs';
import { absolute, fileError, type LoadContext } from '../context.ts';
import { maxBlankBytes, tooManyBlankLines } from './lines.ts';

export interface TraceContext extends LoadContext {
  /** Standard input in pieces, for tests. */
  stdinChunks?: AsyncIterable<Uint8Array>;
}

export interface TraceSource {
  /** The first bytes, from the first line that is not blank; empty where there is nothing else. */
  head: Buffer;
  /** Blank lines before the head; they are not among the chunks. */
  blankLines: number;
  chunks: AsyncIterable<Buffer>;
  close(): void;
}

const newline = 0x0a;
/** What some programs write before UTF-8 text. */
const byteOrderMark = [0xef, 0xbb, 0xbf];
const chunkBytes = 2 ** 18;
/** Enough to know a format by. */
const headBytes = 4096;

export async function openSource(path: string, context: TraceContext, option: string): Promise<TraceSource> {
  const { stream, close } = rawStream(path, context);
  const iterator = stream[Symbol.asyncIterator]();
  const next = async (): Promise<Buffer | undefined> => {
    try {
      const { value, done } = await iterator.next();
      return done ? undefined : Buffer.isBuffer(value) ? value : Buffer.from(value);
    } catch (error) {
      throw fileError(error, path, option);
    }
  };
  const { first, blankLines } = await skipBlankLines(next, path === '-' ? 'standard input' : path);
  const heads = first ? [first] : [];
  let length = first?.length ?? 0;
  while (first && length < headBytes) {
    const piece = await next();
    if (piece === undefined) break;
    heads.push(piece);
    length += piece.length;
  }
  const head = Buffer.concat(heads, length);
  return {
    head,
    blankLines,
    close,
    chunks: (async function* () {
      if (head.length > 0) yield head;
      for (;;) {
        const piece = await next();
        if (piece === undefined) return;
        yield piece;
      }
    })(),
  };
}

/** The first piece with something in it, from the line on in which that stands. */
async function skipBlankLines(
  next: () => Promise<Buffer | undefined>,
  file: string,
): Promise<{ first: Buffer | undefined; blankLines: number }> {
  let blankLines = 0;
  let skipped = 0;
  for (;;) {
    const piece = await next();
    if (piece === undefined) return { first: undefined, blankLines };
    let start = 0;
    let at = 0;
    for (; at < piece.length; at++) {
      const isMark = piece[at] === byteOrderMark[skipped + at];
      if (!isMark && !isBlank(piece[at]!)) break;
      if (piece[at] === newline) blankLines++;
      if (isMark || piece[at] === newline) start = at + 1;
    }
    if (at < piece.length) return { first: piece.subarray(start), blankLines };
    skipped += piece.length;
    if (skipped > maxBlankBytes) throw tooManyBlankLines(file, blankLines + 1);
  }
}

function rawStream(path: string, context: TraceContext): { stream: AsyncIterable<Uint8Array>; close: () => void } {
  if (path === '-' && context.stdinChunks) return { stream: context.stdinChunks, close: () => {} };
  if (path === '-' && context.stdin) return { stream: once(context.stdin()), close: () => {} };
  const options = { highWaterMark: chunkBytes };
  const stream =
    path === '-'
      ? createReadStream('', { ...options, fd: 0, autoClose: false })
      : createReadStream(absolute(path, context), options);
  return { stream, close: () => stream.destroy() };
}

async function* once(text: string): AsyncIterable<Buffer> {
  yield Buffer.from(text);
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}
