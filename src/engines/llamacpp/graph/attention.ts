// Attention over a cache: the order in which projections, stores and reads enter the graph, and attention with or without flash
// attention. Law: src/llama-graph.cpp (build_attn, build_attn_mha).
import type { Build } from './build.ts';
import { type CacheInputs, readKeys, readValues, storeKeys, storeValues } from './cache.ts';
import type { GraphTensor } from './tensor.ts';

export { type CacheInputs, cacheInputs } from './cache.ts';

/** llama_mul_mat_hadamard. */
export function rotate(b: Build, x: GraphTensor, matrix: GraphTensor): GraphTensor {
  const n = matrix.ne[0];
  const rows = (x.ne[0] * x.ne[1] * x.ne[2] * x.ne[3]) / n;
  const flat = b.isPlain(x) ? b.reshape(x, n, rows) : b.cont(x, n, rows);
  return b.reshape(b.mulMat(matrix, flat), ...x.ne);
}

export interface AttentionParts {
  inputs: CacheInputs;
  layer: number;
  q: GraphTensor;
  /** Absent: the layer reads what another one stored. */
  k?: GraphTensor;
  v?: GraphTensor;
  /** The layer whose cache is read and written. */
  cacheLayer?: number;
  /** Added to the scores; rules out flash attention. */
  bias?: GraphTensor;
  sinks?: GraphTensor;
  /** Scores are bounded by a hyperbolic tangent. */
  softCap?: boolean;
  /** Scores are biased by distance. */
  alibi?: boolean;
  /** Latent attention: results pass through a matrix for each head; with `rank` the first so many values of a key are its value. */
  /** What a layer's own choice of tokens does to the mask. */
  refineMask?(mask: GraphTensor): GraphTensor;
  latent?: { rank?: number; values: GraphTensor };
  /** Order in which projections enter the graph. */
  order?: 'qvk' | 'qkv';
  /** Name of the output projection; null: none. */
  output?: string | null;
}

/** build_attn: stores the batch's keys and values, attends over the cache, projects. */
export function attention(b: Build, parts: AttentionParts): GraphTensor {
  const { inputs, layer, latent, output = 'attn_output' } = parts;
  const rank = latent?.rank;
  const { keyRotation, valueRotation } = rank ? {} : inputs;
  let { q, k, v } = parts;
  if (keyRotation) {
    q = rotate(b, q, keyRotation);
    if (k) k = rotate(b, k, keyRotation);
  }
  if (valueRotation && v) v = rotate(b, v, valueRotation);
  // The cache took V as the product left it.
  if (b.rules.cacheAccess === 'direct' && v?.op === 'reshape') v = v.src[0];
  b.expand(q);
  const order = parts.order ?? (b.cacheSpec('sliding') ? 'qkv' : b.rules.projectionOrder);
  for (const t of order === 'qvk' ? [v, k] : [k, v]) if (t) b.expand(t);
  const cacheLayer = parts.cacheLayer ?? layer;
  if (k) b.expand(storeKeys(b, inputs, k, cacheLayer));
  if (v && !rank) b.expand(storeValues(b, inputs, v, cacheLayer));
  const keys = readKeys(b, inputs, cacheLayer);
  let t = attend(b, {
    ...parts,
    q,
    k: keys,
    v: rank ? startOf(b, keys, rank) : readValues(b, inputs, cacheLayer),
    mask: parts.refineMask?.(inputs.mask) ?? inputs.mask,
    perHead: latent?.values,
  });
  if (valueRotation) t = rotate(b, t, valueRotation);
  if (output === null) return t;
  t = b.mulMat(b.layerWeight(layer, `${output}.weight`), t);
  const scale = b.layerOptional(layer, `${output}.scale`);
  if (scale) t = b.mul(t, scale);
  const bias = b.layerOptional(layer, `${output}.bias`);
  return bias ? b.add(t, bias) : t;
}

/** The first `length` values of every key. */
function startOf(b: Build, keys: GraphTensor, length: number): GraphTensor {
  return b.view(keys, { ne: [length, keys.ne[1], keys.ne[2], keys.ne[3]], nb: keys.nb.slice(1) });
}

// Attention itself.

export interface MhaParts {
  q: GraphTensor;
  k: GraphTensor;
  v: GraphTensor;
  mask?: GraphTensor;
  bias?: GraphTensor;
  sinks?: GraphTensor;
  softCap?: boolean;
  alibi?: boolean;
  /** A matrix for every head that the result passes through. */
  perHead?: GraphTensor;
}

/** build_attn_mha (llm_build_kqv, which was given K and V with heads apart); the result has heads and head size in one row. */
export function attend(b: Build, parts: MhaParts): GraphTensor {
  const { k: keys, v: values, bias } = parts;
  const { flash: law, cacheAccess } = b.rules;
  const arranged = cacheAccess === 'direct';
  const transposed = arranged ? b.context.transposedV : values.nb[1] > values.nb[2];
  const streams = keys.ne[3];
  let { q } = parts;
  if (cacheAccess === 'rows') {
    q = b.view(q, {
      ne: [q.ne[0], q.ne[1], q.ne[2] / streams, streams],
      nb: [q.nb[1], q.nb[2], q.nb[3] / streams],
    });
  }
  q = b.permute(q, 0, 2, 1, 3);
  const k = arranged ? keys : b.permute(keys, 0, 2, 1, 3);
  const v = arranged ? values : b.permute(values, 0, 2, 1, 3);
  const flash = b.context.flashAttn && !bias && k.ne[1] % law.cells === 0;
  const t = flash
    ? flashAttend(b, { ...parts, q, k, v }, transposed)
    : plainAttend(b, { ...parts, q, k, v }, transposed);
  b.expand(t);
  return t;
}

function flashAttend(b: Build, parts: MhaParts, transposed: boolean): GraphTensor {
  const { q, mask, sinks, alibi, perHead } = parts;
  let { k, v } = parts;
  if (transposed) v = b.transpose(v);
  const casts = b.rules.cacheAccess !== 'direct';
  if (casts && k.type === 'f32') k = b.cast(k, 'f16');
  if (casts && v.type === 'f32') v = b.cast(v, 'f16');
  let t = b.flashAttention({ q, k, v, mask, sinks, alibi });
  if (perHead) t = b.cont(b.permute(b.mulMat(perHead, b.permute(t, 0, 2, 1, 3)), 0, 2, 1, 3));
  return b.reshape(t, t.ne[0] * t.ne[1], t.ne[2] * t.ne[3]);
}

function plainAttend(b: Build, parts: MhaParts, transposed: boolean): GraphTensor {
  const { q, k, mask, bias, sinks, softCap, perHead } = parts;
  let scores = b.mulMat(k, q);
  if (softCap) scores = b.scale(b.unary('tanh', b.scale(scores)));
  if (bias) scores = b.add(scores, bias);
  scores = b.softMax(scores, mask, sinks);
  const v = transposed ? parts.v : b.cont(b.transpose(parts.v));
  let result = b.mulMat(v, scores);
  if (perHead) result = b.mulMat(perHead, result);
  const weighted = b.permute(result, 0, 2, 1, 3);
  const t = b.cont(weighted, weighted.ne[0] * weighted.ne[1], weighted.ne[2] * weighted.ne[3]);
  // Everything between the store and this result then runs on the CPU.
  if (!b.context.offloadKqv) b.pinToCpu(t);
  return t;
}
