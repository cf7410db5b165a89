// InternViT: fused biased qkv, layer scales, class token. OpenGVLab modeling_intern_vit.py; vLLM model_executor/models/intern_vit.py
// splits it by heads and, alone among the towers, keeps the attention whole where the heads do not divide.
import type { JsonObject } from '../../../../spec/model.ts';
import { fusedQkv, matrix, range, row, tensor, towerConfig, towerMlp, towerNorm } from '../parts.ts';
import type { Tower } from '../tower.ts';

/** `selectLayer` is the layer that the projector reads; vLLM builds no block after it. */
export function internTower(prefix: string, vision: JsonObject | undefined, selectLayer = -1): Tower {
  const config = towerConfig(vision);
  const size = config.int('hiddenSize');
  const patch = config.int('patchSize');
  const heads = config.int('numAttentionHeads');
  const layers = config.int('numHiddenLayers');
  const used = selectLayer < 0 ? layers + selectLayer + 1 : selectLayer + 1;
  const layer = `${prefix}.encoder.layers.{layer}`;
  const rms = config.text('normType', 'layer_norm') === 'rms_norm';
  const block = (place: { layers: number[]; unloaded?: boolean }) => [
    ...matrix(`${layer}.attn.qkv`, [3 * size, size], {
      ...place,
      shard: fusedQkv(heads, heads, size / heads),
      bias: config.flag('qkvBias', true),
      merge: `${layer}.attn.qkv`,
    }),
    ...(config.flag('qkNormalization', false)
      ? ['q_norm', 'k_norm'].flatMap((name) => towerNorm(`${layer}.attn.${name}`, size, { ...place, bias: false }))
      : []),
    ...matrix(`${layer}.attn.proj`, [size, size], { ...place, shard: row, bias: true }),
    ...towerMlp(`${layer}.mlp`, size, config.int('intermediateSize'), place),
    ...towerNorm(`${layer}.norm1`, size, { ...place, bias: !rms }),
    ...towerNorm(`${layer}.norm2`, size, { ...place, bias: !rms }),
    ...tensor(`${layer}.ls1`, [size], place),
    ...tensor(`${layer}.ls2`, [size], place),
  ];
  return {
    tensors: [
      ...tensor(`${prefix}.embeddings.class_embedding`, [1, 1, size]),
      ...tensor(`${prefix}.embeddings.patch_embedding.weight`, [size, 3, patch, patch]),
      ...tensor(`${prefix}.embeddings.patch_embedding.bias`, [size]),
      ...tensor(`${prefix}.embeddings.position_embedding`, [1, (config.int('imageSize') / patch) ** 2 + 1, size]),
      ...block({ layers: range(used) }),
      ...(used < layers ? block({ layers: range(layers - used, used), unloaded: true }) : []),
    ],
    shape: { heads, split: 'heads-or-whole-attention', buffers: [] },
  };
}
