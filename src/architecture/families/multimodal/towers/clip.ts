// CLIP and SigLIP vision encoders and the towers built like them (MiniMax-M3's): pre-norm blocks with biased attention and a plain
// MLP. transformers/models/{clip,siglip}; split by heads in vLLM model_executor/models/{clip,siglip}.py and
// vllm/models/minimax_m3/common/vision_tower.py.
import type { JsonObject } from '../../../../spec/model.ts';
import type { TensorGroup } from '../../../types.ts';
import {
  type Place,
  range,
  type TowerConfig,
  tensor,
  towerAttention,
  towerConfig,
  towerMlp,
  towerNorm,
} from '../parts.ts';
import type { Tower } from '../tower.ts';

const names = ['q_proj', 'k_proj', 'v_proj', 'out_proj'] as const;

function blocks(prefix: string, size: number, intermediateSize: number, place: Place, mlp = 'mlp'): TensorGroup[] {
  const layer = `${prefix}.encoder.layers.{layer}`;
  return [
    ...towerNorm(`${layer}.layer_norm1`, size, { ...place, bias: true }),
    ...towerAttention(`${layer}.self_attn`, size, { ...place, bias: true, names }),
    ...towerNorm(`${layer}.layer_norm2`, size, { ...place, bias: true }),
    ...towerMlp(mlp === '' ? layer : `${layer}.${mlp}`, size, intermediateSize, place),
  ];
}

/** The blocks up to the tapped layer, those after it, and the final norm, which belongs to a whole tower. */
function tappedBlocks(
  prefix: string,
  sizes: { size: number; layers: number; intermediateSize: number },
  featureLayer: number,
): TensorGroup[] {
  const { size, layers, intermediateSize } = sizes;
  const used = featureLayer < 0 ? layers + featureLayer + 1 : featureLayer;
  const rest = range(layers - used, used);
  const skipped = rest.length > 0 ? { unloaded: true } : {};
  return [
    ...blocks(prefix, size, intermediateSize, { layers: range(used) }),
    ...(rest.length > 0 ? blocks(prefix, size, intermediateSize, { layers: rest, ...skipped }) : []),
    ...towerNorm(`${prefix}.post_layernorm`, size, { ...skipped, bias: true }),
  ];
}

function sizes(config: TowerConfig): { size: number; patch: number; image: number; layers: number; heads: number } {
  return {
    size: config.int('hiddenSize'),
    patch: config.int('patchSize'),
    image: config.int('imageSize'),
    layers: config.int('numHiddenLayers'),
    heads: config.int('numAttentionHeads'),
  };
}

/**
 * CLIP ViT. `featureLayer` is the layer whose output the projector reads (-2: the last but one): vLLM builds no block after it, and
 * the final norm only when all blocks are built (clip.py CLIPVisionTransformer).
 */
export function clipTower(prefix: string, vision: JsonObject | undefined, featureLayer = -1): Tower {
  const config = towerConfig(vision);
  const { size, patch, image, layers, heads } = sizes(config);
  const positions = (image / patch) ** 2 + 1;
  return {
    tensors: [
      ...tensor(`${prefix}.embeddings.class_embedding`, [size]),
      ...tensor(`${prefix}.embeddings.patch_embedding.weight`, [size, 3, patch, patch]),
      ...tensor(`${prefix}.embeddings.position_embedding.weight`, [positions, size]),
      ...towerNorm(`${prefix}.pre_layrnorm`, size, { bias: true }),
      ...tappedBlocks(prefix, { size, layers, intermediateSize: config.int('intermediateSize') }, featureLayer),
    ],
    shape: { heads, split: 'heads', buffers: [{ kind: 'position-ids', values: positions, bytesPerValue: 8 }] },
  };
}

/** SigLIP: no class token, biased patch embedding, a final norm and no attention pooling head; `featureLayer` as in CLIP. */
export function siglipTower(prefix: string, vision: JsonObject | undefined, featureLayer = -1): Tower {
  const config = towerConfig(vision);
  const { size, patch, image, layers, heads } = sizes(config);
  const positions = Math.floor(image / patch) ** 2;
  return {
    tensors: [
      ...tensor(`${prefix}.embeddings.patch_embedding.weight`, [size, 3, patch, patch]),
      ...tensor(`${prefix}.embeddings.patch_embedding.bias`, [size]),
      ...tensor(`${prefix}.embeddings.position_embedding.weight`, [positions, size]),
      ...tappedBlocks(prefix, { size, layers, intermediateSize: config.int('intermediateSize') }, featureLayer),
    ],
    shape: { heads, split: 'heads', buffers: [{ kind: 'position-ids', values: positions, bytesPerValue: 8 }] },
  };
}

/** MiniMax-M3's tower: CLIP blocks on 3-D patches with rotary positions, no class token, no final norm in the file. */
export function minimaxTower(prefix: string, vision: JsonObject | undefined): Tower {
  const config = towerConfig(vision);
  const { size, patch, layers, heads } = sizes(config);
  const temporal = 2;
  return {
    tensors: [
      ...tensor(`${prefix}.embeddings.patch_embedding.weight`, [size, 3, temporal, patch, patch]),
      ...towerNorm(`${prefix}.pre_layrnorm`, size, { bias: true }),
      ...blocks(prefix, size, config.int('intermediateSize'), { layers: range(layers) }),
    ],
    shape: { heads, split: 'heads', buffers: [] },
  };
}
