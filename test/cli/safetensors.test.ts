// Checkpoints whose tensor files are cut off, lie about themselves or point elsewhere are refused with the file's name.
import { describe, expect, it } from 'vitest';
import { expectCalm, expectRefused, llama, modelFolder, vram } from './run.ts';

function headed(header: string | object, data = 0, claimed?: bigint): Uint8Array {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(text.length));
  return Buffer.concat([length, text, Buffer.alloc(data)]);
}

const tensor = (begin: number, end: number, shape = [(end - begin) / 2]) => ({
  dtype: 'BF16',
  shape,
  data_offsets: [begin, end],
});
const indexFile = (map: unknown) => ({ 'model.safetensors.index.json': JSON.stringify({ weight_map: map }) });

const refused: readonly (readonly [
  what: string,
  files: Record<string, string | Uint8Array>,
  says: readonly (RegExp | string)[],
])[] = [
  ['an empty file', { 'model.safetensors': '' }, ['0 bytes']],
  ['five bytes', { 'model.safetensors': 'abcde' }, ['5 bytes']],
  ['a header of 2^63 bytes', { 'model.safetensors': headed('{}', 0, 2n ** 63n) }, ['claims a header']],
  ['a header of 2^64 - 1 bytes', { 'model.safetensors': headed('{}', 0, 2n ** 64n - 1n) }, ['claims a header']],
  ['a header longer than the file', { 'model.safetensors': headed('{"a"', 0, 4096n) }, ['cut off', '4096 bytes']],
  ['a header that is no JSON', { 'model.safetensors': headed('not json at all') }, ['is not JSON']],
  ['a header that is a list', { 'model.safetensors': headed('[]') }, ['expected a JSON object']],
  ['a pickle', { 'model.safetensors': `PK\u0003\u0004${'x'.repeat(64)}` }, ['not a safetensors file']],
  [
    'tensors that overlap',
    { 'model.safetensors': headed({ a: tensor(0, 8), b: tensor(4, 12) }, 12) },
    ['overlap', 'tensor b'],
  ],
  [
    'a gap between tensors',
    { 'model.safetensors': headed({ a: tensor(0, 8), b: tensor(16, 24) }, 24) },
    ['gap', 'tensor b'],
  ],
  ['data cut off', { 'model.safetensors': headed({ a: tensor(0, 8) }, 4) }, ['cut off', 'tensor a']],
  ['data left over', { 'model.safetensors': headed({ a: tensor(0, 8) }, 12) }, ['4 bytes after the last tensor']],
  [
    'a tensor of another size than its shape',
    { 'model.safetensors': headed({ a: tensor(0, 8, [5]) }, 8) },
    ['does not take 8 bytes'],
  ],
  [
    'an unknown type',
    { 'model.safetensors': headed({ a: { ...tensor(0, 8), dtype: 'F13' } }, 8) },
    ['unknown type F13'],
  ],
  ['a negative shape', { 'model.safetensors': headed({ a: tensor(0, 8, [-2, -2]) }, 8) }, ['tensor a']],
  [
    'a shape beyond counting',
    { 'model.safetensors': headed({ a: tensor(0, 8, [2 ** 40, 2 ** 40]) }, 8) },
    ['tensor a'],
  ],
  ['a tensor that is null', { 'model.safetensors': headed({ a: null }, 8) }, ['tensor a']],
  ['an escape in a tensor name', { 'model.safetensors': headed({ '\u001b[2Jx': null }) }, ['\\u001b[2Jx']],
  [
    'an index that is no JSON',
    { 'model.safetensors.index.json': '{"weight_map": {' },
    ['index.json', 'ends too early'],
  ],
  ['an index without a map', { 'model.safetensors.index.json': '{}' }, ['no weight_map']],
  [
    'an index of missing files',
    indexFile({ a: 'model-00001-of-00002.safetensors' }),
    ['1 of 1 shards are missing', 'model-00001-of-00002'],
  ],
  ['an index that leaves the folder', indexFile({ a: '../../../etc/passwd' }), ['is no shard of this directory']],
  ['an index of absolute paths', indexFile({ a: '/etc/shadow.safetensors' }), ['is no shard of this directory']],
  ['an index of numbers', indexFile({ a: 1 }), ['is no shard of this directory']],
  [
    'one tensor in two shards',
    {
      ...indexFile({ a: 'x.safetensors', b: 'y.safetensors' }),
      'x.safetensors': headed({ a: tensor(0, 8) }, 8),
      'y.safetensors': headed({ a: tensor(0, 8) }, 8),
    },
    ['tensor a', 'also in x.safetensors'],
  ],
];

describe.concurrent('safetensors', () => {
  it.each(refused)('%s', async (_what, files, says) => {
    const folder = modelFolder(llama(), files);
    expectRefused(await vram(['plan', '-m', folder, '-g', 'rtx4090']), 2, ['safetensors', ...says]);
  });

  it('that hold other tensors than the configuration says are planned with a warning', async () => {
    const folder = modelFolder(llama(), { 'model.safetensors': headed({ 'odd.weight': tensor(0, 8) }, 8) });
    const ran = await vram(['plan', '-m', folder, '-g', 'rtx4090', '--format', 'flags']);
    expectCalm(ran);
    expect(ran.code).toBe(0);
    expect(ran.said).toMatch(/warning: a tensor is in the files but not in the configuration: odd\.weight/);
  });

  it('in a folder without config.json', async () => {
    const { put } = await import('./run.ts');
    put('bare/model.safetensors', headed({}));
    expectRefused(await vram(['plan', '-m', 'bare', '-g', 'rtx4090']), 2, ['bare holds no config.json']);
  });
});
