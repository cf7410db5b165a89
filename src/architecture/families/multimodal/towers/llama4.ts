// Llama 4's vision encoder: CLIP-like blocks with biased attention, unfolded patches, and a pixel-shuffle adapter.
// transformers/models/llama4; split by heads in vLLM model_executor/models/mllama4.py (patch embedding and projector too).
import type { JsonObject } from '../../../../spec/model.ts';
import { column, matrix, range, row, tensor, towerAttention, towerConfig, towerMlp, towerNorm } from '../parts.ts';
import type { Tower } from '../tower.ts';

export function llama4Tower(prefix: string, vision: JsonObject | undefined): Tower {
  const config = towerConfig(vision);
  const size = config.int('hiddenSize');
  const patch = config.int('patchSize');
  const heads = config.int('numAttentionHeads');
  const intermediateSize = config.int('intermediateSize');
  const patches = (config.int('imageSize') / patch) ** 2;
  const layers = range(config.int('numHiddenLayers'));
  const layer = `${prefix}.model.layers.{layer}`;
  const adapter = `${prefix}.vision_adapter.mlp`;
  const [into, out] = [config.int('projectorInputDim'), config.int('projectorOutputDim')];
  const ratio = typeof vision?.pixelShuffleRatio === 'number' ? vision.pixelShuffleRatio : 0.5;
  return {
    tensors: [
      ...tensor(`${prefix}.class_embedding`, [size]),
      ...tensor(`${prefix}.positional_embedding_vlm`, [patches + 1, size]),
      ...matrix(`${prefix}.patch_embedding.linear`, [size, 3 * patch * patch], { shard: column }),
      ...towerNorm(`${prefix}.layernorm_pre`, size, { bias: true }),
      ...towerNorm(`${prefix}.layernorm_post`, size, { bias: true }),
      ...towerAttention(`${layer}.self_attn`, size, {
        layers,
        bias: true,
        names: ['q_proj', 'k_proj', 'v_proj', 'o_proj'],
      }),
      ...towerMlp(`${layer}.mlp`, size, intermediateSize, { layers }),
      ...towerNorm(`${layer}.input_layernorm`, size, { layers, bias: true }),
      ...towerNorm(`${layer}.post_attention_layernorm`, size, { layers, bias: true }),
      ...matrix(`${adapter}.fc1`, [into, size / ratio ** 2], { shard: column }),
      ...matrix(`${adapter}.fc2`, [out, into], { shard: row }),
    ],
    shape: {
      heads,
      split: 'heads',
      buffers: [{ kind: 'rotary-cache', values: (patches + 1) * (size / heads / 2), bytesPerValue: 8 }],
    },
  };
}
