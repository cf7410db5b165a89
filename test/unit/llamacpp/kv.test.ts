// Caches against what released llama.cpp builds printed and allocated for real-size models, and against published logs.
import { describe, expect, it } from 'vitest';
import { load, printed, toMiB } from './loads.ts';

const base = '-b 2048 -np 1';

describe('cells, layers, streams, MiB of K and V (R and S)', () => {
  it.each([
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-c 8192 -ub 512 -ngl 99', [[8192, 32, 1, 512, 512]]],
    ['b5640', 'qwen3-8b q4_k_m', '-c 32768 -ub 512 -fa on -ctk q8_0 -ctv q8_0 -ngl 99', [[32768, 36, 1, 1224, 1224]]],
    // Sliding layers: window + ubatch, padded like the context, then to 256.
    [
      'b5640',
      'gemma-2-9b q4_k_m',
      '-c 32768 -ub 512 -fa on -ngl 99',
      [
        [32768, 21, 1, 2688, 2688],
        [4608, 21, 1, 378, 378],
      ],
    ],
    [
      'b6673',
      'gpt-oss-20b mxfp4',
      '-c 8192 -ub 512 -fa off -ngl 99',
      [
        [8192, 12, 1, 96, 96],
        [640, 12, 1, 7.5, 7.5],
      ],
    ],
    [
      'b6673',
      'gpt-oss-20b mxfp4',
      '-c 32768 -ub 512 -fa on -ctk q8_0 -ctv q8_0 -ngl 99',
      [
        [32768, 12, 1, 204, 204],
        [768, 12, 1, 4.78, 4.78],
      ],
    ],
    // Without flash attention every V row is as wide as the widest; later layers read an earlier one's cache.
    [
      'v0.5.0',
      'gemma-4-e2b q4_0',
      '-c 131072 -ub 512 -fa off -ngl 99',
      [
        [131072, 3, 1, 384, 384],
        [1024, 12, 1, 6, 12],
      ],
    ],
    [
      'v0.5.0',
      'gemma-4-e2b q4_0',
      '-c 32768 -ub 512 --swa-full -ngl 99',
      [
        [32768, 3, 1, 96, 96],
        [32768, 12, 1, 192, 192],
      ],
    ],
    // Latent attention: the compressed V beside K, then within it.
    ['b6673', 'deepseek-v2-lite q4_k_m', '-c 32768 -ub 512 -fa on -ngl 99', [[32768, 27, 1, 972, 864]]],
    ['v0.5.0', 'deepseek-v2-lite q4_k_m', '-c 8192 -ub 512 -ngl 99', [[8192, 27, 1, 243, 0]]],
    // The block of multi-token prediction.
    ['b10068', 'glm-4.5-air q4_k_m', '-c 8192 -ub 512 -fa off -ngl 99', [[8192, 47, 1, 752, 752]]],
    ['v0.5.0', 'glm-4.5-air q4_k_m', '-c 32768 -ub 512 -fa off -ngl 99', [[32768, 46, 1, 2944, 2944]]],
    // States.
    [
      'b8390',
      'lfm2-1.2b q4_k_m',
      '-c 8192 -ub 512 -fa on -ngl 8',
      [
        [8192, 6, 1, 48, 48],
        [1, 10, 1, 0.16, 0],
      ],
    ],
    [
      'v0.5.0',
      'qwen3.5-27b q4_k_m',
      '-c 8192 -ub 512 -fa on -ngl 99',
      [
        [8192, 16, 1, 256, 256],
        [1, 48, 1, 5.63, 144],
      ],
    ],
  ])('%s, %s, %s', (build, model, flags, caches) => {
    expect(printed(load({ build, model, flags: `${flags} ${base}` }).caches)).toEqual(caches);
  });

  it('with several sequences', () => {
    const nemotron = { build: 'b6673', model: 'nemotron-nano-9b-v2 q4_k_m' };
    const separate = load({ ...nemotron, flags: '-c 8192 -np 4 -fa on -ngl 99' });
    expect(printed(separate.caches)).toEqual([
      [8192, 4, 4, 256, 256],
      [4, 27, 1, 15.19, 540],
    ]);
    const shared = load({ ...nemotron, flags: '-c 8192 -np 4 -kvu -fa off -ngl 99' });
    expect(printed(shared.caches)[0]).toEqual([8192, 4, 1, 64, 64]);
    const sliding = load({ model: 'gemma-2-9b q4_k_m', flags: '-c 8192 -np 4 -kvu -ngl 99' });
    expect(sliding.caches.map(({ cells }) => cells)).toEqual([8192, 8192]);
  });
});

