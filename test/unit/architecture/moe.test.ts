import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compareEntry, type TensorFile } from '../../../scripts/tensors.ts';
import { parameterCount } from '../../../src/architecture/build.ts';
import { moeFamilies } from '../../../src/architecture/families/moe/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import type { Architecture } from '../../../src/architecture/types.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import type { ModelSpec } from '../../../src/spec/model.ts';

const published = JSON.parse(
  readFileSync(new URL('../../ground-truth/tensors.json', import.meta.url), 'utf8'),
) as TensorFile;
const wrapped = ['llama4', 'kimi_k25', 'minimax_m3_vl', 'qwen3_vl_moe', 'glm4v_moe'];
const isMixture = (spec: ModelSpec) => Boolean(moeFamilies[spec.modelType]) || wrapped.includes(spec.modelType);
const mixtures = loadPresets('models').filter(isMixture);
const preset = (id: string) => loadPresets('models').find((spec) => spec.id === id)!;
const expand = (id: string) => expandArchitecture(preset(id));

describe('mixture-of-experts and MLA families', () => {
  const entries = published.models.flatMap((entry) => {
    const spec = mixtures.find(({ id }) => id === entry.name);
    return spec ? [{ entry, spec }] : [];
  });
  it('are judged by many published checkpoints', () => {
    expect(entries.length).toBeGreaterThan(25);
    expect(mixtures.length).toBeGreaterThan(50);
  });

  it.each(entries.map(({ entry, spec }) => [entry.name, entry, spec] as const))(
    '%s has the published tensors',
    (_, entry, spec) => {
      expect(compareEntry(entry, spec)).toEqual([]);
    },
  );

  it.each(mixtures.map((spec) => [spec.id, spec] as const))('%s has the parameter count of its formula', (id, spec) => {
    // MiniMax-M3's formula leaves out the routing bias of its 57 expert layers, which use_routing_bias asks for.
    const missing = id === 'minimax-m3' ? 57 * 128 : 0;
    expect(parameterCount(expandArchitecture(spec).tensors, 'text')).toBe(spec.parameters! + missing);
  });

  /** Published sizes of the prediction layers without copies of embedding and head (param-formulas: MTP block). */
  it.each([
    ['deepseek-v3', 11610068224],
    ['deepseek-v3.2', 11624027648],
    ['deepseek-v4-flash', 6610048891],
    ['deepseek-v4-pro', 25840145979],
    ['glm-4.5-air', 2375059584],
    ['glm-4.7', 3988069792],
    ['glm-4.7-flash', 643706176],
    ['glm-5', 9952920576],
    ['kimi-k2', 0],
  ])('%s keeps its prediction layer apart', (id, parameters) => {
    expect(parameterCount(expand(id).tensors, 'mtp')).toBe(parameters);
  });

  it.each(mixtures.map((spec) => [spec.id, spec] as const))(
    '%s has a cache entry per layer, each tensor name once',
    (_, spec) => {
      const { caches, tensors, forward } = expandArchitecture(spec);
      expect(caches.map(({ layer }) => layer)).toEqual(Array.from({ length: spec.config.layers }, (_, layer) => layer));
      const names = tensors.flatMap((group) => (group.layers ?? [-1]).map((layer) => `${layer} ${group.name}`));
      expect(new Set(names).size).toBe(names.length);
      expect(forward.moe === undefined).toBe(spec.config.experts === undefined);
    },
  );
});

/** What vLLM's own classes answer for these models (test/ground-truth/vllm-oracle.jsonl, kv.layers and largeBuffers). */
describe('caches of mixtures', () => {
  const kinds = (built: Architecture) => {
    const counts: Record<string, number> = {};
    for (const { caches } of built.caches) {
      for (const cache of caches) {
        const name = cache.kind === 'special' ? cache.variant : cache.kind;
        counts[name] = (counts[name] ?? 0) + 1;
      }
    }
    return counts;
  };

  it.each([
    ['mixtral-8x7b', { full: 32 }],
    ['phi-mini-moe', { sliding: 32 }],
    ['qwen1.5-moe-a2.7b', { full: 24 }],
    ['gpt-oss-120b', { sliding: 18, full: 18 }],
    ['llama-4-maverick', { chunked: 36, full: 12 }],
    ['mimo-v2-flash', { full: 9, sliding: 39 }],
    ['minimax-m1', { state: 70, full: 10 }],
    ['minimax-m3', { full: 60, indexer: 57 }],
    ['deepseek-v2-lite', { mla: 27 }],
    ['deepseek-v3.2', { mla: 61, indexer: 61 }],
    ['glm-5', { mla: 78, indexer: 78 }],
    ['glm-5.2', { mla: 78, indexer: 21 }],
    ['minicpm3-4b', { full: 62 }],
    ['deepseek-v4-pro', { 'v4-window': 61, 'v4-compressed': 61, 'v4-indexer': 30, 'v4-compressor-state': 91 }],
  ])('%s', (id, counts) => {
    expect(kinds(expand(id))).toEqual(counts);
  });

  it('expand the latent of MiniCPM3 into ordinary attention', () => {
    expect(expand('minicpm3-4b').caches[0]!.caches).toEqual([{ kind: 'full', kvHeads: 40, headDim: 96 }]);
  });

  it('give window layers of MiMo-V2-Flash their own heads', () => {
    const { caches, rotary } = expand('mimo-v2-flash');
    expect(caches[0]!.caches[0]).toMatchObject({ kind: 'full', kvHeads: 4, headDim: 192, valueHeadDim: 128 });
    expect(caches[1]!.caches[0]).toMatchObject({
      kind: 'sliding',
      kvHeads: 8,
      window: 128,
      valueHeadDim: 128,
      sinks: true,
    });
    expect(rotary.map(({ dim, rope }) => [dim, rope.theta])).toEqual([
      [64, 5000000],
      [64, 10000],
    ]);
  });

  /** DeepSeek-V3.2's indexer rotates in halves and needs a second table, GLM-5's interleaves as the latent does. */
  it('make a second rotary table only for an indexer that rotates otherwise', () => {
    expect(expand('deepseek-v3.2').rotary).toHaveLength(2);
    expect(expand('glm-5').rotary).toHaveLength(1);
    expect(expand('glm-5.2-fp8').rotary).toHaveLength(2);
  });
});

describe('tensor parallel rules of mixtures', () => {
  const shardOf = (id: string, name: string) => {
    const group = expand(id).tensors.find((entry) => entry.name.endsWith(name))!;
    return group.shard.by;
  };

  it.each([
    ['q_a_proj.weight', 'replicated'],
    ['kv_a_proj_with_mqa.weight', 'replicated'],
    ['q_b_proj.weight', 'column'],
    ['kv_b_proj.weight', 'column'],
    ['self_attn.o_proj.weight', 'row'],
    ['indexer.wq_b.weight', 'replicated'],
    ['mlp.gate.weight', 'replicated'],
    ['gate.e_score_correction_bias', 'replicated'],
    ['shared_experts.gate_proj.weight', 'column'],
    ['shared_experts.down_proj.weight', 'row'],
    ['mlp.experts.{expert}.down_proj.weight', 'expert'],
  ])('DeepSeek-V3.2 %s', (name, by) => {
    expect(shardOf('deepseek-v3.2', name)).toBe(by);
  });
});
