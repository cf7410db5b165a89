// Output buffers against released llama.cpp builds and published logs.
import { describe, expect, it } from 'vitest';
import { buildNumber } from '../../../src/engines/llamacpp/builds.ts';
import { contextOverhead } from '../../../src/engines/llamacpp/output.ts';
import { loadLlamaRules } from '../../../src/load/presets.ts';
import { MiB } from '../../../src/units.ts';
import { load, toMiB } from './loads.ts';

describe('output buffer', () => {
  it.each([
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-c 8192 -np 1 -ngl 99', 513024, 'pinned'],
    ['v0.5.0', 'qwen3-235b-a22b q4_k_m', '-c 32768 -np 4 -ngl 99', 2430976, 'pinned'],
    ['v0.5.0', 'llama-3.2-1b q8_0', '-c 8192 -np 1 -ngl 0', 513024, 'cpu'],
    // Older builds leave the output on the host unless -ngl exceeds the blocks.
    ['b6673', 'llama-3.1-8b q4_k_m', '-c 8192 -np 1 -fa on -ngl 16', 513024, 'cpu'],
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-c 8192 -np 1 -ngl 16', 513024, 'pinned'],
  ])('%s, %s, %s', (build, model, flags, bytes, place) => {
    expect(load({ build, model, flags }).output).toEqual({ bytes, place });
  });

  it('of a published log: 3.79 MiB for four slots of Qwen3.5', () => {
    const { output } = load({ build: 'b9270', model: 'qwen3.5-27b q4_k_m', flags: '-c 131072 -fa on -ngl 99' });
    expect(toMiB(output.bytes)).toBe(3.79);
  });

  const bert = {
    architecture: 'nomic-bert',
    vocabSize: 30522,
    tensors: [],
    metadata: {
      block_count: 12,
      context_length: 2048,
      embedding_length: 768,
      'attention.head_count': 12,
      pooling_type: 1,
    },
  };

  it('has embeddings beside logits; older builds had them instead, and none when pooled', () => {
    const flags = '-c 2048 -np 1 -fa off -ngl 99 --embedding';
    expect(load({ build: 'b8390', model: bert, flags }).output.bytes).toBe(125160);
    expect(load({ build: 'b4753', model: bert, flags }).output.bytes).toBe(0);
  });
});

it('what a process takes beside its buffers is an estimate that holds the published figures', () => {
  const { bytes, low, high } = contextOverhead(loadLlamaRules(buildNumber('v0.5.0')!));
  expect([bytes > low, bytes < high]).toEqual([true, true]);
  for (const observed of [153, 297, 304.7, 753]) {
    expect(observed * MiB).toBeGreaterThanOrEqual(low);
    expect(observed * MiB).toBeLessThanOrEqual(high);
  }
});
