// A decoder's layers one after the other, each attention then feed-forward network with a residual around both, or both beside each
// other; and what architectures do otherwise as parts of it. Law: src/models/*.cpp of llama.cpp, which repeat this course.
import { type AttentionParts, attention, type CacheInputs, cacheInputs } from './attention.ts';
import {
  type Activation,
  ffn,
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  inputPositions,
  layerNorm,
  linear,
  type NormKind,
  norm,
  outputHead,
  type Qkv,
  qkv,
} from './blocks.ts';
import type { Build } from './build.ts';
import type { GraphTensor } from './tensor.ts';

/** What a step of a layer may need beside its operand. */
export interface At {
  b: Build;
  layer: number;
  positions: GraphTensor;
}

export interface DecoderParts {
  /** Kind of every norm whose kind is not given. */
  kind?: NormKind;
  activation?: Activation;
  /** Between the embeddings and the first layer. */
  embed?(b: Build, x: GraphTensor): GraphTensor;
  /** Q, K and V of a layer; undefined: products with the layer's weights. */
  project?(at: At, x: GraphTensor): Qkv;
  /** Norms, rotations and scales of Q, K and V. */
  rotate?(at: At, x: Qkv): Qkv;
  /** More about attention, e.g. sinks. */
  attend?(at: At): Partial<AttentionParts>;
  /** The norm before attention; null: none. */
  attentionNorm?: string | null;
  /** Result of attention before the residual is added. */
  afterAttention?(at: At, x: GraphTensor): GraphTensor;
  /** The norm before the feed-forward network; null: none. */
  networkNorm?: string | null;
  /** In place of a feed-forward network of the usual names. */
  network?(at: At, x: GraphTensor): GraphTensor;
  /** Its result before the residual is added. */
  afterNetwork?(at: At, x: GraphTensor): GraphTensor;
  /** The residual is the first operand of the second sum. */
  residualFirst?: boolean;
  /** End of a layer. */
  afterLayer?(at: At, x: GraphTensor): GraphTensor;
  /** Logits before they are output. */
  finish?(b: Build, logits: GraphTensor): GraphTensor;
}

/** Inputs that every layer uses. */
export interface DecoderInputs {
  positions: GraphTensor;
  /** The cache of a layer. */
  cacheOf(layer: number): CacheInputs;
  outputs: GraphTensor | undefined;
}

export function decoderInputs(b: Build): DecoderInputs {
  const positions = inputPositions(b);
  const full = cacheInputs(b);
  const sliding = cacheInputs(b, 'sliding');
  const cacheOf = (layer: number) => (sliding && b.hp.sliding[layer] ? sliding : full!);
  return { positions, cacheOf, outputs: inputOutputIds(b) };
}

/** Blocks that run; those of multi-token prediction do not. */
export const runningLayers = (b: Build): number => b.hp.layers - b.hp.nextnLayers;

/** Attention, residual, feed-forward network, residual. */
export function serialDecoder(b: Build, parts: DecoderParts): void {
  const { kind, networkNorm = 'ffn_norm', residualFirst } = parts;
  let x = embedded(b, parts);
  const inputs = decoderInputs(b);
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions: inputs.positions };
    const attended = attentionPart(at, x, parts, inputs);
    let [t, residual] = gatherOutputs(b, inputs.outputs, layer, attended.result, x) as [GraphTensor, GraphTensor];
    if (parts.afterAttention) t = parts.afterAttention(at, t);
    residual = b.add(t, residual);
    t = networkNorm === null ? residual : layerNorm(b, residual, layer, networkNorm, kind);
    t = network(at, t, parts);
    if (parts.afterNetwork) t = parts.afterNetwork(at, t);
    x = residualFirst ? b.add(residual, t) : b.add(t, residual);
    if (parts.afterLayer) x = parts.afterLayer(at, x);
  }
  outputHead(b, x, kind, parts.finish);
}

/** Attention and feed-forward network of the same norm; three summands. */
export function parallelDecoder(
  b: Build,
  parts: DecoderParts & {
    /** Operands of both sums. */
    sum(b: Build, x: { attended: GraphTensor; network: GraphTensor; residual: GraphTensor }): GraphTensor;
  },
): void {
  let x = embedded(b, parts);
  const inputs = decoderInputs(b);
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions: inputs.positions };
    const { result, normed } = attentionPart(at, x, parts, inputs);
    const rows = gatherOutputs(b, inputs.outputs, layer, result, x, normed);
    const [attended, residual, input] = rows as [GraphTensor, GraphTensor, GraphTensor];
    x = parts.sum(b, { attended, network: network(at, input, parts), residual });
  }
  outputHead(b, x, parts.kind, parts.finish);
}

