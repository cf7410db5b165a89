// Small builders for tensor lists, so that a family reads like its model card: attention, MLP, experts, norms. Each returns
// tensor groups in the order in which the model constructs them. Shapes are [out, in] as in the checkpoints.
import type { ModelConfig } from '../spec/model.ts';
import type { CacheLayout, LayerCaches, ModelPart, RotaryTable, Shard, TensorGroup, TensorRole } from './types.ts';

export const replicated: Shard = { by: 'replicated' };
export const column: Shard = { by: 'column' };
export const row: Shard = { by: 'row' };
const vocabulary: Shard = { by: 'vocabulary' };
export const kvHeads = (heads: number): Shard => ({ by: 'kv-heads', heads });
export const expert = (inner: Shard): Shard => ({ by: 'expert', inner });

export interface Where {
  layers?: readonly number[];
  experts?: number;
  part?: ModelPart;
}

/** One matrix [out, in] of a linear layer, with its bias when `bias` is set. */
export function linear(
  name: string,
  shape: readonly [number, number],
  options: Where & { role: TensorRole; shard: Shard; bias?: boolean; merge?: string; linear?: boolean },
): TensorGroup[] {
  const { role, shard, bias = false, merge, linear: isLinear = true, part = 'text', ...where } = options;
  const common = { ...where, role, part, ...(merge ? { merge } : {}) };
  const groups: TensorGroup[] = [{ ...common, name: `${name}.weight`, shape, shard, linear: isLinear }];
  if (bias) groups.push({ ...common, name: `${name}.bias`, shape: [shape[0]], shard });
  return groups;
}

/** A norm of `size`; LayerNorm has a bias, RMSNorm has none. */
export function norm(name: string, size: number, where: Where & { bias?: boolean } = {}): TensorGroup[] {
  const { bias = false, part = 'text', ...rest } = where;
  const common = { ...rest, role: 'norm', shard: replicated, part } as const;
  const groups: TensorGroup[] = [{ ...common, name: `${name}.weight`, shape: [size] }];
  if (bias) groups.push({ ...common, name: `${name}.bias`, shape: [size] });
  return groups;
}

export function embedding(name: string, vocabSize: number, hiddenSize: number): TensorGroup {
  return { name: `${name}.weight`, shape: [vocabSize, hiddenSize], role: 'embedding', shard: vocabulary, part: 'text' };
}

export function lmHead(
  vocabSize: number,
  hiddenSize: number,
  options: { name?: string; bias?: boolean } = {},
): TensorGroup[] {
  const { name = 'lm_head', bias = false } = options;
  const groups: TensorGroup[] = [
    {
      name: `${name}.weight`,
      shape: [vocabSize, hiddenSize],
      role: 'lm-head',
      shard: vocabulary,
      part: 'text',
      linear: true,
    },
  ];
  if (bias) groups.push({ name: `${name}.bias`, shape: [vocabSize], role: 'lm-head', shard: vocabulary, part: 'text' });
  return groups;
}

export function range(count: number, start = 0): number[] {
  return Array.from({ length: count }, (_, i) => start + i);
}

/** Sizes of ordinary attention, with the defaults of Hugging Face configs. */
export function attentionSizes(config: ModelConfig): {
  heads: number;
  kv: number;
  headDim: number;
  queryDim: number;
  kvDim: number;
} {
  const heads = config.heads;
  const kv = config.kvHeads ?? heads;
  const headDim = config.headDim ?? Math.floor(config.hiddenSize / heads);
  return { heads, kv, headDim, queryDim: heads * headDim, kvDim: kv * headDim };
}

/** q, k, v, o as separate matrices under `prefix` (model.layers.{layer}.self_attn). */
export function attention(
  prefix: string,
  hiddenSize: number,
  sizes: { heads: number; kv: number; headDim: number; valueHeadDim?: number },
  options: Where & {
    qkvBias?: boolean;
    outBias?: boolean;
    names?: { q: string; k: string; v: string; o: string };
  } = {},
): TensorGroup[] {
  const {
    qkvBias = false,
    outBias = false,
    names = { q: 'q_proj', k: 'k_proj', v: 'v_proj', o: 'o_proj' },
    ...where
  } = options;
  const { heads, kv, headDim, valueHeadDim = headDim } = sizes;
  const merge = `${prefix}.qkv_proj`;
  return [
    ...linear(`${prefix}.${names.q}`, [heads * headDim, hiddenSize], {
      ...where,
      role: 'q',
      shard: column,
      bias: qkvBias,
      merge,
    }),
    ...linear(`${prefix}.${names.k}`, [kv * headDim, hiddenSize], {
      ...where,
      role: 'k',
      shard: kvHeads(kv),
      bias: qkvBias,
      merge,
    }),
    ...linear(`${prefix}.${names.v}`, [kv * valueHeadDim, hiddenSize], {
      ...where,
      role: 'v',
      shard: kvHeads(kv),
      bias: qkvBias,
      merge,
    }),
    ...linear(`${prefix}.${names.o}`, [hiddenSize, heads * valueHeadDim], {
      ...where,
      role: 'o',
      shard: row,
      bias: outBias,
    }),
  ];
}

