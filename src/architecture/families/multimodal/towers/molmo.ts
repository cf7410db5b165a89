// Molmo's vision backbone: CLIP ViT-L/14-336 cut after 23 blocks, attention pooling over two of its layers, and a gated projector.
// The configuration does not carry these sizes; they are the defaults of allenai's vision backbone and of VisionBackboneConfig in
// vLLM model_executor/models/molmo.py, which splits everything by heads or columns.
import type { TensorGroup } from '../../../types.ts';
import { column, matrix, range, row, tensor, towerNorm } from '../parts.ts';
import type { Tower } from '../tower.ts';

const size = 1024;
const heads = 16;
const blocks = 23;
const patch = 14;
const positions = 577;
const mlpSize = 4096;
/** Layers whose features are pooled together. */
const taps = 2;

function attention(prefix: string, inputSize: number, layers?: readonly number[]): TensorGroup[] {
  const place = { bias: true, ...(layers ? { layers } : {}) };
  return [
    ...['wq', 'wk', 'wv'].flatMap((name) =>
      matrix(`${prefix}.${name}`, [size, inputSize], { ...place, shard: column }),
    ),
    ...matrix(`${prefix}.wo`, [size, size], { ...place, shard: row }),
  ];
}

export function molmoTower(prefix: string): Tower {
  const vit = `${prefix}.image_vit`;
  const layers = range(blocks);
  const block = `${vit}.transformer.resblocks.{layer}`;
  return {
    tensors: [
      ...tensor(`${vit}.class_embedding`, [size]),
      ...tensor(`${vit}.positional_embedding`, [positions, size]),
      ...matrix(`${vit}.patch_embedding`, [size, 3 * patch * patch], { plain: true }),
      ...towerNorm(`${vit}.pre_ln`, size, { bias: true }),
      ...attention(`${block}.attention`, size, layers),
      ...matrix(`${block}.feed_forward.w1`, [mlpSize, size], { layers, shard: column, bias: true }),
      ...matrix(`${block}.feed_forward.w2`, [size, mlpSize], { layers, shard: row, bias: true }),
      ...towerNorm(`${block}.attention_norm`, size, { layers, bias: true }),
      ...towerNorm(`${block}.ffn_norm`, size, { layers, bias: true }),
      ...attention(`${prefix}.image_pooling_2d`, taps * size),
      ...tensor(`${prefix}.pad_embed`, [2, taps * size]),
    ],
    shape: { heads, split: 'heads', buffers: [] },
  };
}

/** The projector has the MLP width of the text model. */
export function molmoProjector(prefix: string, intermediateSize: number, hiddenSize: number): TensorGroup[] {
  const place = { part: 'projector', shard: column, merge: `${prefix}.merged_linear` } as const;
  return [
    ...matrix(`${prefix}.w1`, [intermediateSize, size], place),
    ...matrix(`${prefix}.w3`, [intermediateSize, size], place),
    ...matrix(`${prefix}.w2`, [hiddenSize, intermediateSize], { part: 'projector', shard: row }),
  ];
}
