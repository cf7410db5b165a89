// The families with recurrent state against published checkpoints: every tensor of test/ground-truth/tensors.json, and the
// parameter counts of every preset, which models.json gives with their sources.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compareEntry, type TensorFile } from '../../../scripts/tensors.ts';
import { parameterCount } from '../../../src/architecture/build.ts';
import {
  kimiK3Text,
  qwen35MoeText,
  qwen35Text,
  stateFamilies,
} from '../../../src/architecture/families/state/index.ts';
import type { ArchitectureFamily } from '../../../src/architecture/types.ts';
import { loadPresets } from '../../../src/load/presets.ts';

const families: Readonly<Record<string, ArchitectureFamily>> = {
  ...stateFamilies,
  qwen3_5: (spec) => qwen35Text(spec, { prefix: 'model.language_model' }),
  qwen3_5_moe: (spec) => qwen35MoeText(spec, { prefix: 'model.language_model' }),
  kimi_k3: (spec) => kimiK3Text(spec, { prefix: 'language_model.model', lmHead: 'language_model.lm_head' }),
};
const presets = loadPresets('models').filter((spec) => families[spec.modelType]);
const expand = (id: string) => {
  const spec = presets.find((entry) => entry.id === id);
  return families[spec!.modelType]!(spec!);
};

/** Multi-token-prediction parameters by the published counts; models.json has none for Ultra and Lightning. */
const draftParameters: Readonly<Record<string, number>> = {
  'qwen3-next-80b-a3b': 1_650_471_424,
  'qwen3.5-0.8b': 20_452_864,
  'qwen3.5-2b': 60_828_160,
  'qwen3.5-4b': 120_599_552,
  'qwen3.5-9b': 243_290_624,
  'qwen3.5-27b': 424_699_392,
  'qwen3.6-27b': 424_699_392,
  'qwen3.8-27b': 424_699_392,
  'qwen3.5-35b-a3b': 844_640_768,
  'qwen3.6-35b-a3b': 844_640_768,
  'qwen3.5-122b-a10b': 2_523_679_232,
  'qwen3.5-397b-a17b': 6_595_568_128,
  'nemotron-3-super-120b-a12b-nvfp4': 2_942_325_248,
  'nemotron-3-super-120b-a12b-fp8': 2_942_325_248,
};

/** What the published count of Ultra leaves out: the router biases of 48 layers of 512 experts. */
const uncounted: Readonly<Record<string, number>> = { 'nemotron-3-ultra-550b-a55b': 48 * 512 };

describe('parameters', () => {
  it.each(presets.filter((spec) => spec.parameters))('$id', (spec) => {
    const { tensors } = families[spec.modelType]!(spec);
    expect(parameterCount(tensors, 'text')).toBe(spec.parameters! + (uncounted[spec.id] ?? 0));
  });

  // Mamba-Codestral-7B, as its publisher states it.
  it('of Mamba-2 alone', () => {
    const config = { hiddenSize: 4096, layers: 64, vocabSize: 32_768, heads: 128, headDim: 64 };
    const spec = { id: 'codestral', architecture: 'Mamba2ForCausalLM', modelType: 'mamba2', config };
    expect(parameterCount(stateFamilies.mamba2!(spec).tensors)).toBe(7_285_403_648);
  });

  it.each(Object.entries(draftParameters))('of the prediction layers of %s', (id, parameters) => {
    expect(parameterCount(expand(id).tensors, 'mtp')).toBe(parameters);
  });
});

describe('tensor names and shapes', () => {
  const file: TensorFile = JSON.parse(readFileSync('test/ground-truth/tensors.json', 'utf8'));
  const listed = file.models.flatMap((entry) => {
    const spec = presets.find(({ id, modelType }) => id === entry.name && stateFamilies[modelType]);
    return spec ? [{ entry, spec }] : [];
  });

  it.each(listed)('$spec.id', ({ entry, spec }) => {
    expect(compareEntry(entry, spec)).toEqual([]);
  });
});

describe('caches', () => {
  const kinds = (id: string) =>
    expand(id).caches.map(({ caches }) =>
      caches.map((cache) => (cache.kind === 'state' ? cache.state.type : cache.kind)),
    );

  it('interleave state and attention as the configuration says', () => {
    expect(kinds('qwen3-next-80b-a3b').slice(0, 4)).toEqual([['gdn'], ['gdn'], ['gdn'], ['full']]);
    expect(kinds('kimi-linear-48b-a3b').slice(24)).toEqual([['kda'], ['kda'], ['mla']]);
    expect(kinds('falcon-h1-0.5b')[0]).toEqual(['full', 'mamba2']);
    expect(kinds('mamba-130m')[0]).toEqual(['mamba1']);
    expect(kinds('lfm2-350m').slice(0, 3)).toEqual([['short-conv'], ['short-conv'], ['full']]);
  });

  it('leave out layers that are an MLP only', () => {
    const layers = expand('nemotron-3-nano-30b-a3b').caches.map(({ layer }) => layer);
    expect(layers).toHaveLength(23 + 6);
    expect(layers.slice(0, 4)).toEqual([0, 2, 4, 5]);
  });

  it('list what a prediction layer adds apart', () => {
    expect(expand('qwen3.5-9b').draftCaches).toEqual([
      { layer: 0, caches: [{ kind: 'full', kvHeads: 4, headDim: 256 }] },
    ]);
    expect(expand('nemotron-h-56b').draftCaches).toBeUndefined();
  });
});
