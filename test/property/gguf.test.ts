// Any model that can be written is read back; any change to a header is refused with one message or read, and never takes the
// program down, more than a second, or more memory than the limits allow.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { isInputError } from '../../src/diagnostics.ts';
import { type OpenedGguf, readGguf } from '../../src/load/gguf.ts';
import { type GgmlType, ggmlTypes, tensorBytes } from '../../src/spec/ggml-types.ts';
import { type GgufSource, ggufDataBytes, ggufHeader, type MetadataValue, writeGguf } from '../helpers/gguf-writer.ts';

const scratch = mkdtempSync(join(tmpdir(), 'vram-gguf-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const file = join(scratch, 'model.gguf');

const name = fc.stringMatching(/^[a-z0-9_.]{1,40}$/);
const tensor = fc
  .record({
    name,
    type: fc.constantFrom(...(Object.keys(ggmlTypes) as GgmlType[])),
    blocks: fc.integer({ min: 1, max: 64 }),
    rest: fc.array(fc.integer({ min: 1, max: 300 }), { maxLength: 3 }),
  })
  .map(({ type, blocks, rest, ...named }) => ({ ...named, type, ne: [blocks * ggmlTypes[type].block, ...rest] }));
const integer = (type: 'u8' | 'i8' | 'u16' | 'i16' | 'u32' | 'i32' | 'u64' | 'i64', min: number, max: number) =>
  fc.integer({ min, max }).map((value) => ({ type, value }));
const value: fc.Arbitrary<MetadataValue> = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 50 }),
  fc.boolean(),
  integer('u8', 0, 255),
  integer('i8', -128, 127),
  integer('u16', 0, 65_535),
  integer('i16', -32_768, 32_767),
  integer('u32', 0, 2 ** 32 - 1),
  integer('i32', -(2 ** 31), 2 ** 31 - 1),
  integer('u64', 0, Number.MAX_SAFE_INTEGER),
  integer('i64', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
  fc.double({ noNaN: true }).map((plain) => ({ type: 'f64' as const, value: plain })),
  fc.float({ noNaN: true }).map((plain) => ({ type: 'f32' as const, value: plain })),
  fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 40 }),
  fc.array(fc.string({ maxLength: 20 }), { minLength: 1, maxLength: 20 }),
);
const keys = fc.dictionary(fc.stringMatching(/^[a-z_]{1,12}(\.[a-z_]{1,12}){1,2}$/), value, {
  maxKeys: 12,
  noNullPrototype: true,
});
const source: fc.Arbitrary<GgufSource> = fc
  .record({
    metadata: keys.map((rest) => ({ ...rest, 'general.architecture': 'llama' })),
    tensors: fc.uniqueArray(tensor, { minLength: 1, maxLength: 12, selector: (one) => one.name }),
    version: fc.constantFrom(2, 3),
    alignment: fc.constantFrom(1, 8, 32, 256, 4096),
  })
  .map((made) => ({ ...made, metadata: { ...made.metadata, 'general.alignment': made.alignment } }));

function plain(written: MetadataValue): unknown {
  return typeof written === 'object' && 'type' in written ? written.value : written;
}

/** What was read, or the one message. */
function attempt(): OpenedGguf | string {
  try {
    return readGguf(file);
  } catch (error) {
    if (!isInputError(error)) throw error;
    expect(error.diagnostics).toHaveLength(1);
    const { code, message } = error.diagnostics[0]!;
    expect(code).toMatch(/^VRAM12[345]$/);
    expect(message).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
    expect(message.length).toBeLessThan(600);
    return message;
  }
}

/** Whatever opens is a model whose sizes can be summed exactly. */
function expectSound({ model }: OpenedGguf): void {
  for (const { type, ne } of model.tensors) expect(Number.isSafeInteger(tensorBytes(type, ne))).toBe(true);
  expect(Number.isSafeInteger(model.file!.dataBytes)).toBe(true);
  expect(new Set(model.tensors.map((one) => one.name)).size).toBe(model.tensors.length);
}

describe('a GGUF file', () => {
  it('is read back as written', () => {
    fc.assert(
      fc.property(source, (written) => {
        const fileBytes = writeGguf(file, written);
        const { model } = readGguf(file);
        expect(model.tensors).toEqual(written.tensors);
        for (const [key, one] of Object.entries(written.metadata)) {
          if (
            key.startsWith('llama.') ||
            key.startsWith('split.') ||
            key === 'general.type' ||
            key === 'general.alignment'
          )
            continue;
          if (!key.startsWith('tokenizer.')) expect(model.metadata[key]).toEqual(plain(one));
        }
        expect(model.file).toMatchObject({ fileBytes, dataBytes: ggufDataBytes(written), headerOnly: false, parts: 1 });
      }),
      { numRuns: 300 },
    );
  });

  it('cut off anywhere is refused with one message, or is a header without its data', () => {
    fc.assert(
      fc.property(source, fc.double({ min: 0, max: 1, noNaN: true }), (written, share) => {
        const header = ggufHeader(written);
        writeFileSync(file, header.subarray(0, Math.floor(share * header.length)));
        const read = attempt();
        if (typeof read !== 'string') {
          expect(read.model.tensors).toEqual(written.tensors);
          expect(read.model.file!.headerOnly).toBe(true);
        } else expect(read).toMatch(/cut off|no GGUF/);
      }),
      { numRuns: 500 },
    );
  });

  it('with bytes changed is refused with one message or read as a sound model, in time', () => {
    const change = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      bytes: fc.oneof(
        fc.uint8Array({ minLength: 1, maxLength: 8 }),
        fc.constantFrom(new Uint8Array(8).fill(255), Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 127)),
      ),
    });
    fc.assert(
      fc.property(source, fc.array(change, { minLength: 1, maxLength: 3 }), (written, changes) => {
        const header = Buffer.from(ggufHeader(written));
        for (const { at, bytes } of changes) Buffer.from(bytes).copy(header, Math.floor(at * header.length));
        writeFileSync(file, header);
        const start = performance.now();
        const read = attempt();
        expect(performance.now() - start).toBeLessThan(1000);
        if (typeof read !== 'string') expectSound(read);
      }),
      { numRuns: 2000 },
    );
  });

  it('of noise behind the magic is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.constantFrom(2, 3), (noise, version) => {
        const start = Buffer.from('GGUF\0\0\0\0', 'latin1');
        start.writeUInt32LE(version, 4);
        writeFileSync(file, Buffer.concat([start, noise]));
        expect(attempt()).toBeTypeOf('string');
      }),
      { numRuns: 500 },
    );
  });

  it('of gigabytes that claims 2^64 strings is refused within a second', () => {
    const metadata = { 'general.architecture': 'llama', 'tokenizer.ggml.tokens': ['x'] };
    const header = Buffer.from(ggufHeader({ metadata, tensors: [{ name: 'a', ne: [2 ** 31], type: 'f32' }] }));
    const length = header.indexOf('tokenizer.ggml.tokens') + 'tokenizer.ggml.tokens'.length + 8;
    header.writeBigUInt64LE(2n ** 64n - 1n, length);
    writeGguf(file, { metadata, tensors: [{ name: 'a', ne: [2 ** 31], type: 'f32' }] });
    writeFileSync(file, header, { flag: 'r+' });
    const start = performance.now();
    expect(attempt()).toMatch(/a header may take 134217728 bytes/);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});
