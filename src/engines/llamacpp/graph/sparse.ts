// Latent attention over chosen tokens: an indexer scores all cached tokens for every new one, and attention is masked but for the
// best. Law: src/models/deepseek32.cpp, glm-dsa.cpp, src/llama-graph.cpp (build_attn for DeepSeek sparse attention).
import { assert } from '../../../assert.ts';
import { layerNorm, linear } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { absorbedOf, latentDecoder, latentLayers } from './deepseek.ts';
import { gatingOf, leadingDense } from './experts.ts';
import { fusedOperations } from './fused-trials.ts';
import { type At, serialDecoder } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

interface SparseRules {
  /** Heads of the indexer are rotated as a whole, or cut into two parts first. */
  'sparse.indexerHeads': 'whole' | 'parts';
  /** The indexer's scores are one operation: always, or if every layer's device has it. */
  'sparse.fuses': 'always' | 'supported';
}

const lawOf = (b: Build): SparseRules => b.input.rules as unknown as SparseRules;

/** Inputs of the indexer's cache. */
interface IndexerInputs {
  places: GraphTensor;
  mask: GraphTensor;
  /** Rotates queries and keys, whatever their type. */
  rotation: GraphTensor;
  cells: number;
  streams: number;
  fused: boolean;
}

function indexerInputs(b: Build): IndexerInputs {
  const cache = b.cacheSpec('indexer');
  const { indexer } = b.hp;
  assert(cache && indexer, `${b.hp.architecture}: no indexer`);
  const { tokens, sequences } = b.batch;
  const streams = b.context.kvUnified ? 1 : sequences;
  const { cells } = cache;
  const layers = cache.layers.map(({ layer }) => layer);
  const tried = () => fusedOperations(b, sparse, [{ op: 'lightning_indexer', layers }]).get('lightning_indexer')!;
  const fused = lawOf(b)['sparse.fuses'] === 'always' || tried();
  return {
    places: b.inputTensor('i64', tokens),
    mask: b.inputTensor(fused ? 'f16' : 'f32', cells, tokens / streams, 1, streams),
    rotation: b.inputTensor('f32', indexer.keyLength, indexer.keyLength),
    cells,
    streams,
    fused,
  };
}

/** The indexer's queries or keys, rotated by position and then by the matrix. */
function indexerHeads(at: At, flat: GraphTensor, heads: number, { rotation }: IndexerInputs): GraphTensor {
  const { b, positions } = at;
  const { tokens } = b.batch;
  const length = b.hp.indexer!.keyLength;
  if (lawOf(b)['sparse.indexerHeads'] === 'whole') {
    return b.mulMat(rotation, b.rope(b.reshape(flat, length, heads, tokens), positions));
  }
  const rope = b.hp.ropeDim;
  const row = b.rowSize(flat.type, length);
  const part = (size: number, from: number) =>
    b.view(flat, { ne: [size, heads, tokens], nb: [row, row * heads], offset: b.rowSize(flat.type, from) });
  const turned = b.rope(part(rope, 0), positions);
  return b.mulMat(rotation, b.concat(turned, part(length - rope, length - rope), 0));
}

/** The best tokens for every token of the batch. */
function chosenTokens(at: At, x: GraphTensor, short: GraphTensor, inputs: IndexerInputs): GraphTensor {
  const { b, layer } = at;
  const { heads, topK } = b.hp.indexer!;
  const q = indexerHeads(at, linear(b, layer, 'indexer.attn_q_b', short), heads, inputs);
  const key = layerNorm(b, linear(b, layer, 'indexer.attn_k', x), layer, 'indexer.k_norm', 'layer');
  const keys = storedKeys(at, indexerHeads(at, key, 1, inputs), inputs);
  const weights = linear(b, layer, 'indexer.proj', x);
  const scores = indexerScores(b, { q, keys, weights }, inputs);
  return b.cont(b.topK(scores, Math.min(scores.ne[0], topK)));
}

/** All cached keys of the layer, once the batch's are among them. */
function storedKeys({ b, layer }: At, k: GraphTensor, { places, cells, streams }: IndexerInputs): GraphTensor {
  const length = k.ne[0];
  const place = b.cacheSpec('indexer')!.layers.find((l) => l.layer === layer)!.place;
  const cache = b.cacheTensor(`indexer${layer}`, place, () => ({
    type: b.context.typeK,
    ne: [length, cells, streams, 1],
  }));
  const rows = streams > 1 ? b.reshape(cache, length, cells * streams) : cache;
  b.expand(b.setRows(rows, b.view(k, { ne: [length, k.ne[2]], nb: [k.nb[2]] }), places));
  const row = b.rowSize(cache.type, length);
  return b.view(cache, { ne: [length, 1, cells, streams], nb: [row, row, row * cells] });
}