function embedded(b: Build, parts: DecoderParts): GraphTensor {
  const x = inputEmbeddings(b);
  return parts.embed ? parts.embed(b, x) : x;
}

/** Norm, projections, attention, output projection. */
export function attentionPart(
  at: At,
  x: GraphTensor,
  parts: DecoderParts,
  inputs: DecoderInputs,
): { result: GraphTensor; normed: GraphTensor } {
  const { b, layer } = at;
  const { attentionNorm = 'attn_norm' } = parts;
  const normed = attentionNorm === null ? x : layerNorm(b, x, layer, attentionNorm, parts.kind);
  const projected = parts.project ? parts.project(at, normed) : qkv(b, normed, layer);
  const rotated = parts.rotate ? parts.rotate(at, projected) : projected;
  const result = attention(b, { inputs: inputs.cacheOf(layer), layer, ...rotated, ...parts.attend?.(at) });
  return { result, normed };
}

function network(at: At, x: GraphTensor, parts: DecoderParts): GraphTensor {
  if (parts.network) return parts.network(at, x);
  return ffn(at.b, x, { layer: at.layer, activation: parts.activation ?? 'silu' });
}

// What many architectures have in common.

/** Q, K and V of a layer as rows that hold all heads (build_qkv without reshape). */
export function flatQkv(b: Build, x: GraphTensor, layer: number): Qkv {
  if (!b.layerOptional(layer, 'attn_qkv.weight')) {
    return {
      q: linear(b, layer, 'attn_q', x),
      k: linear(b, layer, 'attn_k', x),
      v: linear(b, layer, 'attn_v', x),
    };
  }
  const fused = linear(b, layer, 'attn_qkv', x);
  const part = (width: number, from: number) =>
    b.cont(b.view(fused, { ne: [width, x.ne[1]], nb: [fused.nb[1]], offset: b.rowSize(fused.type, from) }));
  const q = b.hp.keyLength[layer]! * b.hp.heads[layer]!;
  const k = b.hp.keyLength[layer]! * b.hp.kvHeads[layer]!;
  return { q: part(q, 0), k: part(k, q), v: part(b.hp.valueLength[layer]! * b.hp.kvHeads[layer]!, q + k) };
}

/** Q and K rotated, with frequency factors where a model has them. */
export function rotated({ b, positions }: At, { q, k, v }: Qkv, factors?: GraphTensor): Qkv {
  return { q: b.rope(q, positions, factors), k: b.rope(k, positions, factors), v };
}

/** Every head of Q and of K has a norm before it is rotated. */
export function normedThenRotated(at: At, { q, k, v }: Qkv): Qkv {
  const { b, layer } = at;
  return rotated(at, { q: layerNorm(b, q, layer, 'attn_q_norm'), k: layerNorm(b, k, layer, 'attn_k_norm'), v });
}

/** llama_model::get_rope_factors: one table for all contexts, or one for short and one for long ones. */
export function ropeFactors({ b, layer }: At): GraphTensor | undefined {
  const { metadata } = b.input.model;
  const stated = metadata['rope.scaling.original_context_length'];
  const original = typeof stated === 'number' ? stated : b.hp.contextLength;
  return (
    b.copiedWeight(layer, 'rope_freqs.weight') ??
    b.copiedWeight(layer, `rope_factors_${b.context.nCtxSeq > original ? 'long' : 'short'}.weight`)
  );
}

/** A norm of the layer that no device is chosen for. */
export function freeNorm(at: At, x: GraphTensor, name: string, kind?: NormKind): GraphTensor {
  const { b, layer } = at;
  return norm(b, x, { weight: b.layerOptional(layer, `${name}.weight`), kind, layer: -1 });
}

/** Logits bounded by a hyperbolic tangent, where the model says so. */
export function softCapped(b: Build, logits: GraphTensor): GraphTensor {
  return b.scale(b.unary('tanh', b.scale(logits)));
}

/** Whether the file states a number other than zero. */
export function states(b: Build, key: string): boolean {
  const value = b.input.model.metadata[key];
  return typeof value === 'number' && value !== 0;
}
