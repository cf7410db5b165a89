// Speculative decoding against llama.cpp itself: contexts over a model's own drafting blocks, draft models, what they do to the target,
// and which contexts the builds make for them (tools/server/server-context.cpp of each).
import { describe, expect, test } from 'vitest';
import { applyMix } from '../../../src/accounting/gguf-mix/index.ts';
import { toGguf } from '../../../src/architecture/gguf/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { buildNumber } from '../../../src/engines/llamacpp/builds.ts';
import { loadTogether } from '../../../src/engines/llamacpp/companions.ts';
import { bytesAt, type LlamaLoad, loadModel } from '../../../src/engines/llamacpp/load.ts';
import { planLlama } from '../../../src/engines/llamacpp/plan.ts';
import { readHparams } from '../../../src/engines/llamacpp/read-hparams.ts';
import type { LlamaRequest } from '../../../src/engines/llamacpp/request.ts';
import type { LlamaRules } from '../../../src/engines/llamacpp/rules.ts';
import { findPreset, loadLlamaRules } from '../../../src/load/presets.ts';
import type { GgufModel } from '../../../src/spec/gguf.ts';
import { type LlamaOptions, readLlamaWords } from '../../../src/spec/llama-options.ts';
import { MiB } from '../../../src/units.ts';
import { draftFigures } from './draft-figures.ts';

const rulesOf = (build: string): LlamaRules => loadLlamaRules(buildNumber(build)!);
const models = new Map<string, GgufModel>();

function modelOf(id: string, drafts = true): GgufModel {
  const key = `${id} ${drafts}`;
  const spec = findPreset('models', id)!;
  if (!models.has(key))
    models.set(key, applyMix(toGguf(spec, expandArchitecture(spec), drafts ? { drafts } : {})!, 'q4_k_m'));
  return models.get(key)!;
}

interface Asked {
  build: string;
  model: string;
  options: LlamaOptions;
  draft?: string;
  gpus?: number;
}

function load({ build, model: id, options, draft, gpus = 1 }: Asked): LlamaLoad {
  const model = modelOf(id, draft === undefined);
  const freeBytes = Array.from({ length: gpus }, () => 2 ** 40);
  const beside = draft === undefined ? undefined : modelOf(draft, false);
  const input = { model, hparams: readHparams(model), rules: rulesOf(build), freeBytes };
  return loadTogether(input, beside ? { draft: { model: beside, hparams: readHparams(beside) } } : {}, options);
}

/** The oracle prints mapped memory in MiB only. */
const measured = (bytes: LlamaLoad['bytes']) =>
  Object.fromEntries(
    Object.entries(bytes)
      .map(
        ([kind, at]) => [kind, Object.fromEntries(Object.entries(at).filter(([place]) => place !== 'mapped'))] as const,
      )
      .filter(([, at]) => Object.keys(at).length > 0),
  );

describe('blocks of multi-token prediction', () => {
  test.each(draftFigures)('$model in $build: $flags', ({ build, model, flags, gpus, target, draft }) => {
    const { options } = readLlamaWords(flags.split(' '));
    const made = load({ build, model, gpus, options: { ...options, specType: ['draft-mtp'], draftMax: 3 } });
    expect(made.refusal).toBeUndefined();
    expect(measured(made.draft!.bytes)).toEqual(draft);
    expect(measured(made.bytes)).toEqual(target);
  });

  test('of Qwen3.6-27B: 272 MiB of cache in 8 bits at 131072 tokens, as a start-up log has it', () => {
    const options: LlamaOptions = {
      ctxSize: 131072,
      parallel: 4,
      kvUnified: true,
      gpuLayers: 99,
      specType: ['draft-mtp'],
      cacheTypeKDraft: 'q8_0',
      cacheTypeVDraft: 'q8_0',
    };
    const { draft } = load({ build: 'v0.5.0', model: 'qwen3.6-27b', options });
    expect(draft!.bytes.kv.gpu0! / MiB).toBe(272);
  });

  test('are not loaded unless they draft, and cannot where there are none', () => {
    const options: LlamaOptions = { ctxSize: 4096, parallel: 1, gpuLayers: 99 };
    const plain = load({ build: 'v0.5.0', model: 'qwen3.5-9b', options });
    const drafting = load({ build: 'v0.5.0', model: 'qwen3.5-9b', options: { ...options, specType: ['draft-mtp'] } });
    expect(plain.draft).toBeUndefined();
    expect(drafting.bytes.model.gpu0!).toBeGreaterThan(plain.bytes.model.gpu0!);
    const none = load({ build: 'v0.5.0', model: 'llama-3.1-8b', options: { ...options, specType: ['draft-mtp'] } });
    expect(none.refusal).toContain("doesn't contain MTP layers");
  });
});

