// A decoder's layers one after the other, each attention then feed-forward network with a residual around both, or both beside each
// other; and what architectures do otherwise as parts of it. Law: src/models/*.cpp of llama.cpp, which repeat this course.
import { type AttentionParts, attention, type CacheInputs, cacheInputs } from './attention.ts';
import {
  type Activation,
  ffn,
  gatherOutputs,
  type HeadParts,
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
import type { Build, GraphBuilder } from './build.ts';
import { mixture } from './mixture.ts';
import type { GraphTensor } from './tensor.ts';

/** What a step of a layer may need beside its operand. */
export interface At {
  b: Build;
  layer: number;
  positions: GraphTensor;
}

export interface DecoderParts extends HeadParts {
  /** Kind of every norm whose kind is not given. */
  kind?: NormKind;
  activation?: Activation;
  /** Further embeddings in a row of given ones, for later layers. */
  deepstack?: number;
  /** Between the embeddings and the first layer. */
  embed?(b: Build, x: GraphTensor): GraphTensor;
  /** The layer's input; `given` are the rows that came in. */
  beforeLayer?(at: At, x: GraphTensor, given: GraphTensor): GraphTensor;
  /** The norm before attention; null: none, and a name without weights is a norm without weights. */
  attentionNorm?: string | null;
  /** Attention's own norm where the model has it, so that the other one is the network's. */
  attentionNorm2?: string;
  /** Q, K and V of a layer; undefined: products with the layer's weights. */
  project?(at: At, x: GraphTensor): Qkv;
  /** Norms, rotations and scales of Q, K and V. */
  rotate?(at: At, x: Qkv): Qkv;
  /** More about attention, e.g. sinks. */
  attend?(at: At): Partial<AttentionParts>;
  /** What follows attention for all rows; `normed` is what its projections read. */
  finishAttention?(at: At, x: GraphTensor, normed: GraphTensor): GraphTensor;
  /** What follows for the rows that go on, before the residual is added. */
  afterAttention?(at: At, x: GraphTensor): GraphTensor;
  /** The residual is the first operand of attention's sum, or of the network's. */
  attentionResidualFirst?: boolean;
  residualFirst?: boolean;
  /** The norm before the feed-forward network; null: none. */
  networkNorm?: string | null;
  /** In place of a feed-forward network of the usual names. */
  network?(at: At, x: GraphTensor): GraphTensor;
  /** Its result before the residual is added. */
  afterNetwork?(at: At, x: GraphTensor): GraphTensor;
  /** End of a layer. */
  afterLayer?(at: At, x: GraphTensor, given: GraphTensor): GraphTensor;
  /** The network's sum, and the residual of the layer's input. */
  afterSum?(at: At, x: GraphTensor, residual: GraphTensor): GraphTensor;
  /** The rows that are output are taken after the last layer instead of within it, or after the final norm. */
  gathersLast?: 'rows' | 'normed';
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
  // A build without a cache for sliding layers has a mask of their own for them.
  const masked = full && b.hp.sliding.some(Boolean) ? { ...full, mask: cacheInputs(b)!.mask } : undefined;
  const sliding = cacheInputs(b, 'sliding') ?? masked;
  const cacheOf = (layer: number) => (sliding && b.hp.sliding[layer] ? sliding : full!);
  return { positions, cacheOf, outputs: inputOutputIds(b) };
}

/** Blocks that run; those of multi-token prediction do not. */
export const runningLayers = (b: Build): number => b.hp.layers - b.hp.nextnLayers;

/** Attention, residual, feed-forward network, residual. */
export function serialDecoder(b: Build, parts: DecoderParts): void {
  const { kind, networkNorm = 'ffn_norm' } = parts;
  const given = inputEmbeddings(b, parts.deepstack);
  let x = parts.embed?.(b, given) ?? given;
  const inputs = decoderInputs(b);
  const allRows = (b.input.rules['dense.gathersAfterNorm'] as readonly string[]).includes(b.hp.architecture);
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions: inputs.positions };
    if (parts.beforeLayer) x = parts.beforeLayer(at, x, given);
    const { result } = attentionPart(at, x, parts, inputs);
    const early = parts.gathersLast ? undefined : inputs.outputs;
    const finished = allRows ? parts.afterAttention!(at, result) : result;
    const rows = gatherOutputs(b, early, layer, finished, x) as [GraphTensor, GraphTensor];
    const attended = allRows ? rows[0] : (parts.afterAttention?.(at, rows[0]) ?? rows[0]);
    const sum = parts.attentionResidualFirst ? b.add(rows[1], attended) : b.add(attended, rows[1]);
    const t = network(at, networkNorm === null ? sum : layerNorm(b, sum, layer, networkNorm, kind), parts);
    const grown = parts.afterNetwork?.(at, t) ?? t;
    x = parts.residualFirst ? b.add(sum, grown) : b.add(grown, sum);
    if (parts.afterSum) x = parts.afterSum(at, x, rows[1]);
    if (parts.afterLayer) x = parts.afterLayer(at, x, given);
  }
  head(b, x, parts, inputs);
}

