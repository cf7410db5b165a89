// Every preset that llama.cpp converts, against its published parameter count; and what the converter leaves out or adds.
import { describe, expect, it } from 'vitest';
import { toGguf } from '../../../src/architecture/gguf/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { readHparams } from '../../../src/engines/llamacpp/read-hparams.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import type { GgufTensor } from '../../../src/spec/gguf.ts';

/** GGUF minus published parameters, where they differ (rotary factors are not counted). */
const differences: Readonly<Record<string, number>> = {
  // The pooler is left out; positions start behind the padding token.
  'bge-large-en-v1.5': -(1024 * 1024 + 1024),
  'bge-m3': -(1024 * 1024 + 1024) - 2 * 1024,
  'multilingual-e5-large': -(1024 * 1024 + 1024) - 2 * 1024,
  'bge-reranker-large': -2 * 1024,
  'bge-reranker-v2-m3': -2 * 1024,
  // Rows that only pad the vocabulary.
  'nomic-embed-text-v1.5': -6 * 768,
  // K and V of blocks that read another block's cache.
  'gemma-4-e2b': -18_880_512,
  'gemma-4-e4b': -55_055_616,
  // The published count holds the audio projection and no scalars of blocks.
  'gemma-4-12b': 48 - 3840 * 640,
  // The published count leaves the routers' correction biases out.
  'minimax-m3': 57 * 128,
  'nemotron-3-ultra-550b-a55b': 48 * 512,
  // The block of multi-token prediction is part of the file.
  'deepseek-v3.2': 11_624_027_648,
  'exaone-4.5-33b': 536_110_336,
  'glm-4.5-air': 2_375_059_584,
  'glm-4.5': 3_988_069_792,
  'glm-4.6': 3_988_069_792,
  'glm-4.7': 3_988_069_792,
  'glm-5': 9_952_920_576,
  'glm-5-fp8': 9_952_920_576,
  'glm-5.1': 9_952_920_576,
  'glm-5.1-fp8': 9_952_920_576,
  'glm-5.2': 9_952_920_576,
  'glm-5.2-fp8': 9_952_920_576,
};

/** Classes that convert_hf_to_gguf.py of v0.5.0 does not register. */
const unknownClasses = [
  'GPTJForCausalLM',
  'GPTNeoForCausalLM',
  'InternLMForCausalLM',
  'MiMoForCausalLM',
  'MllamaForConditionalGeneration',
  'MolmoForCausalLM',
  'OPTForCausalLM',
  'Phi3VForCausalLM',
];

const presets = loadPresets('models').map((spec) => ({ spec, model: toGguf(spec, expandArchitecture(spec)) }));

function counted(tensors: readonly GgufTensor[]): number {
  return tensors
    .filter(({ name }) => !name.startsWith('rope_'))
    .reduce((total, { ne }) => total + ne.reduce((product, n) => product * n, 1), 0);
}

describe('conversion', () => {
  it('knows the classes that the converter knows', () => {
    const classes = new Set(presets.filter(({ model }) => !model).map(({ spec }) => spec.architecture));
    expect([...classes].sort()).toEqual(unknownClasses);
    expect(presets.filter(({ model }) => model).length).toBeGreaterThanOrEqual(287);
  });

  const published = presets.filter(({ spec, model }) => model && spec.parameters !== undefined);
  it.each(published.map(({ spec, model }) => [spec.id, spec, model] as const))('%s', (id, spec, model) => {
    const tensors = model?.tensors ?? [];
    expect(counted(tensors) - (spec.parameters ?? 0)).toBe(differences[id] ?? 0);
    expect(new Set(tensors.map(({ name }) => name)).size).toBe(tensors.length);
  });

  it.each(presets.flatMap(({ spec, model }) => (model ? [[spec.id, model] as const] : [])))(
    '%s: every block of the metadata has tensors',
    (_, model) => {
      const hparams = readHparams(model);
      const blocks = new Set(model.tensors.flatMap(({ name }) => /^blk\.(\d+)\./.exec(name)?.[1] ?? []));
      expect(hparams.layers - blocks.size).toBeGreaterThanOrEqual(0);
      // Only DeciLM has blocks that do nothing at all.
      if (model.architecture !== 'deci') expect(blocks.size).toBe(hparams.layers);
      expect(hparams.kvHeads).toHaveLength(hparams.layers);
      expect(hparams.embd).toBeGreaterThan(0);
    },
  );
});
