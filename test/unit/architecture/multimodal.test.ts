import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { compareEntry, type TensorFile } from '../../../scripts/tensors.ts';
import { parameterCount, tensorCount } from '../../../src/architecture/build.ts';
import { multimodalFamilies } from '../../../src/architecture/families/multimodal/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import type { Architecture, ModelPart } from '../../../src/architecture/types.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import type { JsonObject, ModelSpec } from '../../../src/spec/model.ts';
import { modelSpecFromConfig } from '../../../src/spec/normalize.ts';

const published = JSON.parse(
  readFileSync(new URL('../../ground-truth/tensors.json', import.meta.url), 'utf8'),
) as TensorFile;
const models = loadPresets('models').filter((spec) => multimodalFamilies[spec.modelType]);
const built = (id: string): Architecture => expandArchitecture(models.find((spec) => spec.id === id)!);

/** Parameters of the tower: published counts leave out the scalar limits of clipped layers (shape []). */
function towerCount({ tensors }: Architecture, ...parts: ModelPart[]): number {
  const stored = tensors.filter((group) => group.shape.length > 0);
  return parts.reduce((total, part) => total + parameterCount(stored, part), 0);
}

/** Vision tower and projector: the figures of the published checkpoints, part by part. */
const visionCounts: Record<string, number> = {
  'llama-3.2-11b-vision': 895_028_755,
  'llama-3.2-90b-vision': 926_490_131,
  'llama-4-scout': 871_932_416,
  'llama-4-maverick': 871_932_416,
  'ministral-3-3b': 420_083_712,
  'mistral-small-3.2-24b': 438_958_080,
  'devstral-small-2-24b': 438_958_080,
  'qwen2-vl-2b': 665_271_296,
  'qwen2-vl-7b': 675_759_104,
  'qwen2.5-vl-3b': 668_684_288,
  'qwen2.5-vl-7b': 676_550_144,
  'qwen3-vl-2b': 406_957_056,
  'qwen3-vl-4b': 415_347_712,
  'qwen3-vl-8b': 576_388_336,
  'qwen3-vl-32b': 595_266_800,
  'qwen3-vl-30b-a3b': 538_631_408,
  'qwen3-vl-235b-a22b': 576_388_336,
  'qwen3.5-0.8b': 100_592_896,
  'qwen3.5-2b': 331_416_576,
  'qwen3.5-9b': 456_010_480,
  'qwen3.5-27b': 460_730_096,
  'qwen3.5-35b-a3b': 446_571_248,
  'gemma-3-4b': 419_816_304,
  'gemma-3-12b': 421_290_864,
  'gemma-3-27b': 423_060_336,
  'gemma-4-26b-a4b': 572_794_416,
  'gemma-4-31b': 575_743_536,
  'gemma-4-e2b': 168_544_256,
  'gemma-4-e4b': 169_330_688,
  'gemma-4-12b': 49_922_304,
  'glm-4.1v-9b': 892_498_432,
  'glm-4.5v': 858_681_856,
  'kimi-k2.5': 471_143_920,
  'llava-1.5-7b': 303_507_456 + 20_979_712,
  'internvl2-2b': 304_012_288 + 12_595_200,
  'internvl2-4b': 304_012_288 + 22_034_432,
  'molmo-7b-d': 404_950_016,
  'phi-3.5-vision': 325_541_888,
  'minimax-m3': 865_567_232,
  'exaone-4.5-33b': 1_286_482_944,
};

describe('multimodal families', () => {
  const entries = published.models.flatMap((entry) => {
    const spec = models.find(({ id }) => id === entry.name);
    return spec ? [{ entry, spec }] : [];
  });
  it('are judged by published checkpoints', () => {
    expect(entries.length).toBeGreaterThan(20);
    expect(models.length).toBeGreaterThan(45);
  });

  it.each(entries.map(({ entry, spec }) => [entry.name, entry, spec] as const))(
    '%s has the published tensors',
    (_, entry, spec) => {
      expect(compareEntry(entry, spec)).toEqual([]);
    },
  );

  it.each(Object.entries(visionCounts))('%s has the tower and projector of its formula', (id, count) => {
    expect(towerCount(built(id), 'vision', 'projector')).toBe(count);
  });

  it('count the audio encoders apart', () => {
    expect(towerCount(built('gemma-4-e2b'), 'audio')).toBe(307_183_904);
    expect(towerCount(built('gemma-4-e4b'), 'audio')).toBe(308_756_768);
  });

  it('have the whole of checkpoints that publish one number', () => {
    expect(parameterCount(built('molmo-7b-d').tensors)).toBe(8_021_025_280);
    expect(parameterCount(built('phi-3.5-vision').tensors)).toBe(4_146_621_440);
    expect(parameterCount(built('exaone-4.5-33b').tensors)).toBe(34_350_097_664);
  });

  it('keep a prediction layer of the text part', () => {
    expect(parameterCount(built('qwen3.5-27b').tensors, 'mtp')).toBe(424_699_392);
    expect(parameterCount(built('exaone-4.5-33b').tensors, 'mtp')).toBe(536_110_336);
  });
});

