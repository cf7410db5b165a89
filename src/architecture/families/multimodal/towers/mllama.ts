// The vision encoder of Llama 3.2 Vision: tiles and aspect ratios get gated position embeddings; a local and a global transformer of
// bias-less attention and plain MLPs. transformers/models/mllama; split by heads in vLLM model_executor/models/mllama.py (up to 0.10).
import type { JsonObject } from '../../../../spec/model.ts';
import type { TensorGroup } from '../../../types.ts';
import { range, tensor, towerAttention, towerConfig, towerMlp, towerNorm } from '../parts.ts';
import type { Tower } from '../tower.ts';

const names = ['q_proj', 'k_proj', 'v_proj', 'o_proj'] as const;

export function mllamaTower(prefix: string, vision: JsonObject | undefined): Tower {
  const config = towerConfig(vision);
  const size = config.int('hiddenSize');
  const patch = config.int('patchSize');
  const intermediateSize = config.int('intermediateSize');
  const heads = config.int('attentionHeads', 16);
  const tiles = config.int('maxNumTiles', 4);
  const ratios = (Array.isArray(vision?.supportedAspectRatios) ? vision.supportedAspectRatios.length : 8) + 1;
  const positions = (config.int('imageSize') / patch) ** 2 + 1;
  const tile = (kind: 'pre' | 'post') => [
    ...tensor(`${prefix}.${kind}_tile_positional_embedding.embedding.weight`, [ratios, tiles * size]),
    ...tensor(`${prefix}.${kind}_tile_positional_embedding.gate`, [1]),
  ];
  const transformer = (name: string, count: number, gates: readonly string[]): TensorGroup[] => {
    const layers = range(count);
    const layer = `${prefix}.${name}.layers.{layer}`;
    return [
      ...towerAttention(`${layer}.self_attn`, size, { layers, bias: false, names }),
      ...towerMlp(`${layer}.mlp`, size, intermediateSize, { layers }),
      ...towerNorm(`${layer}.input_layernorm`, size, { layers, bias: true }),
      ...towerNorm(`${layer}.post_attention_layernorm`, size, { layers, bias: true }),
      ...gates.flatMap((gate) => tensor(`${layer}.${gate}`, [1], { layers })),
    ];
  };
  return {
    tensors: [
      ...tensor(`${prefix}.class_embedding`, [size]),
      ...tensor(`${prefix}.patch_embedding.weight`, [size, 3, patch, patch]),
      ...tensor(`${prefix}.gated_positional_embedding.gate`, [1]),
      ...tensor(`${prefix}.gated_positional_embedding.embedding`, [positions, size]),
      ...tensor(`${prefix}.gated_positional_embedding.tile_embedding.weight`, [ratios, tiles * positions * size]),
      ...tile('pre'),
      ...tile('post'),
      ...towerNorm(`${prefix}.layernorm_pre`, size, { bias: true }),
      ...towerNorm(`${prefix}.layernorm_post`, size, { bias: true }),
      ...transformer('transformer', config.int('numHiddenLayers'), []),
      ...transformer('global_transformer', config.int('numGlobalLayers'), ['gate_attn', 'gate_ffn']),
    ],
    shape: { heads, split: 'heads', buffers: [] },
  };
}
