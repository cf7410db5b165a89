// Context parameters against starts of released llama.cpp builds (n_ctx, n_ctx_seq, -fa auto, refusals) and against their sources.
import { describe, expect, it } from 'vitest';
import { architectureRefusal, firstBuildWith } from '../../../src/engines/llamacpp/architectures.ts';
import { buildNumber } from '../../../src/engines/llamacpp/builds.ts';
import { contextParams } from '../../../src/engines/llamacpp/context.ts';
import { readHparams } from '../../../src/engines/llamacpp/read-hparams.ts';
import { loadLlamaRules, loadPresets } from '../../../src/load/presets.ts';
import type { LlamaOptions } from '../../../src/spec/llama-options.ts';
import { load } from './loads.ts';

const llama = {
  architecture: 'llama',
  vocabSize: 128256,
  tensors: [],
  metadata: {
    block_count: 32,
    context_length: 131072,
    embedding_length: 4096,
    feed_forward_length: 14336,
    'attention.head_count': 32,
    'attention.head_count_kv': 8,
    'attention.key_length': 128,
    'attention.value_length': 128,
  },
};

function context(build: string, options: LlamaOptions, metadata: Record<string, number> = {}) {
  const hparams = readHparams({ ...llama, metadata: { ...llama.metadata, ...metadata } });
  return contextParams({ options, hparams, rules: loadLlamaRules(buildNumber(build)!) });
}

describe('n_ctx', () => {
  it.each([
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-c 10000 -np 3 -fa auto -ngl 99', [10752, 3584, 3]],
    ['v0.5.0', 'qwen2.5-7b q4_k_m', '-c 5000 -np 1 -fa auto -ngl 99', [5120, 5120, 1]],
    ['b6673', 'nemotron-nano-9b-v2 q4_k_m', '-c 8192 -np 4 -fa on -ngl 99', [8192, 8192, 4]],
    ['b8390', 'nemotron-nano-9b-v2 q4_k_m', '-c 8192 -np 4 -fa on -ngl 99', [8192, 2048, 4]],
    ['b5640', 'llama-3.1-8b q4_k_m', '-c 8192 -np 4 -fa off -ngl 99', [8192, 8192, 1]],
  ])('%s, %s, %s', (build, model, flags, [nCtx, nCtxSeq, nStream]) => {
    expect(load({ build, model, flags }).context).toMatchObject({ nCtx, nCtxSeq, nStream });
  });

  it('is padded to 32 cells without flash attention in older builds, to 256 in all others', () => {
    expect(context('b4753', { ctxSize: 1000 }).context.nCtx).toBe(1024);
    expect(context('b4753', { ctxSize: 1030 }).context.nCtx).toBe(1056);
    expect(context('b4753', { ctxSize: 1030, flashAttn: 'on' }).context.nCtx).toBe(1280);
    expect(context('b8390', { ctxSize: 1030, flashAttn: 'off' }).context.nCtx).toBe(1280);
  });

  it('is 4096 by default in older builds, the training length in newer ones', () => {
    expect(context('b6673', {}).context.nCtx).toBe(4096);
    expect(context('b8390', {}).context.nCtx).toBe(131072);
    expect(context('b6673', { ctxSize: 0 }).context.nCtx).toBe(131072);
  });
});

describe('defaults of llama-server', () => {
  it('takes four slots that share one cache where the slots are automatic', () => {
    expect(context('v0.5.0', {}).context).toMatchObject({ nSeqMax: 4, kvUnified: true, nStream: 1 });
    expect(context('v0.5.0', { parallel: 4 }).context).toMatchObject({ nSeqMax: 4, kvUnified: false, nStream: 4 });
    expect(context('b6673', {}).context).toMatchObject({ nSeqMax: 1, kvUnified: false });
    expect(context('b5640', { parallel: 4 }).context).toMatchObject({ nSeqMax: 4, kvUnified: true, nStream: 1 });
  });

  it('keeps logits for its slots only since 2026-06, and all of a batch before and in other programs', () => {
    expect(context('v0.5.0', {}).context.nOutputsMax).toBe(4);
    expect(context('b9849', { parallel: 2 }).context.nOutputsMax).toBe(2);
    expect(context('b9270', { parallel: 2 }).context.nOutputsMax).toBe(2048);
    expect(context('v0.5.0', { program: 'llama-cli' }).context.nOutputsMax).toBe(2048);
    expect(context('v0.5.0', { embedding: true, ubatch: 256 }).context.nOutputsMax).toBe(256);
  });

  it('limits the batch to the context and the physical batch to it, at least 64 tokens in older builds', () => {
    expect(context('v0.5.0', { ctxSize: 300 }).context).toMatchObject({ nBatch: 300, nUbatch: 300 });
    expect(context('b6673', { ctxSize: 4096, batch: 32 }).context).toMatchObject({ nBatch: 64, nUbatch: 64 });
    expect(context('v0.5.0', { batch: 32 }).context).toMatchObject({ nBatch: 32, nUbatch: 32 });
    expect(context('v0.5.0', { embedding: true, ubatch: 128 }).context).toMatchObject({ nBatch: 128, nUbatch: 128 });
  });
});

