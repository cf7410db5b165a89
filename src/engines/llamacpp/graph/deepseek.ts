// DeepSeek V2 and V3 and what is built like them (Kimi K2, GLM 4.7 Flash, GigaChat 3): keys and values come out of a short common
// vector, which alone is cached; files from before that cache expanded keys and values. Law: src/models/deepseek2.cpp.
import type { AttentionParts } from './attention.ts';
import { layerNorm, linear, norm, type Qkv } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { leadingDense } from './experts.ts';
import type { MixtureParts } from './mixture.ts';
import { type At, attentionScale, type DecoderParts, rotated, serialDecoder } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** What changed between builds (presets/engines/llamacpp/graph-moe.yaml). */
interface LatentRules {
  /** Heads of Q are reshaped and rotated as a whole, or cut into two parts from the product. */
  'latent.queries': 'whole' | 'parts';
  /** Where in a head the rotated part stands. */
  'latent.rotatedPart': 'first' | 'last';
  /** Parts are copied before they are normed or rotated. */
  'latent.copiesParts': boolean;
  /** The common vector is cached a second time, as values. */
  'latent.cachesValues': boolean;
}

const lawOf = (b: Build): LatentRules => b.input.rules as unknown as LatentRules;

/** Sizes of latent attention. */
interface Latent {
  rank: number;
  /** Parts of a head of Q and K that are rotated and that are not. */
  rope: number;
  nope: number;
  key: number;
  value: number;
  heads: number;
}

function latentOf(b: Build, layer: number): Latent {
  const { mla, expandedMla, ropeDim: rope } = b.hp;
  const rank = (mla ?? expandedMla)!.kvLoraRank;
  const key = mla?.keyLength ?? b.hp.keyLength[layer]!;
  const value = mla?.valueLength ?? b.hp.valueLength[layer]!;
  return { rank, rope, nope: key - rope, key, value, heads: b.hp.heads[layer]! };
}

function queries({ b, layer }: At, x: GraphTensor): GraphTensor {
  if (b.layerOptional(layer, 'attn_q.weight')) return linear(b, layer, 'attn_q', x);
  const short = layerNorm(b, linear(b, layer, 'attn_q_a', x), layer, 'attn_q_a_norm');
  return linear(b, layer, 'attn_q_b', short);
}

/** The parts of Q that are not rotated and that are, before they are. */
function queryParts(b: Build, q: GraphTensor, s: Latent): { plain: GraphTensor; turning: GraphTensor } {
  const { tokens } = b.batch;
  const row = b.rowSize(q.type, s.key);
  const part = (size: number, from: number) =>
    b.view(q, { ne: [size, s.heads, tokens], nb: [row, row * s.heads], offset: b.rowSize(q.type, from) });
  const [plain, turning] = [part(s.nope, 0), part(s.rope, s.nope)];
  return { plain, turning: lawOf(b)['latent.copiesParts'] ? b.cont(turning) : turning };
}

/** The common vector, normed, and the part of K that all heads share, rotated. */
function compressed(at: At, x: GraphTensor, s: Latent): { common: GraphTensor; shared: GraphTensor } {
  const { b, layer, positions } = at;
  const { tokens } = b.batch;
  const perhapsCopied = (t: GraphTensor) => (lawOf(b)['latent.copiesParts'] ? b.cont(t) : t);
  const both = linear(b, layer, 'attn_kv_a_mqa', x);
  const common = b.view(both, { ne: [s.rank, tokens], nb: [both.nb[1]] });
  const key = b.view(both, {
    ne: [s.rope, 1, tokens],
    nb: [both.nb[1], both.nb[1]],
    offset: b.rowSize(both.type, s.rank),
  });
  const weight = b.layerWeight(layer, 'attn_kv_a_norm.weight');
  return {
    common: norm(b, perhapsCopied(common), { weight, layer }),
    shared: b.rope(perhapsCopied(key), positions),
  };
}

