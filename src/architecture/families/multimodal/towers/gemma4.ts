// Gemma 4's encoders: a ViT with four norms per block, the Conformer-like audio encoder of E2B / E4B, and the encoder-free
// embedder of the unified model. vLLM runs the towers as transformers' own modules (gemma4_mm.py): whole on every
// rank. The E models clip the inputs and outputs of their linear layers: four scalar limits per layer.
import type { JsonObject } from '../../../../spec/model.ts';
import type { TensorGroup } from '../../../types.ts';
import { column, matrix, type Place, range, type TowerPart, tensor, towerConfig, towerNorm } from '../parts.ts';
import type { Tower } from '../tower.ts';

const limits = ['input_min', 'input_max', 'output_min', 'output_max'] as const;

/** A linear layer inside its clipping wrapper, whose limits are stored scalars. */
function clipped(name: string, shape: readonly [number, number], place: Place, clips: boolean): TensorGroup[] {
  return [
    ...matrix(`${name}.linear`, shape, place),
    ...(clips ? limits.flatMap((limit) => tensor(`${name}.${limit}`, [], place)) : []),
  ];
}

export function gemma4VisionTower(prefix: string, vision: JsonObject | undefined): Tower {
  const config = towerConfig(vision);
  const size = config.int('hiddenSize');
  const heads = config.int('numAttentionHeads');
  const headDim = config.int('headDim');
  const intermediateSize = config.int('intermediateSize');
  const patch = config.int('patchSize');
  const clips = config.flag('useClippedLinears', false);
  const place = { layers: range(config.int('numHiddenLayers')) };
  const layer = `${prefix}.encoder.layers.{layer}`;
  const kvDim = config.int('numKeyValueHeads', heads) * headDim;
  const attn = `${layer}.self_attn`;
  return {
    tensors: [
      ...tensor(`${prefix}.patch_embedder.position_embedding_table`, [2, config.int('positionEmbeddingSize'), size]),
      ...matrix(`${prefix}.patch_embedder.input_proj`, [size, 3 * patch * patch], {}),
      ...clipped(`${attn}.q_proj`, [heads * headDim, size], place, clips),
      ...clipped(`${attn}.k_proj`, [kvDim, size], place, clips),
      ...clipped(`${attn}.v_proj`, [kvDim, size], place, clips),
      ...clipped(`${attn}.o_proj`, [size, heads * headDim], place, clips),
      ...['q_norm', 'k_norm'].flatMap((name) => towerNorm(`${attn}.${name}`, headDim, { ...place, bias: false })),
      ...clipped(`${layer}.mlp.gate_proj`, [intermediateSize, size], place, clips),
      ...clipped(`${layer}.mlp.up_proj`, [intermediateSize, size], place, clips),
      ...clipped(`${layer}.mlp.down_proj`, [size, intermediateSize], place, clips),
      ...['input', 'post_attention', 'pre_feedforward', 'post_feedforward'].flatMap((name) =>
        towerNorm(`${layer}.${name}_layernorm`, size, { ...place, bias: false }),
      ),
      ...(config.flag('standardize', false)
        ? ['std_bias', 'std_scale'].flatMap((name) => tensor(`${prefix}.${name}`, [size]))
        : []),
    ],
    shape: { heads, split: 'whole', buffers: [] },
  };
}

/** Two strided convolutions, then blocks of feed-forward, chunked attention, light convolution, feed-forward. */
export function gemma4AudioTower(prefix: string, audio: JsonObject): TensorGroup[] {
  const config = towerConfig(audio, 'audio');
  const size = config.int('hiddenSize');
  const headDim = size / config.int('numAttentionHeads');
  const [first = 128, second = 32] = config.ints('subsamplingConvChannels', [128, 32]);
  const clips = config.flag('useClippedLinears', true);
  const once = { part: 'audio' } as const;
  const place = { ...once, layers: range(config.int('numHiddenLayers')) };
  const layer = `${prefix}.layers.{layer}`;
  const conv = `${prefix}.subsample_conv_projection`;
  const feedForward = (name: string) => [
    ...clipped(`${layer}.${name}.ffw_layer_1`, [4 * size, size], place, clips),
    ...clipped(`${layer}.${name}.ffw_layer_2`, [size, 4 * size], place, clips),
    ...['pre_layer_norm', 'post_layer_norm'].flatMap((norm) =>
      towerNorm(`${layer}.${name}.${norm}`, size, { ...place, bias: false }),
    ),
  ];
  return [
    ...tensor(`${conv}.layer0.conv.weight`, [first, 1, 3, 3], once),
    ...tensor(`${conv}.layer0.norm.weight`, [first], once),
    ...tensor(`${conv}.layer1.conv.weight`, [second, first, 3, 3], once),
    ...tensor(`${conv}.layer1.norm.weight`, [second], once),
    ...matrix(`${conv}.input_proj_linear`, [size, (first / 4) * second], once),
    ...feedForward('feed_forward1'),
    ...feedForward('feed_forward2'),
    ...tensor(`${layer}.self_attn.per_dim_scale`, [headDim], place),
    ...['q_proj', 'k_proj', 'v_proj', 'post'].flatMap((name) =>
      clipped(`${layer}.self_attn.${name}`, [size, size], place, clips),
    ),
    ...matrix(`${layer}.self_attn.relative_k_proj`, [size, size], place),
    ...clipped(`${layer}.lconv1d.linear_start`, [2 * size, size], place, clips),
    ...clipped(`${layer}.lconv1d.linear_end`, [size, size], place, clips),
    ...tensor(`${layer}.lconv1d.depthwise_conv1d.weight`, [size, 1, config.int('convKernelSize', 5)], place),
    ...['lconv1d.pre_layer_norm', 'lconv1d.conv_norm', 'norm_pre_attn', 'norm_post_attn', 'norm_out'].flatMap((name) =>
      towerNorm(`${layer}.${name}`, size, { ...place, bias: false }),
    ),
    ...matrix(`${prefix}.output_proj`, [config.int('outputProjDims', 1536), size], {
      ...once,
      bias: true,
    }),
  ];
}

/** The projection of a tower's features to the text width. */
export function gemma4Projector(name: string, part: TowerPart, inputSize: number, hiddenSize: number): TensorGroup[] {
  return matrix(`${name}.embedding_projection`, [hiddenSize, inputSize], { part });
}

/** Patches straight to the text width: norm, dense, norm, factorized position table, norm (gemma4_unified.py). */
export function gemma4Embedder(prefix: string, vision: JsonObject | undefined): Tower {
  const config = towerConfig(vision);
  const patchValues = 3 * config.int('modelPatchSize') ** 2;
  const size = config.int('mmEmbedDim');
  return {
    tensors: [
      ...towerNorm(`${prefix}.patch_ln1`, patchValues, { bias: true }),
      ...matrix(`${prefix}.patch_dense`, [size, patchValues], { shard: column, bias: true }),
      ...towerNorm(`${prefix}.patch_ln2`, size, { bias: true }),
      ...tensor(`${prefix}.pos_embedding`, [config.int('mmPosembSize'), 2, size]),
      ...towerNorm(`${prefix}.pos_norm`, size, { bias: true }),
    ],
    shape: { heads: 1, split: 'whole', buffers: [] },
  };
}
