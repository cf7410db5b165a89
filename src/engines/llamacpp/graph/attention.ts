// Attention over a cache: storing the batch's keys and values, reading the cache, and attention with or without flash attention.
// Law: src/llama-graph.cpp (build_attn, build_attn_mha), src/llama-kv-cache.cpp (cpy_k, cpy_v, get_k, get_v, build_input_*).
import { isQuantized } from '../../../spec/ggml-types.ts';
import type { CacheSpec } from '../types.ts';
import type { Build } from './build.ts';
import type { GraphTensor } from './tensor.ts';

/** What one cache adds to the graph's inputs. */
export interface CacheInputs {
  cache: CacheSpec;
  keyIndices: GraphTensor;
  valueIndices: GraphTensor;
  mask: GraphTensor;
  /** Matrices that rotate keys and values before they are quantized. */
  keyRotation?: GraphTensor;
  valueRotation?: GraphTensor;
}

/** Inputs of a cache; undefined where the model has no such cache. */
export function cacheInputs(b: Build, kind: CacheSpec['kind'] = 'full'): CacheInputs | undefined {
  const cache = b.cacheSpec(kind);
  if (!cache) return undefined;
  const { tokens, sequences } = b.batch;
  const { flashAttn, transposedV } = b.context;
  const streams = b.context.kvUnified ? 1 : sequences;
  const half = flashAttn && b.rules.halfMask;
  const mask = () => b.inputTensor(half ? 'f16' : 'f32', cache.cells, tokens / streams, 1, streams);
  return {
    cache,
    keyIndices: b.inputTensor('i64', tokens),
    valueIndices: b.inputTensor('i64', transposedV ? tokens * valueRow(b) : tokens),
    mask: flashAttn && !half ? b.cast(mask(), 'f16') : mask(),
    keyRotation: rotation(b, cache, 'key'),
    valueRotation: rotation(b, cache, 'value'),
  };
}

/** The longest V row of all layers: a transposed cache gives every layer as much. */
function valueRow(b: Build): number {
  return Math.max(...b.hp.kvHeads.map((heads, i) => heads * b.hp.valueLength[i]!));
}

/** Head sizes that are a multiple of this are rotated. */
const rotationStep = 64;

function rotation(b: Build, cache: CacheSpec, which: 'key' | 'value'): GraphTensor | undefined {
  const { typeK, typeV } = b.context;
  if (!b.rules.rotatesQuantized || !isQuantized(which === 'key' ? typeK : typeV)) return undefined;
  const lengths = which === 'key' ? b.hp.keyLength : b.hp.valueLength;
  const size = lengths[cache.layers[0]!.layer]!;
  if (cache.layers.some(({ layer }) => lengths[layer] !== size) || lengths[0]! % rotationStep !== 0) return undefined;
  let n = rotationStep;
  if (which === 'key') while (size % (n * 2) === 0) n *= 2;
  return b.inputTensor('f32', n, n);
}

