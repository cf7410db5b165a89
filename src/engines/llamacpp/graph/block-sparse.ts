// MiniMax-M3's attention over chosen blocks of tokens: an indexer scores the cached tokens, the best blocks of every group of heads are
// gathered (single tokens) or all others masked (batches). Without flash attention, or with a cache that sequences share, all tokens
// are attended to. Law: src/models/minimax-m3.cpp, src/llama-kv-cache-msa.cpp.
import { assert } from '../../../assert.ts';
import { isQuantized } from '../../../spec/ggml-types.ts';
import { attention, type CacheInputs, cacheInputs, rotate } from './attention.ts';
import {
  ffn,
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  inputPositions,
  layerNorm,
  linear,
  outputHead,
  type Qkv,
  qkv,
} from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { readKeys, readValues, storeKeys, storeValues } from './cache.ts';
import { oaiSwiglu, routed } from './experts.ts';
import { type At, normedThenRotated, runningLayers, stated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** Positions of an empty cache: the graph is made with so many, whatever the cells. */
const reservedPositions = 256;

/** Inputs of the choice, and what all layers share. */
interface Choice {
  places: GraphTensor;
  bias: GraphTensor;
  visible: GraphTensor;
  cellOf: GraphTensor;
  /** Cells as values that can be gathered (single tokens), or the block of every cell (batches). */
  cellValues: GraphTensor;
  blockOf: GraphTensor;
  /** The mask in F32. */
  mask: GraphTensor;
  positions: number;
  block: number;
  streams: number;
  cells: number;
}

function choiceInputs(b: Build, inputs: CacheInputs): Choice {
  const { tokens } = b.batch;
  const [cells, , , streams] = inputs.mask.ne;
  const block = stated(b, 'attention.indexer.block_size');
  const positions = Math.ceil(reservedPositions / block) * block;
  return {
    places: b.inputTensor('i64', tokens),
    bias: b.inputTensor('f32', positions / block, tokens),
    visible: b.inputTensor('f32', positions, tokens),
    cellOf: b.inputTensor('i32', positions, streams),
    cellValues: b.inputTensor('f32', positions, streams),
    blockOf: b.inputTensor('i32', cells, streams),
    mask: b.cast(inputs.mask, 'f32'),
    positions,
    block,
    streams,
    cells,
  };
}

/** The cached keys of the indexer, once the batch's are among them. */
function indexKeys({ b, layer }: At, k: GraphTensor, { places, cells, streams }: Choice): GraphTensor {
  const cache = b.cacheSpec('indexer')!;
  const { place } = cache.layers.find((l) => l.layer === layer)!;
  const length = k.ne[0];
  const stored = b.cacheTensor(`indexer${layer}`, place, () => ({
    type: b.context.typeK,
    ne: [length, cells, streams, 1],
  }));
  const rows = streams > 1 ? b.reshape(stored, length, cells * streams) : stored;
  b.expand(b.setRows(rows, b.view(k, { ne: [length, k.ne[2]], nb: [k.nb[2]] }), places));
  const row = b.rowSize(stored.type, length);
  return b.view(stored, { ne: [length, 1, cells, streams], nb: [row, row, row * cells] });
}

interface Sparse {
  q: GraphTensor;
  k: GraphTensor;
  v: GraphTensor;
  indexQ: GraphTensor;
  indexK: GraphTensor;
}

/** Attention over the best blocks; the result has all heads in one row. */
function sparseAttention(at: At, x: GraphTensor, given: Qkv, inputs: CacheInputs, choice: Choice): GraphTensor {
  const { b, layer, positions } = at;
  const { tokens } = b.batch;
  const { heads, keyLength } = b.hp.indexer!;
  const q = b.reshape(linear(b, layer, 'indexer.q_proj', x), keyLength, heads, tokens);
  const k = b.reshape(linear(b, layer, 'indexer.k_proj', x), keyLength, 1, tokens);
  const indexQ = b.rope(layerNorm(b, q, layer, 'indexer.q_norm'), positions);
  const indexK = indexKeys(at, b.rope(layerNorm(b, k, layer, 'indexer.k_norm'), positions), choice);
  const { keyRotation, valueRotation } = inputs;
  const own = {
    q: keyRotation ? rotate(b, given.q, keyRotation) : given.q,
    k: keyRotation ? rotate(b, given.k, keyRotation) : given.k,
    v: valueRotation ? rotate(b, given.v, valueRotation) : given.v,
  };
  for (const t of [own.q, own.k, own.v]) b.expand(t);
  b.expand(storeKeys(b, inputs, own.k, layer));
  b.expand(storeValues(b, inputs, own.v, layer));
  const cached = { k: readKeys(b, inputs, layer), v: readValues(b, inputs, layer) };
  const parts = { q: own.q, ...cached, indexQ, indexK };
  const t = tokens === choice.streams ? singles(b, parts, choice) : batch(b, parts, choice);
  return linear(b, layer, 'attn_output', valueRotation ? rotate(b, t, valueRotation) : t);
}

/** Scores of blocks: of a block's tokens the best. */
function blockScores(b: Build, scores: GraphTensor, block: number): GraphTensor {
  const [n, ...rest] = scores.ne;
  return b.tensor({ op: 'pool_2d', type: 'f32', ne: [n / block, ...rest], src: [scores] });
}

const chosenBlocks = (b: Build, scores: GraphTensor): GraphTensor =>
  b.topK(scores, Math.min(b.hp.indexer!.topK, scores.ne[0]));

const counted = (b: Build, n: number): GraphTensor =>
  b.tensor({ op: 'arange', type: 'f32', ne: [n, 1, 1, 1], src: [] });

/** One token of every stream: keys and values of its blocks are gathered. */
function singles(b: Build, { q, k, v, indexQ, indexK }: Sparse, c: Choice): GraphTensor {
  const { heads, keyLength } = b.hp.indexer!;
  const { block, streams, cells, positions } = c;
  const keys = b.view(indexK, { ne: [keyLength, cells, streams], nb: [indexK.nb[2], indexK.nb[3]] });
  const byPosition = b.getRows(keys, c.cellOf);
  const queries = b.reshape(indexQ, keyLength, heads, 1, streams);
  const products = b.mulMat(b.reshape(byPosition, keyLength, positions, 1, streams), queries);
  const shown = b.reshape(c.visible, positions, 1, 1, streams);
  const scores = blockScores(b, b.viewLike('add', products, [products, shown]), block);
  const chosen = chosenBlocks(b, b.add(scores, b.reshape(c.bias, positions / block, 1, 1, streams)));
  const count = chosen.ne[0];
  const all = block * count * heads;
  const first = b.reshape(b.scale(b.cast(chosen, 'f32')), 1, count, heads, streams);
  const tokens = b.add(b.repeat(first, block, count, heads, streams), b.reshape(counted(b, block), block, 1, 1));
  const tokenIds = b.cast(b.reshape(tokens, all, streams), 'i32');
  const places = b.getRows(b.reshape(c.cellValues, 1, positions, streams), tokenIds);
  const groups = k.ne[1];
  const rows = b.add(
    b.scale(b.reshape(places, block, count, heads, streams)),
    b.reshape(counted(b, groups), 1, 1, heads),
  );
  const rowIds = b.cast(b.reshape(rows, all, streams), 'i32');
  const inRows = (t: GraphTensor) => b.view(t, { ne: [t.ne[0], groups * cells, streams], nb: [t.nb[1], t.nb[3]] });
  const [keyRows, valueRows] = [inRows(k), inRows(v)];
  const masks = b.reshape(c.visible, 1, positions, streams);
  const gathered = {
    k: b.getRows(keyRows, rowIds),
    v: b.getRows(valueRows, rowIds),
    mask: b.getRows(masks, tokenIds),
  };
  const folded = (t: GraphTensor) => b.reshape(t, t.ne[0], block * count, 1, heads * streams);
  const typed = (t: GraphTensor, from: GraphTensor) => {
    const type = isQuantized(from.type) ? 'f16' : from.type;
    return t.type === type ? t : b.cast(t, type);
  };
  const [foldedK, foldedV] = [folded(gathered.k), folded(gathered.v)];
  const keysOf = typed(foldedK, k);
  const valuesOf = typed(foldedV, v);
  const mask = b.cast(b.reshape(gathered.mask, block * count, 1, 1, heads * streams), 'f16');
  return grouped(b, { q, k: keysOf, v: valuesOf, mask }, groups);
}

/** Stream by stream: the mask lets through the chosen blocks of every token. */
function batch(b: Build, parts: Sparse, c: Choice): GraphTensor {
  const results = Array.from({ length: c.streams }, (_, stream) => oneStream(b, parts, c, stream));
  return results.reduce((all, t) => b.concat(all, t, 1));
}

function oneStream(b: Build, { q, k, v, indexQ, indexK }: Sparse, c: Choice, stream: number): GraphTensor {
  const { heads, keyLength } = b.hp.indexer!;
  const { block, cells, positions } = c;
  const tokens = b.batch.tokens / c.streams;
  const from = stream * tokens;
  const blocks = positions / block;
  const perToken = (t: GraphTensor, ne: number[]) => b.view(t, { ne, nb: [t.nb[1], t.nb[2]], offset: from * t.nb[2] });
  const queries = perToken(indexQ, [keyLength, heads, tokens]);
  const keys = b.view(indexK, { ne: [keyLength, cells], nb: [indexK.nb[2]], offset: stream * indexK.nb[3] });
  const cellOf = b.view(c.cellOf, { ne: [positions], offset: stream * c.cellOf.nb[1] });
  const rowOfEach = (t: GraphTensor, width: number) =>
    b.view(t, { ne: [width, 1, tokens], nb: [t.nb[1], t.nb[1]], offset: from * t.nb[1] });
  const visible = rowOfEach(c.visible, positions);
  const blockOf = b.view(c.blockOf, { ne: [cells], offset: stream * c.blockOf.nb[1] });
  const mask = b.view(c.mask, {
    ne: [cells, tokens, 1],
    nb: [c.mask.nb[1], c.mask.nb[3]],
    offset: stream * c.mask.nb[3],
  });
  const bias = rowOfEach(c.bias, blocks);
  const shownQ = perToken(q, [q.ne[0], q.ne[1], tokens]);
  const ofStream = (t: GraphTensor) =>
    b.view(t, { ne: [t.ne[0], t.ne[1], cells, 1], nb: t.nb.slice(1), offset: stream * t.nb[3] });
  const [shownK, shownV] = [ofStream(k), ofStream(v)];
  const products = b.mulMat(b.getRows(keys, cellOf), b.reshape(queries, keyLength, heads * tokens));
  const scores = b.reshape(products, positions, heads, tokens);
  const biased = b.add(blockScores(b, b.viewLike('add', scores, [scores, visible]), block), bias);
  const chosen = chosenBlocks(b, biased);
  const count = chosen.ne[0];
  const closed = b.repeat(b.cast(b.scale(bias), 'f16'), blocks, heads, tokens, 1);
  const zeros = b.scale(b.cast(chosen, 'f32'));
  const opened = b.setRows(
    b.reshape(closed, 1, blocks, heads * tokens),
    b.reshape(zeros, 1, count, heads * tokens),
    b.reshape(chosen, count, heads * tokens),
  );
  const byHead = b.cont(b.permute(b.reshape(opened, blocks, heads, tokens), 0, 2, 1, 3));
  const turned = b.cont(b.transpose(b.reshape(byHead, blocks, tokens * heads)));
  const perCell = b.cont(b.transpose(b.getRows(turned, blockOf)));
  const shaped = b.reshape(perCell, cells, tokens, heads);
  const masked = b.viewLike('add', shaped, [shaped, mask]);
  const whole = b.cast(b.reshape(masked, cells, tokens, 1, heads), 'f16');
  const groupsLast = (t: GraphTensor) => b.permute(t, 0, 3, 1, 2);
  return grouped(b, { q: shownQ, k: groupsLast(shownK), v: groupsLast(shownV), mask: whole }, k.ne[1]);
}

/** One flash attention for all groups of heads, which are its sequences. */
function grouped(
  b: Build,
  { q, k, v, mask }: { q: GraphTensor; k: GraphTensor; v: GraphTensor; mask: GraphTensor },
  groups: number,
): GraphTensor {
  const [size, heads, tokens] = q.ne;
  const perGroup = heads / groups;
  const channels = k.ne[3];
  const queries = b.permute(
    b.reshape(q, size, perGroup, channels, (heads * tokens) / (perGroup * channels)),
    ...([0, 2, 3, 1] as const),
  );
  const result = b.permute(b.flashAttention({ q: queries, k, v, mask }), 0, 1, 3, 2);
  return b.reshape(b.isPlain(result) ? result : b.cont(result), size * heads, tokens);
}

function network(at: At, x: GraphTensor): GraphTensor {
  const { b, layer } = at;
  if (layer < (b.hp.experts?.leadingDense ?? 0)) return ffn(b, x, { layer, activation: oaiSwiglu });
  const mixed = routed(at, x, { activation: oaiSwiglu });
  const names = { up: 'ffn_up_shexp', gate: 'ffn_gate_shexp', down: 'ffn_down_shexp' };
  return b.add(mixed, ffn(b, x, { layer, activation: oaiSwiglu, ...names }));
}

const minimaxM3: GraphBuilder = (b) => {
  const { flashAttn, nSeqMax, kvUnified } = b.context;
  let x = inputEmbeddings(b);
  const positions = inputPositions(b);
  const inputs = cacheInputs(b);
  assert(inputs, 'minimax-m3: no cache');
  const choice = flashAttn && (nSeqMax === 1 || !kvUnified) ? choiceInputs(b, inputs) : undefined;
  const outputs = inputOutputIds(b);
  const leading = b.hp.experts?.leadingDense ?? 0;
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions };
    const normed = layerNorm(b, x, layer, 'attn_norm');
    const projected = normedThenRotated(at, qkv(b, normed, layer));
    const result =
      choice && layer >= leading
        ? sparseAttention(at, normed, projected, inputs, choice)
        : attention(b, { inputs, layer, ...projected });
    const [attended, residual] = gatherOutputs(b, outputs, layer, result, x) as [GraphTensor, GraphTensor];
    const sum = b.add(attended, residual);
    x = b.add(network(at, layerNorm(b, sum, layer, 'ffn_norm')), sum);
  }
  outputHead(b, x);
};

export const blockSparseBuilders: Readonly<Record<string, GraphBuilder>> = { 'minimax-m3': minimaxM3 };
