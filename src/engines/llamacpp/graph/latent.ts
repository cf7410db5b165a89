// MiniCPM 3 and PLM: keys and values come out of a short common vector, and are cached in full.
// Law: src/models/minicpm3.cpp, plm.cpp.
import { layerNorm, linear, norm, type Qkv } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { type At, type DecoderParts, ropeFactors, serialDecoder } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** K of every head: its own part and the rotated one that all heads share; V. */
function keysAndValues(at: At, x: GraphTensor, factors?: GraphTensor): { k: GraphTensor; v: GraphTensor } {
  const { b, layer, positions } = at;
  const { tokens } = b.batch;
  const [heads, key, value] = [b.hp.heads[layer]!, b.hp.keyLength[layer]!, b.hp.valueLength[layer]!];
  const rank = b.hp.expandedMla!.kvLoraRank;
  const rope = b.hp.ropeDim;
  const nope = key - rope;
  const both = linear(b, layer, 'attn_kv_a_mqa', x);
  const compressed = perhapsCopied(b, b.view(both, { ne: [rank, tokens], nb: [both.nb[1]] }));
  const last = { ne: [rope, 1, tokens], nb: [both.nb[1], both.nb[1]], offset: 4 * rank };
  const shared = perhapsCopied(b, b.view(both, last));
  const normed = norm(b, compressed, { weight: b.layerWeight(layer, 'attn_kv_a_norm.weight'), layer });
  const grown = linear(b, layer, 'attn_kv_b', normed);
  const part = (size: number, from: number) =>
    b.view(grown, {
      ne: [size, heads, tokens],
      nb: [4 * (nope + value), 4 * heads * (nope + value)],
      offset: 4 * from,
    });
  const rotated = b.rope(shared, positions, factors);
  const k = b.concat(part(nope, 0), b.repeat(rotated, rope, heads, tokens), 0);
  const v = b.cont(part(value, nope));
  return { k, v: copiesParts(b) ? b.view(v, { ne: [value * heads, tokens] }) : v };
}

/** The first builds rotated and normed copies only. */
const copiesParts = (b: Build): boolean => b.input.rules['latent.copiesParts'] === true;
const perhapsCopied = (b: Build, t: GraphTensor): GraphTensor => (copiesParts(b) ? b.cont(t) : t);

/** Q's heads with their last part rotated: where it lies, or before v0.5.0 apart and then joined. */
function queries({ b, layer, positions }: At, q: GraphTensor, factors?: GraphTensor): GraphTensor {
  const [size, heads] = [b.hp.keyLength[layer]!, b.hp.heads[layer]!];
  const { tokens } = b.batch;
  if (b.input.rules['latent.queries'] === 'whole') return b.rope(b.reshape(q, size, heads, tokens), positions, factors);
  const nope = size - b.hp.ropeDim;
  const part = (width: number, from: number) =>
    b.view(q, { ne: [width, heads, tokens], nb: [4 * size, 4 * size * heads], offset: 4 * from });
  const turning = perhapsCopied(b, part(b.hp.ropeDim, nope));
  return b.concat(part(nope, 0), b.rope(turning, positions, factors), 0);
}

function minicpm3Qkv(at: At, x: GraphTensor): Qkv {
  const { b, layer } = at;
  const factors = ropeFactors(at);
  const q = linear(b, layer, 'attn_q_b', layerNorm(b, linear(b, layer, 'attn_q_a', x), layer, 'attn_q_a_norm'));
  return { q: queries(at, q, factors), ...keysAndValues(at, x, factors) };
}

const scaled = ({ b }: At, x: GraphTensor): GraphTensor => b.scale(x);
const parts: DecoderParts = {
  embed: (b: Build, x: GraphTensor) => b.scale(x),
  project: minicpm3Qkv,
  afterAttention: scaled,
  afterNetwork: scaled,
  beforeOutput: (b: Build, x: GraphTensor) => b.scale(x),
};

const minicpm3: GraphBuilder = (b) => serialDecoder(b, parts);

const plm: GraphBuilder = (b) =>
  serialDecoder(b, {
    activation: 'relu_sqr',
    project: (at, x) => {
      const q = queries(at, linear(b, at.layer, 'attn_q', x));
      const { k, v } = keysAndValues(at, x);
      const rows = v.ne[0] * v.ne[1];
      // V as rows of all heads: a view of what is contiguous already.
      return { q, k, v: b.view(v, { ne: [rows, b.batch.tokens], nb: [4 * rows] }) };
    },
  });

export const latentBuilders: Readonly<Record<string, GraphBuilder>> = { minicpm3, plm };
