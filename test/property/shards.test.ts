// Laws of placement over all model presets: shards of a tensor over the ranks give the whole and nothing else, replicated parts count
// once per rank, stage layers add up, experts dealt out are all experts once. What a shard kind means is stated here anew from vLLM's
// parallel layers (model_executor/layers/{linear,vocab_parallel_embedding}.py, fused_moe/layer.py); the tensor list is the model's own.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Shard, TensorGroup } from '../../src/architecture/types.ts';
import { architectureOf } from '../../src/engines/vllm/memo.ts';
import { planVllm } from '../../src/engines/vllm/plan.ts';
import { deviceTensors } from '../../src/engines/vllm/weights/index.ts';
import { type DeviceTensor, Refusal, type WeightsInput } from '../../src/engines/vllm/weights/types.ts';
import { resolveEngineRef } from '../../src/load/engine.ts';
import { vllmRegistry } from '../../src/load/flags.ts';
import { loadPreset, loadPresets } from '../../src/load/presets.ts';
import { vllmPlacement } from '../../src/plan/placement/vllm.ts';
import type { PlanRequest } from '../../src/plan/request.ts';
import type { ModelSpec } from '../../src/spec/model.ts';
import { defaultParallel, type EngineOptions } from '../../src/spec/options.ts';
import { schemeOfCheckpoint } from '../../src/spec/quantization.ts';
import { weightsInput } from '../unit/weights/input.ts';

const release = '0.33.0';
const registry = vllmRegistry();
const engine = resolveEngineRef(`vllm@${release}`);
const h100 = loadPreset('gpus', 'h100-sxm');
/** Every preset that this release loads, with all that one rank without parallelism holds. */
const wholes = new Map(
  loadPresets('models').flatMap((spec) => {
    const tensors = tensorsOf(spec, {});
    return tensors ? [[spec, tensors] as const] : [];
  }),
);
const models = [...wholes.keys()];
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

interface Place {
  tp?: number;
  pp?: number;
  stage?: number;
  tensorRank?: number;
  ep?: boolean;
  partition?: string;
}

