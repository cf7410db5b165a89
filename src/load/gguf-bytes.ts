// Reads a GGUF header front to back through a window of one mebibyte: numbers, short strings, and skips over what nobody needs (a
// vocabulary of a quarter of a million tokens). Never reads past the file or past the limit on headers.
import { readSync } from 'node:fs';

const windowBytes = 2 ** 20;

export interface ByteLimits {
  /** Bytes of the file. */
  fileBytes: number;
  /** Bytes that a header may take. */
  headerBytes: number;
  /** Bytes of a string that is kept. */
  textBytes: number;
}

export class GgufBytes {
  position = 0;
  /** What is being read, for messages: "key 3 of 27". */
  part = 'the first bytes';
  private readonly window: Buffer;
  private readonly handle: number;
  private readonly limits: ByteLimits;
  private readonly broken: (reason: string) => Error;
  private start = 0;
  private filled = 0;

  constructor(handle: number, limits: ByteLimits, broken: (reason: string) => Error) {
    this.handle = handle;
    this.limits = limits;
    this.broken = broken;
    this.window = Buffer.allocUnsafe(Math.min(windowBytes, limits.fileBytes));
  }

  u8(): number {
    return this.window.readUInt8(this.take(1));
  }

  u16(): number {
    return this.window.readUInt16LE(this.take(2));
  }

  u32(): number {
    return this.window.readUInt32LE(this.take(4));
  }

  i8(): number {
    return this.window.readInt8(this.take(1));
  }

  i16(): number {
    return this.window.readInt16LE(this.take(2));
  }

  i32(): number {
    return this.window.readInt32LE(this.take(4));
  }

  f32(): number {
    return this.window.readFloatLE(this.take(4));
  }

  f64(): number {
    return this.window.readDoubleLE(this.take(8));
  }

  i64(): number {
    return Number(this.window.readBigInt64LE(this.take(8)));
  }

  /** Exact up to 2^53; larger ones are over every limit anyway. */
  u64(): number {
    const at = this.take(8);
    return this.window.readUInt32LE(at + 4) * 2 ** 32 + this.window.readUInt32LE(at);
  }

  /** A string of at most `limit` bytes. */
  text(limit = this.limits.textBytes): string {
    const length = this.u64();
    if (length > limit) throw this.broken(`${this.part} holds a string of ${length} bytes (limit ${limit})`);
    const at = this.take(length);
    return this.window.toString('utf8', at, at + length);
  }

  /** A string, or undefined where it is longer than what is kept. */
  shortText(): string | undefined {
    const length = this.u64();
    if (length > this.limits.textBytes) {
      this.skip(length);
      return undefined;
    }
    const at = this.take(length);
    return this.window.toString('utf8', at, at + length);
  }

  skip(bytes: number): void {
    this.check(bytes);
    this.position += bytes;
  }

  skipTexts(count: number): void {
    for (let i = 0; i < count; i++) this.skip(this.u64());
  }

  /** Place in the window of the next `bytes` bytes. */
  private take(bytes: number): number {
    this.check(bytes);
    if (this.position < this.start || this.position + bytes > this.start + this.filled) this.fill();
    const at = this.position - this.start;
    this.position += bytes;
    return at;
  }

  private fill(): void {
    this.start = this.position;
    this.filled = 0;
    const wanted = Math.min(this.window.length, this.limits.fileBytes - this.position);
    while (this.filled < wanted) {
      const read = readSync(this.handle, this.window, this.filled, wanted - this.filled, this.start + this.filled);
      if (read === 0) throw this.broken('the file became shorter while it was read');
      this.filled += read;
    }
  }

  private check(bytes: number): void {
    const end = this.position + bytes;
    const { fileBytes, headerBytes } = this.limits;
    if (end > headerBytes)
      throw this.broken(`${this.part} would end at byte ${end}: a header may take ${headerBytes} bytes`);
    if (end > fileBytes)
      throw this.broken(`cut off within ${this.part}: it ends at byte ${end} or later, the file has ${fileBytes}`);
  }
}