/** gate, up, down of a gated MLP under `prefix` (model.layers.{layer}.mlp). */
export function gatedMlp(
  prefix: string,
  hiddenSize: number,
  intermediateSize: number,
  options: Where & {
    bias?: boolean;
    names?: { gate: string; up: string; down: string };
    roles?: readonly [TensorRole, TensorRole, TensorRole];
  } = {},
): TensorGroup[] {
  const {
    bias = false,
    names = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' },
    roles = ['gate', 'up', 'down'],
    ...where
  } = options;
  const merge = `${prefix}.gate_up_proj`;
  return [
    ...linear(`${prefix}.${names.gate}`, [intermediateSize, hiddenSize], {
      ...where,
      role: roles[0],
      shard: column,
      bias,
      merge,
    }),
    ...linear(`${prefix}.${names.up}`, [intermediateSize, hiddenSize], {
      ...where,
      role: roles[1],
      shard: column,
      bias,
      merge,
    }),
    ...linear(`${prefix}.${names.down}`, [hiddenSize, intermediateSize], {
      ...where,
      role: roles[2],
      shard: row,
      bias,
    }),
  ];
}

/** The routed experts of one kind of layer, stored one matrix per expert. */
export function experts(
  prefix: string,
  sizes: { hiddenSize: number; intermediateSize: number; experts: number },
  options: Where & { names?: { gate: string; up: string; down: string } } = {},
): TensorGroup[] {
  const { names = { gate: 'gate_proj', up: 'up_proj', down: 'down_proj' }, ...where } = options;
  const { hiddenSize, intermediateSize, experts: count } = sizes;
  const common = { ...where, experts: count };
  const merge = `${prefix}.w13`;
  return [
    ...linear(`${prefix}.{expert}.${names.gate}`, [intermediateSize, hiddenSize], {
      ...common,
      role: 'expert-gate',
      shard: expert(column),
      merge,
    }),
    ...linear(`${prefix}.{expert}.${names.up}`, [intermediateSize, hiddenSize], {
      ...common,
      role: 'expert-up',
      shard: expert(column),
      merge,
    }),
    ...linear(`${prefix}.{expert}.${names.down}`, [hiddenSize, intermediateSize], {
      ...common,
      role: 'expert-down',
      shard: expert(row),
      merge: `${prefix}.w2`,
    }),
  ];
}

/** The routed experts of one kind of layer, stored in two tensors: gate and up over each other, and down. */
export function stackedExperts(
  names: { gateUp: string; down: string; merge: string },
  sizes: { hiddenSize: number; intermediateSize: number; experts: number },
  options: Where & { transposed?: boolean },
): TensorGroup[] {
  const { hiddenSize, intermediateSize, experts: count } = sizes;
  const common = { part: 'text', ...options, experts: count, stacked: true, linear: true } as const;
  return [
    {
      ...common,
      name: names.gateUp,
      shape: [2 * intermediateSize, hiddenSize],
      role: 'expert-gate-up',
      shard: expert(column),
      merge: `${names.merge}.w13`,
    },
    {
      ...common,
      name: names.down,
      shape: [hiddenSize, intermediateSize],
      role: 'expert-down',
      shard: expert(row),
      merge: `${names.merge}.w2`,
    },
  ];
}

/** The router, a replicated matrix that schemes leave in 16 bit. */
export function router(name: string, experts: number, hiddenSize: number, where: Where = {}): TensorGroup[] {
  return linear(name, [experts, hiddenSize], { ...where, role: 'router', shard: replicated, linear: false });
}

/** The same cache in every layer of `layers`. */
export function cachesOf(layers: readonly number[], layout: (layer: number) => readonly CacheLayout[]): LayerCaches[] {
  return layers.map((layer) => ({ layer, caches: layout(layer) }));
}

/** The single rotary table of a decoder whose layers share one rope configuration. */
export function rotaryOf(config: ModelConfig, headDim: number): RotaryTable[] {
  const partial = config.rope?.partialRotaryFactor ?? 1;
  const { originalMaxPositionEmbeddings: original } = config;
  // Phi-3 states the original length beside rope_scaling, not in it.
  const rope = { ...(typeof original === 'number' ? { originalMaxPositionEmbeddings: original } : {}), ...config.rope };
  return [{ dim: Math.floor(headDim * partial), rope, positions: config.maxPositionEmbeddings ?? 0 }];
}

/** Parameters (buffers excluded) of a tensor list, by part. */
export function parameterCount(tensors: readonly TensorGroup[], part?: ModelPart): number {
  let total = 0;
  for (const group of tensors) {
    if (group.buffer || group.derived || (part && group.part !== part)) continue;
    total += group.shape.reduce((a, b) => a * b, 1) * tensorCount(group);
  }
  return total;
}

/** The shape of one tensor of the group as the checkpoint stores it: experts that share a tensor lead with their number. */
export function storedShape(group: TensorGroup): readonly number[] {
  if (group.fileShape) return group.fileShape;
  const shape = group.transposed ? [...group.shape].reverse() : group.shape;
  return group.stacked ? [group.experts ?? 1, ...shape] : shape;
}

/** How many tensors a group stands for. */
export function tensorCount(group: TensorGroup): number {
  return (group.layers?.length ?? 1) * (group.experts ?? 1);
}