describe('draft models', () => {
  const options: LlamaOptions = {
    ctxSize: 8192,
    parallel: 4,
    kvUnified: true,
    gpuLayers: 99,
    modelDraft: 'x',
    gpuLayersDraft: 99,
  };
  const asked = (build: string, more: LlamaOptions = {}): LlamaLoad =>
    load({ build, model: 'llama-3.1-8b', draft: 'llama-3.2-1b', options: { ...options, ...more } });
  const alone = (build: string, own: LlamaOptions): LlamaLoad => {
    const model = modelOf('llama-3.2-1b', false);
    return loadModel({ model, hparams: readHparams(model), rules: rulesOf(build), freeBytes: [2 ** 40] }, own);
  };

  test('are a load of their own, with the context of the target', () => {
    const { draft } = asked('v0.5.0');
    const own = alone('v0.5.0', { ctxSize: 8192, parallel: 4, kvUnified: true, gpuLayers: 99 });
    expect(draft!.bytes).toEqual(own.bytes);
    expect(draft!.contexts).toBe(1);
  });

  test('have a context for each slot before b10068: weights once, caches and buffers four times', () => {
    const { draft } = asked('b8390', { kvUnified: false });
    const own = alone('b8390', { ctxSize: 2048, parallel: 1, batch: 2048, gpuLayers: 99 });
    expect(draft!.contexts).toBe(4);
    expect(draft!.bytes.model).toEqual(own.bytes.model);
    expect(draft!.bytes.kv.gpu0).toBe(4 * own.bytes.kv.gpu0!);
    expect(draft!.bytes.compute.gpu0).toBe(4 * own.bytes.compute.gpu0!);
  });

  test('take -cd where it exists, and 16-bit caches whatever is asked before b6673', () => {
    const cache = { cacheTypeKDraft: 'q8_0', cacheTypeVDraft: 'q8_0', flashAttn: 'on' } as const;
    const [b5640, b6673] = ['b5640', 'b6673'].map((build) => asked(build, { ctxSizeDraft: 1024, ...cache }).draft!);
    expect([b5640!.context.typeK, b6673!.context.typeK]).toEqual(['f16', 'q8_0']);
    expect([b5640!.context.nCtx, b6673!.context.nCtx]).toEqual([1024, 1024]);
    expect(asked('v0.5.0', { ctxSizeDraft: 1024 }).draft!.context.nCtx).toBe(8192);
  });

  test('get the training length in b10361 where -c is not given, because the fit does not reach them', () => {
    const { ctxSize: _, ...unset } = options;
    const input = { build: 'b10361', model: 'llama-3.1-8b', draft: 'llama-3.2-1b', options: unset };
    expect(load(input).draft!.context.nCtx).toBe(131072);
  });

  test('widen what the target keeps logits for: every slot and its drafted tokens', () => {
    const outputs = (build: string, more: LlamaOptions = {}): number => asked(build, more).context.nOutputsMax;
    expect(outputs('v0.5.0')).toBe(4 * 4);
    expect(outputs('v0.5.0', { draftMax: 7 })).toBe(4 * 8);
    expect(outputs('v0.5.0', { specType: ['ngram-mod'] })).toBe(4 * 65);
    expect(outputs('v0.5.0', { specType: ['none'] })).toBe(4);
    expect(outputs('v0.5.0', { draftMax: 1000 })).toBe(2048);
    expect(outputs('b8390')).toBe(2048);
  });

  test('stay in host memory with their own -ngl', () => {
    const { draft } = asked('v0.5.0', { gpuLayersDraft: 0 });
    expect(draft!.bytes.kv.gpu0).toBeUndefined();
    expect(draft!.bytes.kv.cpu).toBeGreaterThan(0);
  });

  test('split over GPUs by what the target leaves free', () => {
    const both = load({ build: 'v0.5.0', model: 'llama-3.1-8b', draft: 'llama-3.2-1b', gpus: 2, options });
    expect(both.draft!.placement.layersPerGpu).toEqual([9, 8]);
    expect(bytesAt(both, 'gpu0')).toBe(bytesAt({ bytes: both.bytes }, 'gpu0') + bytesAt(both.draft!, 'gpu0'));
  });
});

describe('a plan', () => {
  const spec = findPreset('models', 'llama-3.1-8b')!;
  const request = (build: string, options: LlamaOptions, drafts = true): LlamaRequest => ({
    spec,
    model: modelOf('llama-3.1-8b', false),
    scheme: 'q4_k_m',
    gpus: [findPreset('gpus', 'rtx3060')!],
    version: build,
    build: buildNumber(build)!,
    rules: rulesOf(build),
    options: drafts ? { ...options, modelDraft: 'draft.gguf' } : options,
    ...(drafts ? { draft: { model: modelOf('llama-3.2-1b', false), name: 'llama-3.2-1b', scheme: 'q4_k_m' } } : {}),
  });

  test('counts the draft in the headroom and as an item of its own; the buffers stay the target own', () => {
    const { plan } = planLlama(request('v0.5.0', { ctxSize: 8192, parallel: 1, gpuLayers: 99 }));
    const item = plan.devices[0]!.items.find(({ id }) => id === 'draft')!;
    const inside = Object.values(plan.draft!.buffersBytes).reduce((sum, at) => sum + (at?.gpu0 ?? 0), 0);
    expect(item.bytes).toBe(inside);
    expect(item.confidence).toBe('exact');
    expect(plan.draft!.model).toBe('llama-3.2-1b q4_k_m');
    const total = plan.devices[0]!.items.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(total).toBe(plan.devices[0]!.totalBytes);
  });

  test.each(['v0.5.0', 'b10361'])('-fit of %s leaves room for it', (build) => {
    const fitted = (drafts: boolean) => planLlama(request(build, { parallel: 1 }, drafts)).plan;
    const [without, beside] = [fitted(false), fitted(true)];
    expect(beside.fit!.status).toBe('success');
    expect(beside.fit!.nCtx).toBeLessThan(without.fit!.nCtx);
  });

  test('-fit of b8390 does not know of it', () => {
    const fitted = (drafts: boolean) => planLlama(request('b8390', { parallel: 1 }, drafts)).plan;
    expect(fitted(true).fit!.nCtx).toBe(fitted(false).fit!.nCtx);
    expect(fitted(true).verdict.fits).toBe(false);
    expect(fitted(true).verdict.reason).toMatch(/of the draft/);
  });
});
