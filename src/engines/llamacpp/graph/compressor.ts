// Compressed keys of DeepSeek-V4: the last tokens' keys and scores are kept as a state; when enough have come, their weighted sum becomes
// one cell of a cache. Law: src/models/deepseek4.cpp (build_*_compressed_kv_from_state), src/llama-kv-cache-dsv4.cpp (reserve plan).
import { isQuantized } from '../../../spec/ggml-types.ts';
import type { CacheSpec } from '../types.ts';
import { rotate } from './attention.ts';
import { layerNorm, linear } from './blocks.ts';
import type { Build } from './build.ts';
import type { GraphTensor } from './tensor.ts';

export interface KeyCache {
  cache: CacheSpec;
  /** Values of a key. */
  head: number;
  /** Type of the mask. */
  mask: 'f16' | 'f32';
  /** Tokens of a cell. */
  ratio: number;
  /** A cell is a sum over its own tokens and over those of the cell before. */
  overlaps?: boolean;
  /** Keys are rotated whatever their type. */
  rotates?: boolean;
}

export interface KeyInputs extends Omit<KeyCache, 'mask'> {
  /** Cells that keys go to. */
  places: GraphTensor;
  mask: GraphTensor;
  rotation?: GraphTensor;
}

/** Inputs of a cache; a ratio of one: without compression. */
export function keyInputs(b: Build, { mask, ...given }: KeyCache): KeyInputs {
  const { cache, head, rotates, ratio } = given;
  const { tokens, sequences } = b.batch;
  const rotated = rotates || (isQuantized(b.context.typeK) && head % 64 === 0);
  // The largest power of two that the head is a multiple of.
  const size = head & -head;
  return {
    ...given,
    places: b.inputTensor('i64', ratio === 1 ? tokens : blocks(b, ratio)),
    mask: b.inputTensor(mask, cache.cells, tokens / sequences, 1, sequences),
    rotation: rotated ? b.inputTensor('f32', size, size) : undefined,
  };
}

/** What changed between builds (presets/engines/llamacpp/graph-moe.yaml). */
interface Dsv4Rules {
  /** Rotations of a part of every head: of a view, or of the whole with an offset. */
  'dsv4.turns': 'parts' | 'whole';
  'dsv4.cells': 'perSequence' | 'whole';
  /** States are read from their start, or wait for the cells that are made of them. */
  'dsv4.states': 'awaited' | 'restored';
}

const lawOf = (b: Build): Dsv4Rules => b.input.rules as unknown as Dsv4Rules;

/** Cells that a batch can complete. */
function blocks(b: Build, ratio: number): number {
  const { tokens, sequences } = b.batch;
  if (lawOf(b)['dsv4.cells'] === 'whole') return Math.floor(tokens / ratio) + sequences;
  return sequences * Math.ceil(tokens / sequences / ratio);
}

/** The last part of every head (head size x heads x tokens) rotated, or turned back. */
export function turned(b: Build, t: GraphTensor, positions: GraphTensor, back = false): GraphTensor {
  const turn = (x: GraphTensor) => (back ? b.ropeBack(x, positions) : b.rope(x, positions));
  if (lawOf(b)['dsv4.turns'] === 'whole') return turn(t);
  const [size, heads, tokens] = t.ne;
  const row = b.rowSize(t.type, size);
  const plain = size - b.hp.ropeDim;
  const part = (width: number, from: number) =>
    b.view(t, { ne: [width, heads, tokens], nb: [row, row * heads], offset: b.rowSize(t.type, from) });
  return b.concat(part(plain, 0), turn(part(size - plain, plain)), 0);
}

/** Stores keys (head size x 1 x cells) in a layer's cache. */
export function storeCells(b: Build, inputs: KeyInputs, layer: number, k: GraphTensor): void {
  const { cells, streams } = inputs.cache;
  const cache = keyTensor(b, inputs, layer);
  const rows = streams > 1 ? b.reshape(cache, cache.ne[0], cells * streams) : cache;
  b.expand(b.setRows(rows, b.view(k, { ne: [k.ne[0], k.ne[2]], nb: [k.nb[2]] }), inputs.places));
}

export function readCells(b: Build, inputs: KeyInputs, layer: number): GraphTensor {
  const cache = keyTensor(b, inputs, layer);
  const { cells, streams } = inputs.cache;
  const row = b.rowSize(cache.type, cache.ne[0]);
  return b.view(cache, { ne: [cache.ne[0], 1, cells, streams], nb: [row, row, row * cells] });
}

function keyTensor(b: Build, { cache, head, ratio }: KeyInputs, layer: number): GraphTensor {
  return b.cacheTensor(`${cache.kind}${ratio}-${layer}`, placeOf(cache, layer), () => ({
    type: b.context.typeK,
    ne: [head, cache.cells, cache.streams, 1],
  }));
}

const placeOf = (cache: CacheSpec, layer: number) => cache.layers.find((l) => l.layer === layer)!.place;

export interface Compressor {
  /** Prefix of its weights. */
  name: string;
  layer: number;
  x: GraphTensor;
}

