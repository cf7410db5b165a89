import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compareEntry, type TensorFile } from '../../../scripts/tensors.ts';
import { parameterCount } from '../../../src/architecture/build.ts';
import { denseFamilies } from '../../../src/architecture/families/dense/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import type { Architecture } from '../../../src/architecture/types.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import type { ModelSpec } from '../../../src/spec/model.ts';

const published = JSON.parse(
  readFileSync(new URL('../../ground-truth/tensors.json', import.meta.url), 'utf8'),
) as TensorFile;
const isDense = (spec: ModelSpec) => Boolean(denseFamilies[spec.architecture] ?? denseFamilies[spec.modelType]);
const dense = loadPresets('models').filter(isDense);
const preset = (id: string) => loadPresets('models').find((spec) => spec.id === id)!;

describe('dense families', () => {
  const entries = published.models.flatMap((entry) => {
    const spec = dense.find(({ id }) => id === entry.name);
    return spec ? [{ entry, spec }] : [];
  });
  it('are judged by many published checkpoints', () => {
    expect(entries.length).toBeGreaterThan(100);
    expect(dense.length).toBeGreaterThan(180);
  });

  it.each(entries.map(({ entry, spec }) => [entry.name, entry, spec] as const))(
    '%s has the published tensors',
    (_, entry, spec) => {
      expect(compareEntry(entry, spec)).toEqual([]);
    },
  );

  it.each(dense.map((spec) => [spec.id, spec] as const))('%s has the parameter count of its formula', (_, spec) => {
    expect(parameterCount(expandArchitecture(spec).tensors, 'text')).toBe(spec.parameters);
  });

  it('keep prediction layers apart', () => {
    expect(parameterCount(expandArchitecture(preset('mimo-7b')).tensors, 'mtp')).toBe(210_790_400);
  });

  it.each(dense.map((spec) => [spec.id, spec] as const))(
    '%s has a cache entry per layer, each tensor name once',
    (_, spec) => {
      const { caches, tensors } = expandArchitecture(spec);
      expect(caches.map(({ layer }) => layer)).toEqual(Array.from({ length: spec.config.layers }, (_, layer) => layer));
      const names = tensors.flatMap((group) => (group.layers ?? [-1]).map((layer) => `${layer} ${group.name}`));
      expect(new Set(names).size).toBe(names.length);
    },
  );
});

/** What vLLM's own classes answer for these models (test/ground-truth/vllm-oracle.jsonl, kv.layers and largeBuffers). */
describe('caches and rotary tables', () => {
  const windows = (built: Architecture) =>
    built.caches.map(({ caches: [cache] }) => (cache?.kind === 'sliding' ? cache.window : 0));
  const count = (built: Architecture, window: number) => windows(built).filter((value) => value === window).length;

  it.each([
    ['mistral-7b-v0.1', 4096, 32, 0],
    ['mistral-7b-v0.3', 0, 32, 0],
    ['phi-3-mini-4k', 2047, 32, 0],
    ['gemma-2-27b', 4096, 23, 23],
    ['gemma-3-1b', 512, 22, 4],
    ['command-a', 4096, 48, 16],
    ['exaone-4.0-32b', 4096, 48, 16],
    ['olmo-3-7b', 4096, 24, 8],
    ['starcoder2-7b', 4096, 32, 0],
    ['qwen2.5-7b', 0, 28, 0],
    ['mimo-7b', 32768, 36, 0],
  ])('%s: window %i in %i layers, %i full', (id, window, layers, full) => {
    const built = expandArchitecture(preset(id));
    expect(count(built, window)).toBe(layers);
    if (window > 0) expect(count(built, 0)).toBe(full);
  });

  it.each([
    ['llama-3.1-8b', [128]],
    ['phi-2', [32]],
    ['phi-1.5', [32]],
    ['phi-4-mini', [96]],
    ['stablelm-3b', [20]],
    ['glm-4-9b', [64]],
    ['gpt-neox-20b', [24]],
    ['pythia-160m', [16]],
    ['falcon-40b', [64]],
    ['gemma-3-1b', [256, 256]],
    ['olmo-3-7b', [128, 128]],
    ['gpt2', []],
    ['opt-1.3b', []],
    ['bloom-7b1', []],
  ])('%s has rotary tables of widths %j', (id, dims) => {
    expect(expandArchitecture(preset(id)).rotary.map(({ dim }) => dim)).toEqual(dims);
  });

  it('leaves layers without attention without a cache', () => {
    const { caches } = expandArchitecture(preset('nemotron-super-49b'));
    expect(caches.filter((entry) => entry.caches.length > 0)).toHaveLength(49);
  });

  it('gives encoders no cache', () => {
    expect(expandArchitecture(preset('bge-m3')).caches.every(({ caches }) => caches.length === 0)).toBe(true);
  });
});

describe('the text part of Gemma 4', () => {
  const text = (id: string) => denseFamilies.gemma4_text!(preset(id), { prefix: 'model.language_model' });

  it.each(['gemma-4-26b-a4b', 'gemma-4-31b', 'gemma-4-e2b', 'gemma-4-e4b'])('%s has the formula count', (id) => {
    expect(parameterCount(text(id).tensors, 'text')).toBe(preset(id).parameters);
  });

  it('shares the caches of E2B: 15 layers keep one, 20 read another', () => {
    const { caches } = text('gemma-4-e2b');
    expect(caches.filter(({ sharedWith }) => sharedWith === undefined)).toHaveLength(15);
    expect(caches[34]).toEqual({ layer: 34, caches: [], sharedWith: 14 });
    expect(caches[33]).toEqual({ layer: 33, caches: [], sharedWith: 13 });
  });

  it('has two head sizes and K for V in the full layers', () => {
    const { caches, tensors, rotary } = text('gemma-4-31b');
    expect(caches[0]!.caches).toEqual([{ kind: 'sliding', window: 1024, kvHeads: 16, headDim: 256 }]);
    expect(caches[5]!.caches).toEqual([{ kind: 'full', kvHeads: 4, headDim: 512 }]);
    expect(tensors.filter((group) => group.alsoValue).flatMap((group) => group.layers)).toHaveLength(10);
    expect(rotary.map(({ dim }) => dim)).toEqual([256, 512]);
  });
});

describe('a decoder inside a larger model', () => {
  it('takes the prefix of its wrapper, its head beside it', () => {
    const names = (prefix: string) =>
      denseFamilies.mistral!({ ...preset('mistral-small-24b'), architecture: 'Wrapper' }, { prefix }).tensors.map(
        ({ name }) => name,
      );
    expect(names('language_model.model')).toContain('language_model.model.layers.{layer}.self_attn.q_proj.weight');
    expect(names('language_model.model')).toContain('language_model.lm_head.weight');
    expect(names('model.language_model')).toContain('lm_head.weight');
  });
});