/** Queries and the heads' weights, every stream's tokens apart. */
export function perStream(
  b: Build,
  { q, weights }: { q: GraphTensor; weights: GraphTensor },
  streams: number,
): { q: GraphTensor; weights: GraphTensor } {
  return {
    q: b.view(q, { ne: [q.ne[0], q.ne[1], q.ne[2] / streams, streams], nb: [q.nb[1], q.nb[2], q.nb[3] / streams] }),
    weights: b.view(weights, {
      ne: [weights.ne[0], weights.ne[1] / streams, weights.ne[2], streams],
      nb: [weights.nb[1], weights.nb[2] / streams, weights.nb[3] / streams],
    }),
  };
}

function indexerScores(
  b: Build,
  given: { q: GraphTensor; keys: GraphTensor; weights: GraphTensor },
  { mask, fused }: IndexerInputs,
): GraphTensor {
  const { keys } = given;
  const shown = perStream(b, given, keys.ne[3]);
  const { q } = shown;
  const weights = b.scale(shown.weights);
  return scoresOf(b, { q, k: keys, weights, mask }, fused);
}

/** Scores of all cached keys for every query, as one operation or as several. */
export function scoresOf(
  b: Build,
  x: { q: GraphTensor; k: GraphTensor; weights: GraphTensor; mask: GraphTensor },
  fused: boolean,
): GraphTensor {
  if (fused) return b.lightningIndexer(x);
  const products = b.mulMat(b.permute(x.k, 0, 2, 1, 3), b.permute(x.q, 0, 2, 1, 3));
  const positive = b.unary('relu', b.cont(b.permute(products, 2, 1, 0, 3)));
  const sums = b.sumRows(b.mul(positive, x.weights));
  return b.add(b.cont(b.permute(sums, 2, 1, 0, 3)), x.mask);
}

/** The mask that lets through what it did of the chosen tokens. */
export function onlyChosen(b: Build, mask: GraphTensor, chosen: GraphTensor, type: 'f16' | 'f32' = 'f32'): GraphTensor {
  let closed = b.fill(mask);
  closed = b.view(closed, {
    ne: [1, closed.ne[0], closed.ne[1], closed.ne[3]],
    nb: [closed.nb[0], closed.nb[1], closed.nb[2]],
  });
  const ids = b.view(chosen, {
    ne: [chosen.ne[0], chosen.ne[1], chosen.ne[3], 1],
    nb: [chosen.nb[1], chosen.nb[2], chosen.ne[3] * chosen.nb[3]],
  });
  const zeros = b.fill(b.tensor({ type, ne: [1, ids.ne[0], ids.ne[1], ids.ne[2]] }));
  const opened = b.setRows(closed, zeros, ids);
  const shown = b.view(opened, {
    ne: [opened.ne[1], opened.ne[2], 1, opened.ne[3]],
    nb: [opened.nb[2], opened.nb[3], opened.nb[3]],
  });
  return b.add(shown, mask);
}

const usualGating = (b: Build) => gatingOf(b, b.hp.architecture === 'glm-dsa' ? 'sigmoid' : 'softmax');

/** Blocks without an indexer of their own use the choice of the last one that has. */
const sparse: GraphBuilder = (b) => {
  // Builds that did not cache the indexer's keys attended to all tokens.
  if (!b.cacheSpec('indexer')) return latentDecoder(b, { gating: usualGating(b) });
  const inputs = indexerInputs(b);
  let chosen: GraphTensor | undefined;
  serialDecoder(b, {
    project: (at, x) => {
      const short = layerNorm(b, linear(b, at.layer, 'attn_q_a', x), at.layer, 'attn_q_a_norm');
      if (b.hp.indexer!.full[at.layer]) chosen = chosenTokens(at, x, short, inputs);
      return absorbedOf(at, x, linear(b, at.layer, 'attn_q_b', short), 'parts');
    },
    attend: (at) => ({ ...latentLayers(at), refineMask: (mask) => onlyChosen(b, mask, chosen!) }),
    network: (at, x) => leadingDense(at, x, { gating: usualGating(b) }),
  });
};

export const sparseBuilders: Readonly<Record<string, GraphBuilder>> = { deepseek32: sparse, 'glm-dsa': sparse };
