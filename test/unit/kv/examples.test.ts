// Worked examples of KV-cache arithmetic and figures that published start-ups printed: blocks, tokens, concurrency by model and
// release. Pools are given in whole GiB unless a log states its blocks.
import { describe, expect, it } from 'vitest';
import { GiB } from '../../../src/units.ts';
import { type Start, start } from './oracle.ts';

function planned(what: Start & { gib: number; length?: number }) {
  const { pool } = start(what);
  const plan = pool(Math.floor(what.gib * GiB), what.length);
  return { blocks: plan.numBlocks, tokens: plan.tokens, concurrency: Number(plan.maxConcurrency.toFixed(2)), plan };
}

const batch = (maxNumBatchedTokens: number) => ({ maxNumBatchedTokens });

describe('worked examples', () => {
  it('Llama-3.1-8B: one page of 65,536 bytes per layer, halved by tp 2 or fp8', () => {
    const llama = { model: 'llama-3.1-8b', version: '0.20.2', gib: 50 };
    expect(planned(llama)).toMatchObject({ blocks: 25600, tokens: 409600, concurrency: 3.13 });
    expect(planned({ ...llama, options: { tensorParallelSize: 2 } }).blocks).toBe(51200);
    expect(planned({ ...llama, options: { kvCacheDtype: 'fp8' } }).blocks).toBe(51200);
  });

  it.each([
    ['0.22.1', 8192, 2053902, 15.67],
    ['0.22.1', 2048, 2148595, 16.39],
    ['0.30.0', 8192, 1939908, 14.8],
    ['0.30.0', 2048, 2116075, 16.14],
    ['0.19.1', 8192, 1092256, 15.67],
  ])('gpt-oss-20b on %s with %i batched tokens', (version, tokens, line, concurrency) => {
    const result = planned({ model: 'gpt-oss-20b', version, gib: 50, options: batch(tokens) });
    expect(result).toMatchObject({ blocks: 136533, tokens: line, concurrency });
  });

  it('Gemma-3-27B: ten full layers against 52 windows, eight padding layers', () => {
    const gemma = { model: 'gemma-3-27b', version: '0.22.1', gib: 12, length: 131072 };
    const fits = planned({ ...gemma, options: batch(2048) });
    expect(fits).toMatchObject({ blocks: 9830, tokens: 137800, concurrency: 1.05 });
    expect(fits.plan.warnings).toEqual(['Add 8 padding layers, may waste at most 15.38% KV cache memory']);
    expect(fits.plan.groups.map((group) => group.layers).sort()).toEqual([10, 8, 8, 9, 9, 9, 9].sort());
    const tight = planned({ ...gemma, options: batch(8192) });
    expect(tight).toMatchObject({ concurrency: 0.84 });
    expect(tight.plan.refusal?.kind).toBe('too-long');
    expect(planned({ ...gemma, version: '0.18.1', options: batch(8192) }).plan.refusal).toBeNull();
  });

  it('Gemma-2-9B: equal buckets', () => {
    expect(planned({ model: 'gemma-2-9b', version: '0.22.1', gib: 20, length: 8192 })).toMatchObject({
      blocks: 7801,
      tokens: 62347,
      concurrency: 7.61,
    });
  });

  it('Qwen3-Next: state pages inside attention blocks of 544 tokens', () => {
    const next = { model: 'qwen3-next-80b-a3b', gib: 20, length: 262144 };
    const none = planned({ ...next, version: '0.22.1' });
    expect(none).toMatchObject({ blocks: 1606, tokens: 868047, concurrency: 3.31 });
    expect(none.plan.blockSize).toBe(544);
    expect(planned({ ...next, version: '0.28.0' })).toMatchObject({ concurrency: 3.29 });
    const split = start({ model: 'qwen3-next-80b-a3b', version: '0.22.1', options: { tensorParallelSize: 4 } });
    expect(split.specs.blockSize).toBe(272);
  });

  it('Nemotron-Nano-9B-v2: blocks of 672 or, with float32 states, 1312 tokens', () => {
    const nano = { model: 'nemotron-nano-9b-v2', options: { maxModelLen: 131072 } };
    expect(start({ ...nano, version: '0.12.0' }).specs.blockSize).toBe(672);
    const wide = planned({
      ...nano,
      version: '0.22.1',
      gib: 60,
      options: { maxModelLen: 131072, mambaSsmCacheDtype: 'float32' },
    });
    expect(wide).toMatchObject({ blocks: 2997, concurrency: 28.01 });
    expect(wide.plan.blockSize).toBe(1312);
    expect(wide.plan.warnings).toEqual(['Add 1 padding layers, may waste at most 3.70% KV cache memory']);
  });

  it('Jamba pads its states by 5.26 %', () => {
    const { specs } = start({ model: 'jamba-1.5-mini', version: '0.20.2' });
    expect(specs.blockSize).toBe(80);
    expect(specs.logLines.join('\n')).toContain('Padding mamba page size by 5.26%');
  });

  it.each([
    ['deepseek-v3', '0.20.2', undefined, 70272],
    ['deepseek-v3', '0.20.2', 'fp8', 35136],
    ['deepseek-v3', '0.7.3', undefined, 78080],
    ['deepseek-v3.2', '0.20.2', undefined, 78324],
    ['deepseek-v3.2', '0.20.2', 'fp8', 48068],
  ])('%s on %s with cache %s takes %i bytes a token', (model, version, kvCacheDtype, bytes) => {
    const { specs } = start({ model, version, options: { tensorParallelSize: 8, kvCacheDtype } });
    const total = specs.stages[0]!.reduce((sum, spec) => sum + spec.pageBytes / spec.blockSize, 0);
    expect(total).toBe(bytes);
  });
});

