// GGUF headers: what a file says is what the model is; a file without its data opens, a broken header is refused with one message.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gguf } from '@huggingface/gguf';
import { afterAll, describe, expect, it } from 'vitest';
import { isInputError } from '../../../src/diagnostics.ts';
import { readGguf } from '../../../src/load/gguf.ts';
import { type GgufSource, ggufDataBytes, ggufHeader, writeGguf } from '../../helpers/gguf-writer.ts';

const scratch = mkdtempSync(join(tmpdir(), 'vram-gguf-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
const at = (name: string) => join(scratch, name);

const small: GgufSource = {
  metadata: {
    'general.architecture': 'llama',
    'general.file_type': 15,
    'llama.block_count': 1,
    'llama.context_length': 8192,
    'llama.attention.head_count_kv': [8, 0, 8],
    'llama.rope.freq_base': { type: 'f32', value: 500_000 },
    'llama.big': { type: 'u64', value: 2 ** 40 },
    'llama.below': { type: 'i64', value: -5 },
    'llama.attention.causal': true,
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.tokens': ['a', 'b', 'ab', 'ü'],
    'tokenizer.chat_template': 'x'.repeat(5000),
  },
  tensors: [
    { name: 'token_embd.weight', ne: [256, 4], type: 'q6_k' },
    { name: 'blk.0.attn_q.weight', ne: [256, 256], type: 'q4_k' },
    { name: 'blk.0.ffn_down_exps.weight', ne: [32, 3, 5], type: 'mxfp4' },
    { name: 'output_norm.weight', ne: [3], type: 'f32' },
  ],
};

/** The code and the message of the one error that reading throws. */
function refusal(path: string): string {
  try {
    readGguf(path);
  } catch (error) {
    if (!isInputError(error)) throw error;
    expect(error.diagnostics).toHaveLength(1);
    return `${error.diagnostics[0]!.code} ${error.diagnostics[0]!.message}`;
  }
  throw new Error('not refused');
}

function refused(name: string, bytes: Buffer): string {
  writeFileSync(at(name), bytes);
  return refusal(at(name));
}

const headerOf = (changes: Partial<GgufSource>) => ggufHeader({ ...small, ...changes });
const withKeys = (metadata: GgufSource['metadata']) => headerOf({ metadata: { ...small.metadata, ...metadata } });
const oneTensor = (tensor: GgufSource['tensors'][number]) => headerOf({ tensors: [tensor] });

describe('a GGUF file', () => {
  it('is read as it was written', () => {
    const fileBytes = writeGguf(at('small.gguf'), small);
    const { model, diagnostics } = readGguf(at('small.gguf'));
    expect(model.architecture).toBe('llama');
    expect(model.vocabSize).toBe(4);
    expect(model.tensors).toEqual(small.tensors);
    expect(model.metadata).toMatchObject({
      'general.architecture': 'llama',
      block_count: 1,
      'attention.head_count_kv': [8, 0, 8],
      'rope.freq_base': 500_000,
      big: 2 ** 40,
      below: -5,
      'attention.causal': true,
    });
    expect(model.metadata).not.toHaveProperty(['tokenizer.ggml.tokens']);
    // 4 x 210, 256 x 144, 15 x 17 and 12 bytes, each padded to 32.
    expect(model.file).toEqual({
      fileBytes,
      dataBytes: 864 + 36_864 + 256 + 32,
      headerOnly: false,
      fileType: 15,
      parts: 1,
    });
    expect(diagnostics.map(({ code }) => code)).toEqual(['VRAM120']);
  });

  it('holds what the reader of Hugging Face finds in it', async () => {
    writeGguf(at('theirs.gguf'), small);
    const { metadata, ...theirs } = await gguf(at('theirs.gguf'), { allowLocalFile: true });
    const found = metadata as unknown as Record<string, unknown>;
    const { model } = readGguf(at('theirs.gguf'));
    expect(theirs.tensorInfos.map(({ name, shape }) => ({ name, ne: shape.map(Number) }))).toEqual(
      model.tensors.map(({ name, ne }) => ({ name, ne })),
    );
    expect(found['tokenizer.ggml.tokens']).toHaveLength(model.vocabSize);
    expect(Number(theirs.tensorDataOffset)).toBe(ggufHeader(small).length);
    expect(found['llama.block_count']).toBe(model.metadata.block_count);
  });

  it('opens without its data, and says how much is missing', () => {
    writeGguf(at('header.gguf'), small, { data: false });
    const { model, diagnostics } = readGguf(at('header.gguf'));
    expect(model.file).toMatchObject({ headerOnly: true, dataBytes: ggufDataBytes(small) });
    expect(diagnostics.at(-1)).toMatchObject({ severity: 'note', code: 'VRAM126' });
    // The last tensor takes 12 bytes, and 20 of padding that a file may lack.
    expect(diagnostics.at(-1)!.message).toContain(`${ggufDataBytes(small) - 20} of ${ggufDataBytes(small)} bytes`);
  });

  it('is complete without the padding behind its last tensor, and not without a byte more', () => {
    const size = writeGguf(at('padding.gguf'), small);
    truncateSync(at('padding.gguf'), size - 20);
    expect(readGguf(at('padding.gguf')).model.file!.headerOnly).toBe(false);
    truncateSync(at('padding.gguf'), size - 21);
    expect(readGguf(at('padding.gguf')).model.file!.headerOnly).toBe(true);
  });

  it('takes the alignment it states', () => {
    const source = { ...small, alignment: 256, metadata: { ...small.metadata, 'general.alignment': 256 } };
    const fileBytes = writeGguf(at('aligned.gguf'), source);
    expect(readGguf(at('aligned.gguf')).model.file).toMatchObject({ fileBytes, dataBytes: 1024 + 36_864 + 256 + 256 });
  });

  it('of version 2 reads alike', () => {
    writeGguf(at('v2.gguf'), { ...small, version: 2 });
    expect(readGguf(at('v2.gguf')).model.tensors).toEqual(small.tensors);
  });

  it('with the vocabulary of Gemma opens in under a second', () => {
    const tokens = Array.from({ length: 262_144 }, (_, i) => `▁tok${i.toString(36)}`);
    const merges = Array.from({ length: 514_906 }, (_, i) => `ab${i.toString(36)} cd${i % 977}`);
    const metadata = {
      ...small.metadata,
      'tokenizer.ggml.tokens': tokens,
      'tokenizer.ggml.scores': { type: 'array', items: 'f32', value: tokens.map((_, i) => -i) },
      'tokenizer.ggml.token_type': { type: 'array', items: 'i32', value: tokens.map(() => 1) },
      'tokenizer.ggml.merges': merges,
    } as const;
    const tensors = [{ name: 'token_embd.weight', ne: [2560, 262_144], type: 'q6_k' }] as const;
    writeGguf(at('gemma.gguf'), { metadata, tensors });
    const start = performance.now();
    expect(readGguf(at('gemma.gguf')).model.vocabSize).toBe(262_144);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe('a header is refused that', () => {
  it('is cut off at any byte', () => {
    const header = ggufHeader({
      metadata: { 'general.architecture': 'llama', 'tokenizer.ggml.tokens': ['a', 'bc'], 'llama.x': [1, 2] },
      tensors: [{ name: 'a', ne: [64], type: 'q8_0' }],
    });
    const full = header.length - 1;
    const end = full - [...header].reverse().findIndex((byte) => byte !== 0);
    for (let length = 0; length < end; length++) {
      expect(refused('cut.gguf', header.subarray(0, length)), `${length} bytes`).toMatch(
        /^VRAM123 cut\.gguf: .*(cut off|no GGUF)/,
      );
    }
  });

  it.each([
    ['a tensor count beyond counting', (bytes: Buffer) => bytes.writeBigUInt64LE(2n ** 64n - 1n, 8), 'tensors (limit'],
    ['a key count beyond counting', (bytes: Buffer) => bytes.writeBigUInt64LE(2n ** 63n, 16), 'keys (limit'],
    ['one tensor too many', (bytes: Buffer) => bytes.writeBigUInt64LE(5n, 8), 'tensor 5 of 5'],
    [
      'a key of 2^40 bytes',
      (bytes: Buffer) => bytes.writeBigUInt64LE(2n ** 40n, 24),
      'a string of 1099511627776 bytes',
    ],
    ['version 1', (bytes: Buffer) => bytes.writeUInt32LE(1, 4), 'version 1 is no longer read'],
    ['version 4', (bytes: Buffer) => bytes.writeUInt32LE(4, 4), 'version 4 is unknown'],
    ['version 0', (bytes: Buffer) => bytes.writeUInt32LE(0, 4), 'version 0 is unknown'],
    ['another magic', (bytes: Buffer) => bytes.write('GGML', 'latin1'), 'no GGUF file: it begins with "GGML"'],
    ['the magic of GGML', (bytes: Buffer) => bytes.write('tjgg', 'latin1'), 'from before GGUF'],
    ['a control character as magic', (bytes: Buffer) => bytes.write('\u001b[2J', 'latin1'), '\\u001b[2J'],
  ])('has %s', (_what, change, says) => {
    const bytes = Buffer.from(ggufHeader(small));
    change(bytes);
    expect(refused('changed.gguf', bytes)).toContain(says);
  });

  it.each([
    ['is big-endian', headerOf({ bigEndian: true }), 'big-endian'],
    ['is a Git LFS pointer', Buffer.from('version https://git-lfs.github.com/spec/v1\n'), 'git lfs pull'],
    ['has no architecture', headerOf({ metadata: {} }), 'general.architecture is missing'],
    ['has an architecture that is no name', withKeys({ 'general.architecture': '\u001b[2J' }), 'no name'],
    ['has an alignment of 24', withKeys({ 'general.alignment': 24 }), 'no power of two'],
    ['has an alignment of 0', withKeys({ 'general.alignment': 0 }), 'no power of two'],
    ['has an alignment of another type', withKeys({ 'general.alignment': { type: 'u64', value: 32 } }), 'not u32'],
    ['has an array of arrays', withKeys({ a: { type: 'array', items: 'array', value: [] } }), 'array of arrays'],
    ['has a nameless key', withKeys({ '': 1 }), 'has no name'],
    ['has five dimensions', oneTensor({ name: 'a', ne: [1, 1, 1, 1, 1], type: 'f32' }), '5 dimensions'],
    ['has a dimension of 0', oneTensor({ name: 'a', ne: [32, 0], type: 'f32' }), 'dimension of 0'],
    ['has a dimension of 2^50', oneTensor({ name: 'a', ne: [2 ** 50], type: 'f32' }), 'dimension of'],
    [
      'has more elements than any file',
      oneTensor({ name: 'a', ne: [2 ** 40, 2 ** 40], type: 'f32' }),
      'larger than any file',
    ],
    [
      'has a gap in its data',
      oneTensor({ name: 'a', ne: [4], type: 'f32', offset: 64 }),
      'is at 64 of the data, not at 0',
    ],
    ['has a long tensor name', oneTensor({ name: 'a'.repeat(64), ne: [4], type: 'f32' }), 'limit 63'],
  ])('%s', (_what, bytes, says) => expect(refused('made.gguf', bytes)).toContain(says));

  it('has tensors that overlap, or one twice', () => {
    const tensor = { name: 'a', ne: [32], type: 'f32' } as const;
    const twice = headerOf({ tensors: [tensor, tensor] });
    expect(refused('twice.gguf', twice)).toContain('the tensor a is there twice');
    const overlap = headerOf({ tensors: [tensor, { ...tensor, name: 'b', offset: 64 }] });
    expect(refused('overlap.gguf', overlap)).toContain('is at 64 of the data, not at 128');
  });

  it('has a key twice', () => {
    const bytes = withKeys({ 'llama.x': 1, 'llama.y': 2 });
    bytes.write('llama.x', bytes.indexOf('llama.y'));
    expect(refused('keys.gguf', bytes)).toContain('the key llama.x is there twice');
  });

  it('has an unknown type of tensor, a removed one, or a row that is no whole number of blocks', () => {
    const bytes = oneTensor({ name: 'a', ne: [64], type: 'q4_0' });
    const place = bytes.indexOf(
      Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
      bytes.indexOf('general.file_type') + 30,
    );
    for (const [id, says] of [
      [31, 'the type 31'],
      [99, 'the type 99'],
      [12, 'rows of 64'],
    ] as const) {
      const changed = Buffer.from(bytes);
      changed.writeUInt32LE(id, place);
      expect(refused('type.gguf', changed)).toContain(says);
    }
  });

  it.each(['adapter', 'mmproj', 'imatrix'])('holds no model but a file of type %s', (type) => {
    expect(refused('other.gguf', withKeys({ 'general.type': type }))).toMatch(/^VRAM124 other\.gguf holds no model/);
  });

  it('holds a vocabulary alone', () => {
    expect(refused('vocabulary.gguf', headerOf({ tensors: [] }))).toBe(
      'VRAM124 vocabulary.gguf holds no model but only a vocabulary, no tensors',
    );
  });

  it('is a directory, or not there', () => {
    expect(refusal(scratch)).toContain('no regular file');
    expect(refusal(at('nowhere.gguf'))).toContain('no such file');
  });
});

describe('a split file', () => {
  const part = (
    no: number,
    count: number,
    tensors: GgufSource['tensors'],
    extra: GgufSource['metadata'] = {},
  ): GgufSource => ({
    metadata: {
      ...(no === 0 ? small.metadata : {}),
      ...extra,
      'split.no': { type: 'u16', value: no },
      'split.count': { type: 'u16', value: count },
      'split.tensors.count': { type: 'i32', value: 4 },
    },
    tensors,
  });
  const name = (prefix: string, no: number, count: number) =>
    at(`${prefix}-${String(no).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.gguf`);

  function write(
    prefix: string,
    parts: readonly GgufSource['tensors'][],
    extra: GgufSource['metadata'] = {},
  ): number[] {
    return parts.map((tensors, i) =>
      writeGguf(name(prefix, i + 1, parts.length), part(i, parts.length, tensors, extra)),
    );
  }
  const [a, b, c, d] = small.tensors as [never, never, never, never];

  it('is read whole, whichever part is given', () => {
    const sizes = write('whole', [[a, b], [c], [d]]);
    for (const no of [1, 2, 3]) {
      const { model } = readGguf(name('whole', no, 3));
      expect(model.tensors).toEqual(small.tensors);
      expect(model.architecture).toBe('llama');
      expect(model.file).toMatchObject({
        parts: 3,
        fileBytes: sizes[0]! + sizes[1]! + sizes[2]!,
        dataBytes: ggufDataBytes(small),
        headerOnly: false,
      });
    }
  });

  it('names the parts that are missing', () => {
    write('lost', [[a, b], [c], [d]]);
    rmSync(name('lost', 1, 3));
    rmSync(name('lost', 3, 3));
    expect(refusal(name('lost', 2, 3))).toBe(
      'VRAM125 lost-00002-of-00003.gguf: 2 of 3 parts are missing: lost-00001-of-00003.gguf, lost-00003-of-00003.gguf',
    );
  });

  it('is refused under another name, with swapped parts, a tensor twice, or fewer tensors than announced', () => {
    writeGguf(at('renamed.gguf'), part(0, 2, [a, b]));
    expect(refusal(at('renamed.gguf'))).toMatch(/^VRAM125 renamed\.gguf is one of 2 parts/);
    writeGguf(name('swapped', 1, 2), part(1, 2, [a, b]));
    writeGguf(name('swapped', 2, 2), part(0, 2, [c, d]));
    expect(refusal(name('swapped', 1, 2))).toContain('part 1 of 2, counted from 0');
    write('double', [[a, b, c], [c]]);
    expect(refusal(name('double', 1, 2))).toContain('is also in double-00001-of-00002.gguf');
    write('fewer', [[a, b], [c]]);
    expect(refusal(name('fewer', 2, 2))).toContain('its parts hold 3 tensors, 4 are announced');
  });

  it('of headers alone opens', () => {
    write('heads', [
      [a, b],
      [c, d],
    ]);
    truncateSync(name('heads', 2, 2), ggufHeader(part(1, 2, [c, d])).length);
    const { model, diagnostics } = readGguf(name('heads', 1, 2));
    expect(model.file).toMatchObject({ headerOnly: true, parts: 2 });
    expect(diagnostics.at(-1)!.message).toContain('268 of');
  });
});