/** Inputs that say what becomes of the states of a cache's layers; the same for all of them. */
export interface StateInputs {
  /** Places of the tokens within their cells. */
  within: GraphTensor;
  /** Rows of the batch that stay, and where. */
  from: GraphTensor;
  to: GraphTensor;
  /** Rows that cells are made of, and the cells' positions. */
  read: GraphTensor;
  positions: GraphTensor;
}

export function stateInputs(b: Build, { ratio, overlaps, cache }: KeyInputs): StateInputs {
  const { tokens } = b.batch;
  const kept = Math.min(tokens, stateRows(ratio, overlaps) * cache.streams);
  const made = blocks(b, ratio);
  return {
    within: b.inputTensor('i32', tokens),
    from: b.inputTensor('i32', kept),
    to: b.inputTensor('i32', kept),
    read: b.inputTensor('i32', (overlaps ? 2 : 1) * ratio * made),
    positions: b.inputTensor('i32', made),
  };
}

const stateRows = (ratio: number, overlaps?: boolean): number => (overlaps ? 2 : 1) * ratio;

/** Adds the batch to the layer's state, and stores the cells that it completes. */
export function compress(b: Build, inputs: KeyInputs, states: StateInputs, given: Compressor): void {
  const { name, layer, x } = given;
  const kv = linear(b, layer, `${name}_kv`, x);
  const byPlace = b.getRows(b.layerWeight(layer, `${name}_ape.weight`), states.within);
  const score = b.add(linear(b, layer, `${name}_gate`, x), byPlace);
  const awaited = lawOf(b)['dsv4.states'] === 'awaited';
  const all = (which: string) => {
    const state = stateTensor(b, inputs, given, which);
    const count = state.ne[1] * state.ne[2];
    return awaited
      ? b.reshape(state, state.ne[0], count)
      : b.view(state, { ne: [state.ne[0], count], nb: [state.nb[1]] });
  };
  const rows = (which: string, t: GraphTensor) => {
    const kept = all(which);
    const shown = awaited ? kept : b.view(kept, { ne: [kept.ne[0], kept.ne[1]], nb: [kept.nb[1]] });
    return b.concat(shown, t, 1);
  };
  const source = { kv: rows('kv', kv), score: rows('score', score) };
  let cells = inputs.overlaps ? overlapping(b, inputs, states, source) : alone(b, inputs, states, source);
  cells = turned(b, layerNorm(b, cells, layer, `${name}_norm`), states.positions);
  if (inputs.rotation) cells = rotate(b, cells, inputs.rotation);
  storeCells(b, inputs, layer, cells);
  // A sum of nothing makes the state wait for the cells.
  const after = (t: GraphTensor) =>
    awaited ? b.add(t, b.scale(b.tensor({ op: 'sum', type: 'f32', ne: [1, 1, 1, 1], src: [cells] }))) : t;
  const kept = [b.getRows(after(kv), states.from), b.getRows(after(score), states.from)] as const;
  b.expand(b.setRows(all('kv'), kept[0], states.to));
  b.expand(b.setRows(all('score'), kept[1], states.to));
}

function stateTensor(b: Build, inputs: KeyInputs, { name, layer }: Compressor, which: string): GraphTensor {
  const { cache, head, ratio, overlaps } = inputs;
  return b.cacheTensor(`${name}-${which}-${layer}`, placeOf(cache, layer), () => ({
    type: 'f32',
    ne: [(overlaps ? 2 : 1) * head, stateRows(ratio, overlaps), cache.streams, 1],
  }));
}

interface Source {
  kv: GraphTensor;
  score: GraphTensor;
}

/** Cells of their own tokens alone. */
function alone(b: Build, { head, ratio }: KeyInputs, { read, positions }: StateInputs, source: Source): GraphTensor {
  const taken = (t: GraphTensor) => b.reshape(b.getRows(t, read), head, ratio, positions.ne[0]);
  return weightedSum(b, taken(source.kv), taken(source.score));
}

/** Cells of their own tokens and of those before: of the latter one half of a row, of the former the other. */
function overlapping(
  b: Build,
  { head, ratio }: KeyInputs,
  { read, positions }: StateInputs,
  source: Source,
): GraphTensor {
  const made = positions.ne[0];
  const taken = (t: GraphTensor) => {
    const none = b.reshape(b.scale(b.view(t, { ne: [t.ne[0]] })), t.ne[0], 1);
    const rows = b.getRows(b.concat(t, none, 1), read);
    const half = (offset: number) => {
      const shown = b.view(rows, { ne: [head, ratio * made], nb: [rows.nb[1]], offset });
      return b.reshape(b.cont(shown), head, ratio, made);
    };
    const before = half(0);
    return b.concat(before, half(ratio * made * rows.nb[1] + b.rowSize(rows.type, head)), 1);
  };
  return weightedSum(b, taken(source.kv), taken(source.score));
}

/** Sums over the second dimension, weighted by the softmax of the scores. */
function weightedSum(b: Build, kv: GraphTensor, score: GraphTensor): GraphTensor {
  const values = b.cont(b.permute(kv, 1, 0, 2, 3));
  const weights = b.softMax(b.cont(b.permute(score, 1, 0, 2, 3)));
  return b.cont(b.permute(b.sumRows(b.mul(values, weights)), 1, 0, 2, 3));
}