describe('buffers by place', () => {
  it.each([
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-ngl 16', 1, { cpu: 570425344, 0: 503316480 }, {}],
    ['v0.5.0', 'phi-4 q4_k_m', '-ngl 99 -nkvo', 1, { cpu: 1677721600 }, {}],
    ['b8390', 'lfm2-1.2b q4_k_m', '-fa on -ngl 8', 1, { cpu: 50331648, 0: 50331648 }, { cpu: 98304, 0: 65536 }],
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-ngl 99 -ts 3,1', 2, { 0: 838860800, 1: 234881024 }, {}],
    // States counted as KV buffers in older builds.
    ['b4753', 'mamba-130m f16', '-ngl 99', 1, { 0: 2801664 }, {}],
  ])('%s, %s, %s, %i GPUs', (build, model, flags, gpus, kv, rs) => {
    const { buffers } = load({ build, model, flags: `-c 8192 ${base} ${flags}`, gpus });
    expect(Object.fromEntries(buffers.kv)).toEqual(kv);
    expect(Object.fromEntries(buffers.rs)).toEqual(rs);
  });

  it('pads quantized rows of K and V on a GPU to whole rows of 512', () => {
    const { buffers, caches } = load({ model: 'qwen2.5-3b q4_k_m', flags: '-c 4096 -ctk q8_0 -ctv q8_0 -ngl 99' });
    const data = caches[0]!.layers.reduce((sum, { keyBytes, valueBytes }) => sum + keyBytes + valueBytes, 0);
    // 2 KV heads of 128: the second half of a row, in blocks of 34 bytes for 32 values, for K and V of 36 layers.
    const perTensor = Math.ceil((((512 - 256) / 32) * 34) / 128) * 128;
    expect(buffers.kv.get(0)! - data).toBe(2 * 36 * perTensor);
  });
});

describe('published logs', () => {
  it.each([
    ['b5750', 'qwen3-30b-a3b q4_k_m', '-c 16384 -fa off -ngl 99 --n-cpu-moe 99', 1536, 0],
    ['b7550', 'gpt-oss-20b mxfp4', '-c 131072 -ub 2048 -fa on -ngl 99', 3126, 0],
    ['b9600', 'qwen3.5-35b-a3b q4_k_m', '-c 131072 -fa on -ngl 99', 2560, 251.25],
    ['b9270', 'qwen3.5-27b q4_k_m', '-c 131072 -fa on -ctk q8_0 -ctv q8_0 -ngl 99', 4352, 598.5],
  ])('%s, %s: %f MiB of KV, %f of states', (build, model, flags, kv, rs) => {
    const sum = (bytes: ReadonlyMap<unknown, number>): number => toMiB([...bytes.values()].reduce((a, b) => a + b, 0));
    const { buffers } = load({ build, model, flags });
    expect([sum(buffers.kv), sum(buffers.rs)]).toEqual([kv, rs]);
  });
});

/** Derived from the source of v0.5.0: no such model was measured. */
describe('sparse attention', () => {
  const deepseek = (architecture: string, more: Record<string, number | number[]>) => ({
    architecture,
    vocabSize: 1000,
    tensors: [],
    metadata: {
      block_count: 4,
      context_length: 65536,
      embedding_length: 1024,
      feed_forward_length: 2048,
      'attention.head_count': 16,
      'attention.head_count_kv': 1,
      'attention.key_length': 576,
      'attention.value_length': 512,
      'attention.key_length_mla': 192,
      'attention.value_length_mla': 128,
      'attention.kv_lora_rank': 512,
      'attention.indexer.head_count': 64,
      'attention.indexer.key_length': 128,
      'attention.indexer.top_k': 2048,
      ...more,
    },
  });

  it('caches one key of the indexer per token beside latent K', () => {
    const { caches } = load({ model: deepseek('deepseek32', {}), flags: '-c 4096 -np 1 -ngl 99' });
    expect(caches.map(({ kind, cells, layers }) => [kind, cells, layers.length])).toEqual([
      ['full', 4096, 4],
      ['indexer', 4096, 4],
    ]);
    expect(caches[1]!.layers[0]).toMatchObject({ keyBytes: 4096 * 128 * 2, valueBytes: 0 });
  });

  it('compresses by layer in DeepSeek-V4: 4 or 128 tokens a cell', () => {
    const model = deepseek('deepseek4', {
      'attention.key_length': 512,
      'attention.sliding_window': 128,
      'attention.compress_ratios': [0, 4, 128, 4],
    });
    const { caches } = load({ model, flags: '-c 64000 -ub 4096 -b 4096 -np 1 -ngl 99' });
    // The published log of DeepSeek-V4-Flash has 4352 cells of raw K for a window of 128 and 4096 tokens a batch.
    expect(caches.slice(0, 4).map(({ kind, cells, layers }) => [kind, cells, layers.length])).toEqual([
      ['sliding', 4352, 4],
      ['full', 16128, 2],
      ['full', 512, 1],
      ['indexer', 16128, 2],
    ]);
  });
});