describe('towers', () => {
  it.each(models.map((spec) => [spec.id, spec] as const))(
    '%s names every tensor once and keeps it in a part',
    (_, spec) => {
      const { tensors, tower } = expandArchitecture(spec);
      const names = tensors.map((group) => `${group.name} ${group.layers?.join(',') ?? ''}`);
      expect(new Set(names).size).toBe(names.length);
      expect(tower).toBeDefined();
      for (const group of tensors) expect(tensorCount(group)).toBeGreaterThan(0);
    },
  );

  it('skip the last block of a CLIP tower that LLaVA taps before the end', () => {
    const skipped = built('llava-1.5-7b').tensors.filter((group) => group.unloaded);
    expect(parameterCount(skipped)).toBe(12_598_272);
  });

  it('are whole on every rank where vLLM runs the module of transformers', () => {
    for (const id of ['gemma-4-31b', 'gemma-4-e4b']) {
      const { tensors, tower } = built(id);
      expect(tower?.split).toBe('whole');
      const towerTensors = tensors.filter(({ part }) => part === 'vision' || part === 'audio');
      expect(towerTensors.every(({ shard }) => shard.by === 'replicated')).toBe(true);
    }
  });

  it('hold the inputs of deepstack levels and of per-layer embeddings for a whole batch', () => {
    expect(built('qwen3-vl-8b').tower?.buffers).toContainEqual({
      kind: 'deepstack',
      values: 3 * 4096,
      perBatchedToken: true,
    });
    expect(built('gemma-4-e4b').tower?.buffers).toContainEqual({
      kind: 'per-layer-inputs',
      values: 42 * 256,
      perBatchedToken: true,
    });
  });
});

describe('largest items', () => {
  /** Tokens and input values that agree with the activation peaks of published logs. */
  it.each([
    ['gemma-3-27b', 256, 3 * 896 ** 2],
    ['mistral-small-3.2-24b', 3080, 3 * 1540 ** 2],
    ['llama-4-scout', 2448, 17 * 3 * 336 ** 2],
    ['llava-1.5-7b', 576, 3 * 336 ** 2],
    ['qwen2.5-vl-7b', 16_384, 16_384 * 4 * 1176],
    ['internvl2-2b', 13 * 256, 13 * 3 * 448 ** 2],
  ] as const)('of %s: %i tokens', (id, tokens, values) => {
    const image = built(id).encoders?.find(({ modality }) => modality === 'image');
    expect(image).toMatchObject({ tokensPerItem: tokens, inputValuesPerItem: values });
  });
});

describe('models without a preset', () => {
  const fromConfig = (config: JsonObject) => expandArchitecture(modelSpecFromConfig('x', config) as ModelSpec);
  const clip = {
    model_type: 'clip_vision_model',
    hidden_size: 1024,
    image_size: 336,
    intermediate_size: 4096,
    num_attention_heads: 16,
    num_hidden_layers: 24,
    patch_size: 14,
  };

  it('take what a nested text configuration leaves out from its class (llava-v1.6-mistral-7b)', () => {
    const { tensors, encoders } = fromConfig({
      architectures: ['LlavaNextForConditionalGeneration'],
      model_type: 'llava_next',
      text_config: { model_type: 'mistral', vocab_size: 32064 },
      vision_config: clip,
    });
    expect(parameterCount(tensors)).toBe(7_566_747_648);
    expect(encoders?.[0]?.tokensPerItem).toBe(2928);
  });

  it('carry a SigLIP tower before Gemma (paligemma-3b)', () => {
    const { tensors } = fromConfig({
      architectures: ['PaliGemmaForConditionalGeneration'],
      model_type: 'paligemma',
      text_config: {
        model_type: 'gemma',
        hidden_size: 2048,
        intermediate_size: 16384,
        num_hidden_layers: 18,
        num_attention_heads: 8,
        num_key_value_heads: 1,
        head_dim: 256,
        vocab_size: 257216,
      },
      vision_config: {
        model_type: 'siglip_vision_model',
        hidden_size: 1152,
        image_size: 224,
        intermediate_size: 4304,
        num_attention_heads: 16,
        num_hidden_layers: 27,
        patch_size: 14,
      },
    });
    expect(parameterCount(tensors)).toBe(2_923_466_480);
  });

  it('carry a Pixtral tower under LLaVA (pixtral-12b)', () => {
    const { encoders, tower } = fromConfig({
      architectures: ['LlavaForConditionalGeneration'],
      model_type: 'llava',
      text_config: {
        model_type: 'mistral',
        hidden_size: 5120,
        num_hidden_layers: 40,
        head_dim: 128,
        vocab_size: 131072,
      },
      vision_config: { ...clip, model_type: 'pixtral', image_size: 1024, patch_size: 16, head_dim: 64 },
    });
    expect(tower?.wholeInMistralFormat).toBe(true);
    expect(encoders?.[0]?.tokensPerItem).toBe(64 * 65);
  });
});
