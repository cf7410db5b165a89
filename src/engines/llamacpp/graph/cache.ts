// The caches of K and V in the graph: their inputs, storing the batch's keys and values, and reading them all. Since set_rows the places
// are an input; before, the batch was copied into a view. Law: src/llama-kv-cache.cpp (cpy_k, cpy_v, get_k, get_v, build_input_*).
import { ggmlTypes, isQuantized } from '../../../spec/ggml-types.ts';
import { alignUp } from '../../../units.ts';
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
  const rows = alignUp(tokens / streams, b.rules.maskRows);
  const mask = () => b.inputTensor(half ? 'f16' : 'f32', cache.cells, rows, 1, streams);
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

function keyCache(b: Build, { cache }: CacheInputs, layer: number): GraphTensor {
  const row = b.hp.kvHeads[layer]! * b.hp.keyLength[layer]!;
  return b.cacheTensor(`k${layer}`, cachePlace(cache, layer), () => ({
    type: b.context.typeK,
    ne: [row, cache.cells, cache.streams, 1],
  }));
}

function valueCache(b: Build, { cache }: CacheInputs, layer: number): GraphTensor {
  const widest = b.context.transposedV && b.rules.cacheAccess === 'rows';
  const row = widest ? valueRow(b) : b.hp.kvHeads[layer]! * b.hp.valueLength[layer]!;
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

export function storeKeys(b: Build, inputs: CacheInputs, k: GraphTensor, layer: number): GraphTensor {
  if (b.rules.cacheAccess !== 'rows') return copyInto(b, keyCache(b, inputs, layer), k);
  const flat = b.view(k, { ne: [k.ne[0] * k.ne[1], k.ne[2]], nb: [k.nb[2]] });
  return b.setRows(rowsOf(b, keyCache(b, inputs, layer)), flat, inputs.keyIndices);
}

export function storeValues(b: Build, inputs: CacheInputs, v: GraphTensor, layer: number): GraphTensor {
  const cache = valueCache(b, inputs, layer);
  if (b.rules.cacheAccess !== 'rows') return copyValues(b, cache, v);
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

/** The batch as one run of the cache's values. */
function copyInto(b: Build, cache: GraphTensor, t: GraphTensor): GraphTensor {
  return b.cpy(t, b.view(cache, { ne: [b.batch.tokens * cache.ne[0]] }));
}

function copyValues(b: Build, cache: GraphTensor, v: GraphTensor): GraphTensor {
  const { tokens } = b.batch;
  const flat = b.rules.cacheAccess === 'direct' ? v : b.reshape(v, cache.ne[0], tokens);
  if (!b.context.transposedV) return copyInto(b, cache, flat);
  const column = ggmlTypes[cache.type].bytes * cache.ne[1];
  const place = b.view(cache, { ne: [tokens, cache.ne[0]], nb: [column] });
  return b.cpy(b.transpose(flat), place);
}

export function readKeys(b: Build, inputs: CacheInputs, layer: number): GraphTensor {
  const cache = keyCache(b, inputs, layer);
  const { cells, streams } = inputs.cache;
  const size = b.hp.keyLength[layer]!;
  return readRows(b, cache, { size, heads: b.hp.kvHeads[layer]!, cells, streams });
}

interface Shown {
  size: number;
  heads: number;
  cells: number;
  streams: number;
}

/** Cells of whole rows; directly: heads apart. */
function readRows(b: Build, cache: GraphTensor, { size, heads, cells, streams }: Shown): GraphTensor {
  const row = b.rowSize(cache.type, cache.ne[0]);
  const head = b.rowSize(cache.type, size);
  return b.rules.cacheAccess === 'direct'
    ? b.view(cache, { ne: [size, cells, heads], nb: [row, head] })
    : b.view(cache, { ne: [size, heads, cells, streams], nb: [head, row, row * cells] });
}

export function readValues(b: Build, inputs: CacheInputs, layer: number): GraphTensor {
  const cache = valueCache(b, inputs, layer);
  const { cells, streams } = inputs.cache;
  const [size, heads] = [b.hp.valueLength[layer]!, b.hp.kvHeads[layer]!];
  if (!b.context.transposedV) return readRows(b, cache, { size, heads, cells, streams });
  const head = b.rowSize(cache.type, cells * size);
  if (b.rules.cacheAccess === 'direct') {
    return b.view(cache, { ne: [cells, size, heads], nb: [b.rowSize(cache.type, cells), head] });
  }
  return b.view(cache, {
    ne: [cells, heads, size, streams],
    nb: [head, b.rowSize(cache.type, cells), b.rowSize(cache.type, cells * cache.ne[0])],
  });
}