/** The rank's tensors in 16 bit, whatever the checkpoint's own scheme; undefined where the release refuses the layout. */
function tensorsOf(spec: ModelSpec, place: Place): DeviceTensor[] | undefined {
  const { tp = 1, pp = 1, stage = 0, tensorRank = 0, ep = false, partition } = place;
  const { scheme: _, ...input } = weightsInput({
    model: spec.id,
    version: release,
    stage,
    tensorRank,
    options: {
      tensorParallelSize: tp,
      pipelineParallelSize: pp,
      enableExpertParallel: ep,
      ...(partition ? { env: { VLLM_PP_LAYER_PARTITION: partition } } : {}),
    },
  });
  try {
    return deviceTensors(input as WeightsInput);
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

function byName(tensors: readonly DeviceTensor[]): Map<string, number> {
  const names = new Map<string, number>();
  for (const { name, bytes } of tensors) names.set(name, (names.get(name) ?? 0) + bytes);
  return names;
}

/** Rows that all ranks hold together of `rows`: the rows once, copies, or with the padding of the vocabulary. */
function rowsOverRanks(rows: number, shard: Shard, tp: number, dimensions: number): number {
  switch (shard.by) {
    case 'replicated':
      return rows * tp;
    case 'column':
      return rows;
    case 'row':
      return dimensions > 1 ? rows : rows * tp;
    case 'vocabulary':
      return Math.ceil(rows / 64) * 64;
    case 'kv-heads':
      return rows * Math.max(1, tp / shard.heads);
    case 'segments':
      return sum(shard.segments.map((segment) => rowsOverRanks(segment.rows, segment.shard, tp, dimensions)));
    case 'expert':
      return rowsOverRanks(rows, shard.inner, tp, dimensions);
  }
}

/** Rows of the merged matrix or tensor of that name, on one rank that holds all and over the ranks. */
function namedRows(spec: ModelSpec, tp: number): Map<string, { whole: number; ranks: number }> {
  const named = new Map<string, { whole: number; ranks: number }>();
  const groups = architectureOf(spec).tensors.filter(
    ({ part, shard, experts, unloaded, idleKv }) =>
      part === 'text' && shard.by !== 'expert' && experts === undefined && !unloaded && !idleKv,
  );
  for (const group of groups) {
    const times = group.alsoValue ? 2 : 1;
    const [rows = 1] = group.shape;
    // BERT's positions and token types are vocabularies to vLLM (model_executor/models/bert.py BertEmbedding).
    const shard: Shard = /(?:position|token_type)_embeddings\.weight$/.test(group.name)
      ? { by: 'vocabulary' }
      : group.shard;
    for (const layer of group.layers ?? [undefined]) {
      const name = nameOf(group, layer);
      const known = named.get(name) ?? { whole: 0, ranks: 0 };
      known.whole += rowsOverRanks(rows, shard, 1, group.shape.length) * times;
      known.ranks += rowsOverRanks(rows, shard, tp, group.shape.length) * times;
      named.set(name, known);
    }
  }
  return named;
}

function nameOf({ name, merge, shape }: TensorGroup, layer: number | undefined): string {
  const placed = (text: string): string => (layer === undefined ? text : text.replace('{layer}', String(layer)));
  if (!merge) return placed(name);
  return `${placed(merge)}${shape.length === 1 ? '.bias' : '.weight'}`;
}

const expertParts = new Set(['experts', 'draft']);
const perRankParts = new Set(['buffers', 'attrs', 'vision']);

describe('tensor parallelism', () => {
  it.each([2, 4, 8])('tp %i: shards of every tensor give the whole; copies and padding are those of its kind', (tp) => {
    const wrong: string[] = [];
    let covered = 0;
    let all = 0;
    let planned = 0;
    for (const spec of models) {
      const shard = tensorsOf(spec, { tp });
      if (!shard) continue;
      planned++;
      const whole = byName(wholes.get(spec)!);
      const rows = namedRows(spec, tp);
      const own = shard.filter(({ part }) => !expertParts.has(part) && !perRankParts.has(part));
      for (const [name, bytes] of byName(own)) {
        const once = whole.get(name);
        if (once === undefined) wrong.push(`${spec.id} ${name} is on a rank and not in the whole`);
        const law = rows.get(name);
        all += once ?? 0;
        if (law) covered += once ?? 0;
        if (law && bytes * tp * law.whole !== once! * law.ranks)
          wrong.push(`${spec.id} ${name}: ${tp} x ${bytes} for ${once}`);
        if (!law && (bytes * tp < once! || bytes > once!)) wrong.push(`${spec.id} ${name}: ${bytes} of ${once}`);
      }
      const held = byName(shard);
      for (const name of rows.keys()) if (whole.has(name) && !held.has(name)) wrong.push(`${spec.id} ${name}`);
    }
    expect(wrong.slice(0, 20)).toEqual([]);
    expect(planned).toBeGreaterThan(120);
    expect(covered / all).toBeGreaterThan(0.99);
  });
});

describe('the vocabulary', () => {
  it('is padded to 64 rows, then cut evenly: only the last ranks hold padding, less than 64 rows of it', () => {
    for (const spec of models) {
      for (const tp of [1, 4]) {
        const ranks = placementOf(spec, { tensorParallelSize: tp });
        const shares = ranks.flatMap(({ vocabulary }) => vocabulary ?? []);
        if (shares.length === 0) continue;
        const { of } = shares[0]!;
        expect(sum(shares.map(({ count }) => count)), spec.id).toBe(Math.ceil(of / 64) * 64);
        expect(sum(shares.map(({ count, padding }) => count - padding)), spec.id).toBe(of);
        expect(shares.map(({ first }) => first)).toEqual(shares.map(({ count }, rank) => rank * count));
      }
    }
  });
});

describe('pipeline parallelism', () => {
  const layouts = fc.record({
    spec: fc.constantFrom(...models),
    tp: fc.constantFrom(1, 2, 4, 8),
    pp: fc.integer({ min: 2, max: 4 }),
    cuts: fc.array(fc.double({ min: 0.01, max: 0.99, noNaN: true }), { minLength: 3, maxLength: 3 }),
    uneven: fc.boolean(),
  });

  it('stages hold every layer once; the embedding is on the first, the head on the last, a tied one on both', () => {
    fc.assert(
      fc.property(layouts, ({ spec, tp, pp, cuts, uneven }) => {
        const architecture = architectureOf(spec);
        const layers = Math.max(...architecture.caches.map(({ layer }) => layer + 1));
        const partition = uneven ? cutInto(layers, cuts.slice(0, pp - 1)) : undefined;
        const whole = tensorsOf(spec, { tp });
        const stages = Array.from({ length: pp }, (_, stage) => tensorsOf(spec, { tp, pp, stage, partition }));
        if (!whole || stages.some((stage) => stage === undefined)) return;
        const layered = (tensors: readonly DeviceTensor[]): DeviceTensor[] =>
          tensors.filter(({ layer, part }) => layer !== undefined && part !== 'vision');
        const together = byName(stages.flatMap((stage) => layered(stage!)));
        expect([...together].sort(), spec.id).toEqual([...byName(layered(whole))].sort());
        const bytes = (stage: number, part: string): number =>
          sum(
            stages[stage]!.filter((tensor) => tensor.part === part && tensor.layer === undefined).map((t) => t.bytes),
          );
        for (let stage = 1; stage < pp - 1; stage++) {
          if (embedsEverywhere.has(spec.architecture)) continue;
          expect([spec.id, bytes(stage, 'embedding'), bytes(stage, 'lm_head')]).toEqual([spec.id, 0, 0]);
        }
        const tables = sum(whole.filter(({ part }) => part === 'embedding').map((tensor) => tensor.bytes));
        if (embedsEverywhere.has(spec.architecture)) return;
        expect(bytes(0, 'embedding'), spec.id).toBe(tables);
        expect(bytes(0, 'lm_head'), spec.id).toBe(0);
        const head = sum(whole.filter(({ part }) => part === 'lm_head').map((tensor) => tensor.bytes));
        expect(bytes(pp - 1, 'lm_head'), spec.id).toBe(head);
        if (architecture.tied) expect(bytes(pp - 1, 'embedding'), spec.id).toBeGreaterThan(0);
        else expect(bytes(pp - 1, 'embedding'), spec.id).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  it('the pool is that of the tightest stage: unequal GPUs have the blocks of the smaller one where it binds', () => {
    const l40s = loadPreset('gpus', 'l40s');
    // Defaults go by the first GPU's memory.
    const fixedBatch = { maxNumSeqs: 256, maxNumBatchedTokens: 8192, maxModelLen: 8192 };
    for (const id of ['llama-3.1-8b', 'qwen2.5-7b', 'qwen3-30b-a3b', 'gemma-3-4b', 'phi-4']) {
      const blocks = (...gpus: (typeof h100)[]): number =>
        planOf(loadPreset('models', id), { ...fixedBatch, pipelineParallelSize: 2 }, gpus).plan.kvCache.numBlocks;
      const both = [blocks(h100, l40s), blocks(l40s, h100)];
      const [large, small] = [blocks(h100, h100), blocks(l40s, l40s)];
      // The tightest rank of two small GPUs is one of the two stages: with only that one small, the pool is the same.
      expect(Math.min(...both), id).toBe(small);
      for (const one of both) expect(one <= large && one >= small, id).toBe(true);
    }
  });
});

/** Classes that build the embedding on every stage (weights.embeddingStages), and those that build it twice. */
const embedsEverywhere = new Set(
  models
    .filter((spec) => {
      const middle = tensorsOf(spec, { pp: 3, stage: 1 });
      return middle?.some(({ part, layer }) => part === 'embedding' && layer === undefined);
    })
    .map(({ architecture }) => architecture),
);

/** Sizes of stages by shares of the layers; every stage has one at least. */
function cutInto(layers: number, cuts: readonly number[]): string {
  const ends = [...cuts].sort((a, b) => a - b).map((cut, i) => Math.max(i + 1, Math.round(cut * layers)));
  const sizes: number[] = [];
  let start = 0;
  for (const [i, end] of ends.entries()) {
    const last = Math.min(Math.max(end, start + 1), layers - (ends.length - i));
    sizes.push(last - start);
    start = last;
  }
  return [...sizes, layers - start].join(',');
}

describe('experts', () => {
  it.each([2, 4, 8])('over %i ranks: dealt out whole they are all experts once, cut they are all of each', (tp) => {
    let mixtures = 0;
    for (const spec of models.filter((model) => architectureOf(model).forward.moe)) {
      const experts = (tensors: readonly DeviceTensor[]): Map<string, number> =>
        byName(tensors.filter(({ part }) => part === 'experts'));
      const whole = wholes.get(spec)!;
      const dealt = Array.from({ length: tp }, (_, tensorRank) => tensorsOf(spec, { tp, tensorRank, ep: true }));
      if (dealt.some((rank) => rank === undefined)) continue;
      mixtures++;
      expect(experts(dealt.flatMap((rank) => rank!)), spec.id).toEqual(experts(whole));
      const shares = placementOf(spec, { tensorParallelSize: tp, enableExpertParallel: true });
      // The checkpoint's own scheme may refuse a layout that 16 bit takes.
      const of = shares[0]?.experts?.of ?? 0;
      const owned = shares.flatMap(({ experts: own }) => Array.from({ length: own!.count }, (_, i) => own!.first + i));
      expect(owned, spec.id).toEqual(Array.from({ length: of }, (_, i) => i));
      const cut = tensorsOf(spec, { tp });
      if (!cut || paddedExperts.has(spec.architecture)) continue;
      const times = new Map([...experts(cut)].map(([name, bytes]) => [name, bytes * tp]));
      for (const [name, bytes] of experts(whole)) {
        // Biases of the second matrix stay whole on every rank.
        const copies = times.get(name) === bytes * tp && /bias/.test(name);
        if (!copies) expect([spec.id, name, times.get(name)]).toEqual([spec.id, name, bytes]);
      }
    }
    expect(mixtures).toBeGreaterThan(30);
  });
});

/** Classes whose experts are no thinner than a kernel takes them (weights.expertMinimumInner). */
const paddedExperts = new Set(
  Object.keys((engine.profile as { 'weights.expertMinimumInner'?: object })['weights.expertMinimumInner'] ?? {}),
);

/** Every layer has one cache of keys and values for all tokens. */
function isPlain(spec: ModelSpec): boolean {
  return architectureOf(spec).caches.every(({ caches }) => caches.length === 1 && caches[0]!.kind === 'full');
}

describe('KV heads', () => {
  it('are divided over the ranks, and repeated once there are more ranks than heads', () => {
    for (const spec of models.filter(isPlain)) {
      const [cache] = architectureOf(spec).caches[0]!.caches;
      const kv = cache?.kind === 'full' ? cache.kvHeads : 1;
      const one = planOf(spec, {}).plan.kvCache.bytesPerToken;
      for (const tp of [2, 4, 8]) {
        const { plan } = planOf(spec, { tensorParallelSize: tp });
        if (plan.verdict.engineError?.includes('divisible') || (kv % tp > 0 && tp % kv > 0)) continue;
        expect([spec.id, tp, plan.kvCache.bytesPerToken]).toEqual([spec.id, tp, (one * Math.max(1, kv / tp)) / kv]);
        const shares = placementOf(spec, { tensorParallelSize: tp }).flatMap(({ kvHeads }) => kvHeads ?? []);
        const held = shares.flatMap(({ first, count }) => Array.from({ length: count }, (_, i) => first + i));
        const copies = Math.max(1, tp / kv);
        const expected = Array.from({ length: kv }, (_, head) => Array.from({ length: copies }, () => head)).flat();
        if (shares.length > 0) expect([spec.id, ...held]).toEqual([spec.id, ...expected]);
      }
    }
  });
});

describe('placement', () => {
  it('bytes by role sum to what each rank holds, for every model, scheme of its own, and layout', () => {
    const layouts = fc.record({
      spec: fc.constantFrom(...loadPresets('models')),
      tensorParallelSize: fc.constantFrom(1, 2, 4, 8),
      pipelineParallelSize: fc.constantFrom(1, 2, 3),
      enableExpertParallel: fc.boolean(),
    });
    fc.assert(
      fc.property(layouts, ({ spec, ...layout }) => {
        const ranks = placementOf(spec, layout);
        for (const { bytes, tensorBytes } of ranks) expect(sum(Object.values(bytes))).toBe(tensorBytes);
        if (ranks.length === 0) return;
        const [{ layers }] = ranks as [(typeof ranks)[number]];
        const perRank = ranks.filter(({ tensorRank }) => tensorRank === 0).map((rank) => rank.layers.count);
        expect(sum(perRank)).toBe(layers.of);
      }),
      { numRuns: 80 },
    );
  });
});

function planOf(spec: ModelSpec, options: Partial<EngineOptions>, gpus = [h100]): ReturnType<typeof planVllm> {
  return planVllm(requestOf(spec, options, gpus), registry);
}

function requestOf(spec: ModelSpec, options: Partial<EngineOptions>, gpus = [h100]): PlanRequest {
  const scheme = spec.quantization ? schemeOfCheckpoint(spec.quantization) : undefined;
  const { version, profile } = engine;
  const asked = { ...defaultParallel, enforceEager: true, ...options };
  return { spec, ...(scheme ? { scheme } : {}), gpus, version, release: engine.release, profile, options: asked };
}

function placementOf(spec: ModelSpec, options: Partial<EngineOptions>): ReturnType<typeof vllmPlacement> {
  const request = requestOf(spec, options);
  return vllmPlacement({ request, planned: planVllm(request, registry) }, architectureOf);
}