function head(b: Build, x: GraphTensor, parts: DecoderParts, { outputs }: DecoderInputs): void {
  if (parts.gathersLast !== 'rows') {
    outputHead(b, x, parts.kind, parts.gathersLast ? { ...parts, normedRows: outputs } : parts);
    return;
  }
  // Drafting models read the rows of all tokens.
  x.output = true;
  outputHead(b, outputs ? b.getRows(x, outputs) : x, parts.kind, parts);
}

/** The three summands of a layer whose attention and network are beside each other. */
export interface Summands {
  attended: GraphTensor;
  network: GraphTensor;
  residual: GraphTensor;
}

/** Attention and feed-forward network of the same norm. */
export function parallelDecoder(b: Build, parts: DecoderParts & { sum(b: Build, x: Summands): GraphTensor }): void {
  const given = inputEmbeddings(b);
  let x = parts.embed?.(b, given) ?? given;
  const inputs = decoderInputs(b);
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions: inputs.positions };
    const { result, normed } = attentionPart(at, x, parts, inputs);
    const early = parts.gathersLast ? undefined : inputs.outputs;
    const rows = gatherOutputs(b, early, layer, result, x, normed);
    const [attended, residual, input] = rows as [GraphTensor, GraphTensor, GraphTensor];
    x = parts.sum(b, { attended, network: network(at, input, parts), residual });
  }
  head(b, x, parts, inputs);
}

/** Norm, projections, attention, output projection; and the norm, which a network may read as well. */
export function attentionPart(
  at: At,
  x: GraphTensor,
  parts: DecoderParts,
  inputs: DecoderInputs,
): { result: GraphTensor; normed: GraphTensor } {
  const { b, layer } = at;
  const { kind, attentionNorm = 'attn_norm', attentionNorm2 } = parts;
  const normed = attentionNorm === null ? x : layerNorm(b, x, layer, attentionNorm, kind);
  const apart = attentionNorm2 && b.layerOptional(layer, `${attentionNorm2}.weight`);
  const input = apart ? layerNorm(b, x, layer, attentionNorm2, kind) : normed;
  const projected = parts.project?.(at, input) ?? qkv(b, input, layer);
  const turned = parts.rotate?.(at, projected) ?? projected;
  const result = attention(b, { inputs: inputs.cacheOf(layer), layer, ...turned, ...parts.attend?.(at) });
  return { result: parts.finishAttention?.(at, result, normed) ?? result, normed };
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
export function normedThenRotated(at: At, { q, k, v }: Qkv, factors?: GraphTensor): Qkv {
  const { b, layer } = at;
  const normed = { q: layerNorm(b, q, layer, 'attn_q_norm'), k: layerNorm(b, k, layer, 'attn_k_norm'), v };
  return rotated(at, normed, factors);
}

/** A feed-forward network, or in layers with a router a mixture of experts and perhaps a shared one. */
export function perhapsMixture({ b, layer }: At, x: GraphTensor): GraphTensor {
  if (!b.layerOptional(layer, 'ffn_gate_inp.weight')) return ffn(b, x, { layer, activation: 'silu' });
  const scaled = ![0, 1].includes(stated(b, 'expert_weights_scale'));
  const mixed = mixture(b, x, { layer, gating: 'softmax', normalize: true, scaled });
  if (!b.layerOptional(layer, 'ffn_up_shexp.weight')) return mixed;
  const [up, gate, down] = ['ffn_up_shexp', 'ffn_gate_shexp', 'ffn_down_shexp'];
  return b.add(mixed, ffn(b, x, { layer, activation: 'silu', up, gate, down }));
}

/** A factor for every token's queries that grows with its position, where the file has one (build_inp_attn_scale). */
export function attentionScale(b: Build): GraphTensor | undefined {
  return states(b, 'attention.temperature_scale') ? b.inputTensor('f32', 1, 1, b.batch.tokens) : undefined;
}

/** llama_model::get_rope_factors: one table for all contexts, or one for short and one for long ones. */
export function ropeFactors({ b, layer }: At): GraphTensor | undefined {
  const original = stated(b, 'rope.scaling.original_context_length') || b.hp.contextLength;
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

/** A number of the file, 0 where it has none. */
export function stated(b: Build, key: string): number {
  const value = b.input.model.metadata[key];
  return typeof value === 'number' ? value : 0;
}

/** Whether the file states a number other than zero. */
export const states = (b: Build, key: string): boolean => stated(b, key) !== 0;

/** The builder of an architecture that is such a decoder. */
export function serial(parts: DecoderParts): GraphBuilder {
  return (b) => serialDecoder(b, parts);
}

/** Q and K rotated with the model's frequency factors, and nothing else. */
export const turned: DecoderParts = { rotate: (at, x) => rotated(at, x, ropeFactors(at)) };