/** A head of its two parts. */
function joined(b: Build, plain: GraphTensor, turned: GraphTensor): GraphTensor {
  return lawOf(b)['latent.rotatedPart'] === 'first' ? b.concat(turned, plain, 0) : b.concat(plain, turned, 0);
}

/** Queries in the space of the common vector: one key head for all of them. */
const absorbed = (at: At, x: GraphTensor): Qkv => absorbedOf(at, x, queries(at, x), lawOf(at.b)['latent.queries']);

/** The same of queries that are there already. */
export function absorbedOf(at: At, x: GraphTensor, product: GraphTensor, cut: 'whole' | 'parts'): Qkv {
  const { b, layer, positions } = at;
  const { tokens } = b.batch;
  const s = latentOf(b, layer);
  const q = cut === 'whole' ? b.reshape(product, s.key, s.heads, tokens) : product;
  const { common, shared } = compressed(at, x, s);
  const { plain, turning } = queryParts(b, q, s);
  const turned = b.rope(turning, positions);
  const inCommon = b.mulMat(b.layerWeight(layer, 'attn_k_b.weight'), b.permute(plain, 0, 2, 1, 3));
  const v = b.reshape(common, s.rank, 1, tokens);
  return { q: joined(b, b.permute(inCommon, 0, 2, 1, 3), turned), k: joined(b, v, shared), v };
}

/** Keys and values of every head. */
function expanded(at: At, x: GraphTensor): Qkv {
  const { b, layer, positions } = at;
  const { tokens } = b.batch;
  const s = latentOf(b, layer);
  const law = lawOf(b);
  const product = queries(at, x);
  const { common, shared } = compressed(at, x, s);
  const both = linear(b, layer, 'attn_kv_b', common);
  const row = b.rowSize(both.type, s.nope + s.value);
  const part = (size: number, from: number) =>
    b.view(both, { ne: [size, s.heads, tokens], nb: [row, row * s.heads], offset: b.rowSize(both.type, from) });
  const k = joined(b, part(s.nope, 0), b.repeat(shared, s.rope, s.heads, tokens));
  let v = b.cont(part(s.value, s.nope));
  // Rows of all heads, though nothing is cut out of them.
  if (law['latent.copiesParts']) v = b.view(v, { ne: [s.value * s.heads, tokens] });
  if (law['latent.queries'] === 'whole') {
    return { q: b.rope(b.reshape(product, s.key, s.heads, tokens), positions), k, v };
  }
  const { plain, turning } = queryParts(b, product, s);
  return { q: joined(b, plain, b.rope(turning, positions)), k, v };
}

/** What attention needs to know of the common vector. */
export function latentLayers({ b, layer }: At): Pick<AttentionParts, 'latent'> {
  const values = b.layerWeight(layer, 'attn_v_b.weight');
  return { latent: lawOf(b)['latent.cachesValues'] ? { values } : { values, rank: latentOf(b, layer).rank } };
}

const absorbing: DecoderParts = { project: absorbed, attend: latentLayers };

/** Mistral Large 3: queries are scaled by their position. */
function tempered(b: Build, parts: DecoderParts): DecoderParts {
  const scale = attentionScale(b);
  if (!scale) return parts;
  return { ...parts, rotate: (_, { q, k, v }) => ({ q: b.mul(q, scale), k, v }) };
}

/** Latent attention over all tokens, then networks, of which leading ones are dense. */
export function latentDecoder(b: Build, given: Partial<MixtureParts> = {}): void {
  serialDecoder(b, {
    ...tempered(b, b.hp.mla ? absorbing : { project: expanded }),
    network: (at, x) => leadingDense(at, x, given),
  });
}

const deepseek2: GraphBuilder = (b) => latentDecoder(b);

/** DeepSeek-OCR's language model has plain attention. */
const deepseek2Ocr: GraphBuilder = (b) =>
  serialDecoder(b, { rotate: rotated, network: (at, x) => leadingDense(at, x) });

export const deepseekBuilders: Readonly<Record<string, GraphBuilder>> = {
  deepseek2,
  'deepseek2-ocr': deepseek2Ocr,
  mistral4: deepseek2,
};
