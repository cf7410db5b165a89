import { chmodSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import type { TensorGroup } from '../../../src/architecture/types.ts';
import { resolveModel } from '../../../src/load/model.ts';
import { readCheckpoint } from '../../../src/load/safetensors.ts';
import { inTemporary, problemsOf } from './helpers.ts';

type Entry = { dtype: string; shape: number[]; data_offsets: [number, number] };

/** A safetensors file with real headers and zeros for data. */
function file(tensors: Record<string, number[]>, changes: Record<string, Partial<Entry> | null> = {}): Buffer {
  const header: Record<string, Entry> = {};
  let at = 0;
  for (const [name, shape] of Object.entries(tensors)) {
    const end = at + shape.reduce((a, b) => a * b, 1) * 2;
    header[name] = { dtype: 'BF16', shape, data_offsets: [at, end] };
    at = end;
  }
  const changed = Object.entries(changes).map(([name, change]) => [name, change && { ...header[name], ...change }]);
  const all = { __metadata__: { format: 'pt' }, ...header, ...Object.fromEntries(changed) };
  const text = Buffer.from(JSON.stringify(all));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(at)]);
}

const config = JSON.stringify({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 128,
  vocab_size: 256,
  max_position_embeddings: 128,
  torch_dtype: 'bfloat16',
});

async function tinyTensors(): Promise<Record<string, number[]>> {
  const { spec } = await resolveModel('-', { stdin: () => config });
  const name = (group: TensorGroup, layer: number) => group.name.replace('{layer}', String(layer));
  return Object.fromEntries(
    expandArchitecture(spec).tensors.flatMap((group) =>
      (group.layers ?? [0]).map((layer) => [name(group, layer), [...group.shape]] as const),
    ),
  );
}

describe('a checkpoint', () => {
  it('is read exactly and agrees with its configuration', async () => {
    const tensors = await tinyTensors();
    const values = Object.values(tensors).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
    await inTemporary({ 'm/config.json': config, 'm/model.safetensors': file(tensors) }, async (cwd) => {
      const { checkpoint, diagnostics } = await resolveModel('./m', { cwd });
      expect(checkpoint!.bytes).toBe(values * 2);
      expect(checkpoint!.bytesByDtype).toEqual({ BF16: values * 2 });
      expect(checkpoint!.tensors).toHaveLength(Object.keys(tensors).length);
      expect(diagnostics.map(({ severity, code }) => [severity, code])).toEqual([['note', 'VRAM120']]);
    });
  });

  it('is read over its shards', async () => {
    const entries = Object.entries(await tinyTensors());
    const shards = [entries.slice(0, 7), entries.slice(7)].map((part) => Object.fromEntries(part));
    const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
    const weight_map = Object.fromEntries(
      shards.flatMap((part, i) => Object.keys(part).map((name) => [name, names[i]!])),
    );
    const files = {
      'config.json': config,
      'model.safetensors.index.json': JSON.stringify({ weight_map }),
      [names[0]!]: file(shards[0]!),
      [names[1]!]: file(shards[1]!),
    };
    await inTemporary(files, async (cwd) => {
      const { checkpoint, diagnostics } = await resolveModel('config.json', { cwd });
      expect([checkpoint!.files, diagnostics.map(({ code }) => code)]).toEqual([names, ['VRAM120']]);
    });
    await inTemporary({ ...files, [names[1]!]: '' }, async (cwd) => {
      expect((await problemsOf(resolveModel('.', { cwd })))[0]!.message).toContain('too short');
    });
    const { [names[1]!]: _, ...cut } = files;
    await inTemporary(cut, async (cwd) => {
      expect((await problemsOf(resolveModel('.', { cwd })))[0]!.message).toContain('1 of 2 shards are missing');
    });
  });

  it('differs from its configuration in words', async () => {
    const { 'model.norm.weight': _, ...rest } = await tinyTensors();
    const changed = { ...rest, 'lm_head.weight': [250, 64], 'extra.weight': [3] };
    await inTemporary({ 'config.json': config, 'model.safetensors': file(changed) }, async (cwd) => {
      const { diagnostics } = await resolveModel('.', { cwd });
      expect(diagnostics.filter(({ severity }) => severity === 'warning').map(({ message }) => message)).toEqual([
        'a tensor does not have the shape its configuration says: lm_head.weight is [250,64], expected [256,64]',
        'a tensor is in the configuration but not in the files: model.norm.weight',
        'a tensor is in the files but not in the configuration: extra.weight',
      ]);
    });
  });
});

describe('broken and hostile files', () => {
  const good = { a: [2, 3], b: [4] };
  const sized = (length: bigint, rest = Buffer.alloc(0)) => {
    const head = Buffer.alloc(8);
    head.writeBigUInt64LE(length);
    return Buffer.concat([head, rest]);
  };
  const cases: readonly [string, Buffer, string][] = [
    ['empty', Buffer.alloc(0), 'too short'],
    ['a header of 2^63 bytes', sized(2n ** 63n), 'limit 100000000'],
    ['a header longer than the file', sized(1000n, Buffer.alloc(10)), 'cut off'],
    ['a header that is no JSON', sized(4n, Buffer.from('{"a"')), 'is not JSON'],
    ['a header that is a list', sized(2n, Buffer.from('[]')), 'JSON object'],
    ['cut-off data', file(good).subarray(0, -4), 'cut off: tensor b'],
    ['bytes after the data', Buffer.concat([file(good), Buffer.alloc(3)]), '3 bytes after'],
    ['a shape that does not fit', file(good, { a: { shape: [2, 4] } }), 'does not take 12 bytes'],
    ['a negative size', file(good, { a: { shape: [-2, -3] } }), 'no dtype, shape'],
    ['an overflowing shape', file(good, { a: { shape: [2 ** 50, 2 ** 50] } }), 'does not take'],
    ['overlapping tensors', file(good, { b: { data_offsets: [8, 16] } }), 'overlap'],
    ['an unknown type', file(good, { a: { dtype: 'Q4' } }), 'unknown type'],
    ['no offsets', file(good, { a: null }), 'no dtype, shape'],
  ];
  it.each(cases)('%s', (_, content, reason) =>
    inTemporary({ 'config.json': config, 'model.safetensors': content }, async (cwd) => {
      const [problem] = await problemsOf(resolveModel('.', { cwd }));
      expect(problem!.message).toContain(reason);
    }),
  );

  it('an index that leaves the directory', () =>
    inTemporary(
      { 'config.json': config, 'model.safetensors.index.json': '{"weight_map":{"a":"../../etc/x.safetensors"}}' },
      async (cwd) => {
        expect((await problemsOf(resolveModel('.', { cwd })))[0]!.message).toContain('no shard of this directory');
      },
    ));

  it('the same tensor twice', () =>
    inTemporary({ 'a.safetensors': file(good), 'b.safetensors': file(good) }, async (cwd) => {
      expect(() => readCheckpoint(cwd, {}, '--model')).toThrow('is also in a.safetensors');
    }));

  it.skipIf(process.getuid?.() === 0)('a file that may not be read', () =>
    inTemporary({ 'config.json': config }, async (cwd) => {
      chmodSync(`${cwd}/config.json`, 0);
      await expect(resolveModel('config.json', { cwd })).rejects.toMatchObject({ name: 'VramError', code: 'VRAM190' });
    }),
  );
});