/** llama_mul_mat_hadamard. */
function rotate(b: Build, x: GraphTensor, matrix: GraphTensor): GraphTensor {
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
    mask: inputs.mask,
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

// The cache.

function keyCache(b: Build, { cache }: CacheInputs, layer: number): GraphTensor {
  const row = b.hp.kvHeads[layer]! * b.hp.keyLength[layer]!;
  return b.cacheTensor(`k${layer}`, cachePlace(cache, layer), () => ({
    type: b.context.typeK,
    ne: [row, cache.cells, cache.streams, 1],
  }));
}

function valueCache(b: Build, { cache }: CacheInputs, layer: number): GraphTensor {
  const row = b.context.transposedV ? valueRow(b) : b.hp.kvHeads[layer]! * b.hp.valueLength[layer]!;
  return b.cacheTensor(`v${layer}`, cachePlace(cache, layer), () => ({
    type: b.context.typeV,
    ne: [row, cache.cells, cache.streams, 1],
  }));
}

function cachePlace(cache: CacheSpec, layer: number) {
  return cache.layers.find((l) => l.layer === layer)!.place;
}

/** The cache of all streams as one list of rows. */
function rowsOf(b: Build, cache: GraphTensor): GraphTensor {
  return cache.ne[2] > 1 ? b.reshape(cache, cache.ne[0], cache.ne[1] * cache.ne[2]) : cache;
}

function storeKeys(b: Build, inputs: CacheInputs, k: GraphTensor, layer: number): GraphTensor {
  const flat = b.view(k, { ne: [k.ne[0] * k.ne[1], k.ne[2]], nb: [k.nb[2]] });
  return b.setRows(rowsOf(b, keyCache(b, inputs, layer)), flat, inputs.keyIndices);
}

function storeValues(b: Build, inputs: CacheInputs, v: GraphTensor, layer: number): GraphTensor {
  const cache = valueCache(b, inputs, layer);
  const [row, tokens] = [v.ne[0] * v.ne[1], v.ne[2]];
  if (!b.context.transposedV) {
    const flat = b.view(v, { ne: [row, tokens], nb: [v.nb[2]] });
    return b.setRows(rowsOf(b, cache), flat, inputs.valueIndices);
  }
  let flat = b.rowSize(v.type, row) === v.nb[2] ? b.reshape(v, row, tokens) : b.cont(v, row, tokens);
  if (row < cache.ne[0]) flat = b.pad(flat, cache.ne[0] - row);
  // Every element is a row of its own, with an index of its own.
  const elementsOf = b.reshape(cache, 1, cache.ne[0] * cache.ne[1] * cache.ne[2]);
  return b.setRows(elementsOf, b.reshape(flat, 1, flat.ne[0] * flat.ne[1]), inputs.valueIndices);
}

function readKeys(b: Build, inputs: CacheInputs, layer: number): GraphTensor {
  const cache = keyCache(b, inputs, layer);
  const { cells, streams } = inputs.cache;
  const size = b.hp.keyLength[layer]!;
  const row = b.rowSize(cache.type, cache.ne[0]);
  return b.view(cache, {
    ne: [size, b.hp.kvHeads[layer]!, cells, streams],
    nb: [b.rowSize(cache.type, size), row, row * cells],
  });
}

function readValues(b: Build, inputs: CacheInputs, layer: number): GraphTensor {
  const cache = valueCache(b, inputs, layer);
  const { cells, streams } = inputs.cache;
  const [size, heads] = [b.hp.valueLength[layer]!, b.hp.kvHeads[layer]!];
  if (!b.context.transposedV) {
    const row = b.rowSize(cache.type, cache.ne[0]);
    return b.view(cache, { ne: [size, heads, cells, streams], nb: [b.rowSize(cache.type, size), row, row * cells] });
  }
  const head = b.rowSize(cache.type, cells * size);
  return b.view(cache, {
    ne: [cells, heads, size, streams],
    nb: [head, b.rowSize(cache.type, cells), b.rowSize(cache.type, cells * cache.ne[0])],
  });
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

/** build_attn_mha; the result has heads and head size in one row. */
export function attend(b: Build, parts: MhaParts): GraphTensor {
  const { k: keys, v: values, bias } = parts;
  const transposed = values.nb[1] > values.nb[2];
  const streams = keys.ne[3];
  const given = parts.q;
  let q = b.view(given, {
    ne: [given.ne[0], given.ne[1], given.ne[2] / streams, streams],
    nb: [given.nb[1], given.nb[2], given.nb[3] / streams],
  });
  q = b.permute(q, 0, 2, 1, 3);
  const k = b.permute(keys, 0, 2, 1, 3);
  const v = b.permute(values, 0, 2, 1, 3);
  const flash = b.context.flashAttn && !bias;
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
  if (k.type === 'f32') k = b.cast(k, 'f16');
  if (v.type === 'f32') v = b.cast(v, 'f16');
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