describe('published start-ups', () => {
  it('Qwen3.8-27B on tp 2 with an fp8 cache prints 302,921 tokens', () => {
    const { specs, pool } = start({
      model: 'qwen3.8-27b',
      version: '0.28.0',
      options: { tensorParallelSize: 2, kvCacheDtype: 'fp8', maxModelLen: 131072 },
    });
    expect(specs.blockSize).toBe(1568);
    const { bytesPerBlock } = pool(GiB);
    expect(pool(208 * bytesPerBlock)).toMatchObject({ numBlocks: 208, tokens: 302921 });
  });

  it.each([
    [299, 567978],
    [300, 569878],
  ])('Qwen3.5-35B-A3B in %i blocks prints %i tokens', (blocks, tokens) => {
    const { specs, pool } = start({
      model: 'qwen3.5-35b-a3b',
      version: '0.24.0',
      gpu: 'rtx5090',
      options: { kvCacheDtype: 'fp8', maxModelLen: 131072, enablePrefixCaching: true },
    });
    expect(specs.blockSize).toBe(2096);
    const { bytesPerBlock } = pool(GiB);
    expect(bytesPerBlock).toBe(21463040);
    expect(pool(blocks * bytesPerBlock)).toMatchObject({ numBlocks: blocks, tokens });
  });

  it.each([
    ['gemma-3-27b', 15997, 36560, 4.46, 1],
    ['gemma-3-4b', 204817, 468144, 57.05, 1],
    ['gemma-3-12b', 48867, 130304, 15.88, 1],
    ['gemma-2-27b', 7335, 58672, 7.16, 1],
    ['llama-4-scout', 91495, 365968, 44.68, 4],
  ])('%s with %i blocks prints %i tokens and %fx on 0.19', (model, blocks, tokens, concurrency, tp) => {
    const { pool } = start({
      model,
      version: '0.19.0',
      options: { tensorParallelSize: tp, maxModelLen: 8192, maxNumBatchedTokens: 8192 },
    });
    const plan = pool(blocks * pool(GiB).bytesPerBlock);
    expect(plan).toMatchObject({ numBlocks: blocks, tokens });
    expect(plan.maxConcurrency).toBeCloseTo(concurrency, 2);
  });
});
