// Where the bytes of a trace come from: a file or standard input, in pieces, never whole. The first pieces can be looked at
// before they are read, to find the format.
import { createReadStream } from 'node:fs';
import { absolute, fileError, type LoadContext } from '../context.ts';

export interface TraceContext extends LoadContext {
  /** Standard input in pieces, for tests. */
  stdinChunks?: AsyncIterable<Uint8Array>;
}

export interface TraceSource {
  /** The first bytes, more than white space unless there is nothing else. */
  head: Buffer;
  chunks: AsyncIterable<Buffer>;
  close(): void;
}

const chunkBytes = 2 ** 18;
/** Enough to know a format by. */
const headBytes = 4096;
/** So much white space at the start is no trace. */
const maxBlankHead = 2 ** 20;

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
  const heads: Buffer[] = [];
  let length = 0;
  let seen = false;
  for (;;) {
    const piece = await next();
    if (piece === undefined) break;
    heads.push(piece);
    length += piece.length;
    seen ||= piece.some((byte) => !isBlank(byte));
    if (length >= (seen ? headBytes : maxBlankHead)) break;
  }
  const head = Buffer.concat(heads, length);
  return {
    head,
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