describe('-fa auto', () => {
  it.each([
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-c 8192 -np 1 -fa auto -ngl 16', true],
    ['v0.5.0', 'deepseek-v2-lite q4_k_m', '-c 8192 -np 1 -fa auto -ngl 99', true],
    ['v0.5.0', 'lfm2-1.2b q4_k_m', '-c 8192 -np 1 -fa auto -ngl 16', true],
    ['v0.5.0', 'lfm2-1.2b q4_k_m', '-c 8192 -np 1 -fa auto -ngl 8', false],
    ['v0.5.0', 'nemotron-nano-9b-v2 q4_k_m', '-c 8192 -np 1 -fa auto -ngl 99 -nkvo', false],
    ['v0.5.0', 'nemotron-nano-9b-v2 q4_k_m', '-c 8192 -np 1 -fa auto -ngl 99', true],
    ['v0.5.0', 'gpt-oss-20b mxfp4', '-c 4096 -np 1 -fa auto -ngl 10', true],
    ['b8390', 'gpt-oss-20b mxfp4', '-c 4096 -np 1 -fa auto -ngl 10', false],
    ['b8390', 'gpt-oss-20b mxfp4', '-c 4096 -np 1 -fa auto -ngl 10 --no-op-offload', true],
    ['b8390', 'gpt-oss-20b mxfp4', '-c 4096 -np 1 -fa auto -ngl 99', true],
  ])('%s, %s, %s: %s', (build, model, flags, on) => {
    const { context: params, autoFlash } = load({ build, model, flags });
    expect(autoFlash).toBe(on);
    // The cache was made before auto was decided: V is not transposed either way.
    expect(params).toMatchObject({ flashAttn: on, transposedV: false });
  });

  it('is a switch, off unless given, in older builds', () => {
    expect(context('b5640', {}).context).toMatchObject({ flashAttn: false, transposedV: true });
    expect(context('b5640', { flashAttn: 'on' }).context.flashAttn).toBe(true);
    expect(context('b5640', {}).autoFlash).toBeUndefined();
  });

  it('ends off for heads without a kernel: 192 of K, 128 of V with one query head each', () => {
    const heads = { 'attention.key_length': 192, 'attention.value_length': 128, 'attention.head_count_kv': 32 };
    expect(context('v0.5.0', {}, heads).autoFlash).toBe(false);
    expect(context('b4753', { flashAttn: 'on' }, heads).context.flashAttn).toBe(false);
  });

  it('means on where V is quantized, in newer builds', () => {
    const { context: params, autoFlash } = context('v0.5.0', { cacheTypeV: 'q8_0' });
    expect([params.flashAttn, autoFlash]).toEqual([true, undefined]);
  });
});

describe('refusals', () => {
  it.each([
    ['v0.5.0', 'llama-3.1-8b q4_k_m', '-c 512 -fa off -ctv q8_0', 'quantized V cache requires flash_attn'],
    ['v0.5.0', 'deepseek-v2-lite q4_k_m', '-c 32768 -fa off -ctk q8_0 -ngl 99', 'different K (q8_0) and V (f16)'],
    ['v0.5.0', 'phi-2 q8_0', '-c 2048 -ctk q8_0 -ctv q8_0 -ngl 99', 'does not divide n_embd_head_k=80'],
    ['v0.5.0', 'qwen3-8b q4_k_m', '-c 8192 -ngl 99 -sm row', 'device CUDA0 does not support split buffers'],
    ['b8390', 'gemma-4-e2b q4_0', '-c 8192 -ngl 0', "unknown model architecture: 'gemma4'"],
    ['b6673', 'qwen3.5-27b q4_k_m', '-c 8192 -ngl 0', "unknown model architecture: 'qwen35'"],
    ['b10068', 'minimax-m3 q4_k_m', '-c 807 -ngl 99 -ot token_embd=CUDA0', "unknown model architecture: 'minimax-m3'"],
  ])('%s, %s, %s', (build, model, flags, words) => {
    expect(load({ build, model, flags }).refusal).toContain(words);
  });

  it('of a build between one that lacks an architecture and one that has it stay open', () => {
    const rules = loadLlamaRules(buildNumber('b9500')!);
    const { refusal, note } = architectureRefusal('gemma4', rules);
    expect([refusal, note?.includes('b10068')]).toEqual([undefined, true]);
    expect(firstBuildWith('gemma4', loadPresets('llamacpp-rules'))).toBe('b10068');
    expect(firstBuildWith('llama', loadPresets('llamacpp-rules'))).toBe('b4753');
  });
});
