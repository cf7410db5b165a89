// The vision encoders of Qwen2-VL, Qwen2.5-VL (and EXAONE 4.5, with grouped KV heads) and Qwen3-VL / Qwen3.5: 3-D patches, fused
// qkv, a merger to the text width. transformers/models/{qwen2_vl,qwen2_5_vl,qwen3_vl}; split by heads in vLLM
// model_executor/models/{qwen2_vl,qwen2_5_vl,qwen3_vl,exaone4_5}.py, merger included.
import type { JsonObject } from '../../../../spec/model.ts';
import type { TensorGroup, TowerBuffer } from '../../../types.ts';
import {
  column,
  fusedQkv,
  matrix,
  type Place,
  range,
  row,
  type TowerConfig,
  tensor,
  towerConfig,
  towerGatedMlp,
  towerMlp,
  towerNorm,
} from '../parts.ts';
import type { Tower } from '../tower.ts';

/** vLLM makes the rotary table of these towers for 8192 positions, half of the head rotated. */
const rotaryTable = (headDim: number): TowerBuffer => ({ kind: 'rotary-table', values: 8192 * (headDim / 2) });

function patchEmbedding(prefix: string, config: TowerConfig, size: number): TensorGroup[] {
  const patch = config.int('patchSize', 14);
  return tensor(`${prefix}.patch_embed.proj.weight`, [size, 3, config.int('temporalPatchSize', 2), patch, patch]);
}

function attention(block: string, size: number, sizes: { heads: number; kv: number }, layers: number[]): TensorGroup[] {
  const headDim = size / sizes.heads;
  return [
    ...matrix(`${block}.attn.qkv`, [(sizes.heads + 2 * sizes.kv) * headDim, size], {
      layers,
      shard: fusedQkv(sizes.heads, sizes.kv, headDim),
      bias: true,
      merge: `${block}.attn.qkv`,
    }),
    ...matrix(`${block}.attn.proj`, [size, size], { layers, shard: row, bias: true }),
  ];
}

function norms(block: string, size: number, layers: number[], bias: boolean): TensorGroup[] {
  return ['norm1', 'norm2'].flatMap((name) => towerNorm(`${block}.${name}`, size, { layers, bias }));
}

/** Two biased linear layers over merged patches; `names` are norm, first, second. */
function merger(
  prefix: string,
  names: readonly [string, string, string],
  sizes: { norm: number; merged: number; out: number; normBias: boolean },
  place: Place = {},
): TensorGroup[] {
  const { norm, merged, out, normBias } = sizes;
  return [
    ...towerNorm(`${prefix}.${names[0]}`, norm, { ...place, bias: normBias }),
    ...matrix(`${prefix}.${names[1]}`, [merged, merged], { ...place, shard: column, bias: true }),
    ...matrix(`${prefix}.${names[2]}`, [out, merged], { ...place, shard: row, bias: true }),
  ];
}

const sequential = ['ln_q', 'mlp.0', 'mlp.2'] as const;
const named = ['norm', 'linear_fc1', 'linear_fc2'] as const;

export function qwen2Tower(prefix: string, vision: JsonObject | undefined, hiddenSize: number): Tower {
  const config = towerConfig(vision);
  const size = config.int('embedDim', 1280);
  const heads = config.int('numHeads', 16);
  const layers = range(config.int('depth', 32));
  const merged = size * config.int('spatialMergeSize', 2) ** 2;
  const block = `${prefix}.blocks.{layer}`;
  return {
    tensors: [
      ...patchEmbedding(prefix, config, size),
      ...norms(block, size, layers, true),
      ...attention(block, size, { heads, kv: heads }, layers),
      ...towerMlp(`${block}.mlp`, size, size * config.int('mlpRatio', 4), { layers }),
      ...merger(`${prefix}.merger`, sequential, {
        norm: size,
        merged,
        out: config.int('hiddenSize', hiddenSize),
        normBias: true,
      }),
    ],
    shape: { heads, split: 'heads', buffers: [rotaryTable(size / heads)] },
  };
}

export function qwen25Tower(prefix: string, vision: JsonObject | undefined, hiddenSize: number): Tower {
  const config = towerConfig(vision);
  const size = config.int('hiddenSize', 1280);
  const heads = config.int('numHeads', 16);
  const layers = range(config.int('depth', 32));
  const merged = size * config.int('spatialMergeSize', 2) ** 2;
  const block = `${prefix}.blocks.{layer}`;
  return {
    tensors: [
      ...patchEmbedding(prefix, config, size),
      ...norms(block, size, layers, false),
      ...attention(block, size, { heads, kv: config.int('numKeyValueHeads', heads) }, layers),
      ...towerGatedMlp(`${block}.mlp`, size, config.int('intermediateSize', 3420), { layers, bias: true }),
      ...merger(`${prefix}.merger`, sequential, {
        norm: size,
        merged,
        out: config.int('outHiddenSize', hiddenSize),
        normBias: false,
      }),
    ],
    shape: { heads, split: 'heads', buffers: [rotaryTable(size / heads)] },
  };
}

/** The layers whose features enter the text model beside the last one (deepstack). */
export function deepstackLayers(vision: JsonObject | undefined, fallback: readonly number[]): readonly number[] {
  return towerConfig(vision).ints('deepstackVisualIndexes', fallback);
}

/** `deepstack`: number of extra mergers, each with its norm after the merge. */
export function qwen3Tower(prefix: string, vision: JsonObject | undefined, deepstack: number): Tower {
  const config = towerConfig(vision);
  const size = config.int('hiddenSize');
  const heads = config.int('numHeads');
  const layers = range(config.int('depth'));
  const merged = size * config.int('spatialMergeSize', 2) ** 2;
  const out = config.int('outHiddenSize');
  const block = `${prefix}.blocks.{layer}`;
  const extra = range(deepstack);
  return {
    tensors: [
      ...patchEmbedding(prefix, config, size),
      ...tensor(`${prefix}.patch_embed.proj.bias`, [size]),
      ...tensor(`${prefix}.pos_embed.weight`, [config.int('numPositionEmbeddings', 2304), size]),
      ...norms(block, size, layers, true),
      ...attention(block, size, { heads, kv: heads }, layers),
      ...towerMlp(`${block}.mlp`, size, config.int('intermediateSize'), {
        layers,
        names: ['linear_fc1', 'linear_fc2'],
      }),
      ...merger(`${prefix}.merger`, named, { norm: size, merged, out, normBias: true }),
      ...(deepstack > 0
        ? merger(
            `${prefix}.deepstack_merger_list.{layer}`,
            named,
            { norm: merged, merged, out, normBias: true },
            { layers: extra },
          )
        : []),
    ],
    shape: { heads, split: 'heads', buffers: [rotaryTable(size / heads)] },
  };
}
