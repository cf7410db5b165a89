// Decoders with mixtures of experts that are known parts in a known order: which layers have experts, how they are weighted, what all
// tokens pass through beside them. Law: src/models/<architecture>.cpp.
import { ffn, gatherOutputs, inputEmbeddings, layerNorm, linear, outputHead, type Qkv, qkv } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { normedAcrossHeads } from './decoders.ts';
import { byRouter, dense, gathersLast, gatingOf, leadingDense, routed, shared } from './experts.ts';
import type { MixtureParts } from './mixture.ts';
import {
  type At,
  attentionPart,
  type DecoderParts,
  decoderInputs,
  normedThenRotated,
  ropeFactors,
  rotated,
  runningLayers,
  serial,
  serialDecoder,
  softCapped,
  stated,
  states,
  turned,
} from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** Every layer a mixture whose experts are weighted so. */
const weighted =
  (given: Partial<MixtureParts>): DecoderParts['network'] =>
  (at, x) =>
    byRouter(at, x, given);

/** The shared expert's result is weighted by a sigmoid, written as silu(x) / x. */
function qwen2moeNetwork(at: At, x: GraphTensor): GraphTensor {
  const { b, layer } = at;
  const mixed = routed(at, x, { gating: 'softmax', normalize: false });
  const score = b.mulMat(b.layerWeight(layer, 'ffn_gate_inp_shexp.weight'), x);
  const weight = b.div(b.unary('silu', score), score);
  return b.add(mixed, b.mul(shared(at, x)!, weight));
}

/** Blocks from the dense ones on, and of these every so many. */
function ernieNetwork(at: At, x: GraphTensor): GraphTensor {
  const { b, layer } = at;
  const every = stated(b, 'interleave_moe_layer_step');
  if (layer < b.hp.experts!.leadingDense || (layer + 1) % every !== 0) return dense(at, x);
  return byRouter(at, x, { gating: 'softmax', normalize: true });
}

/** Older builds copy Q, K and V out of their common product. */
function dbrxQkv({ b, layer }: At, x: GraphTensor): Qkv {
  if (!b.input.rules['moe.copiesFused']) return qkv(b, x, layer);
  const fused = b.clamp(linear(b, layer, 'attn_qkv', x));
  const size = b.hp.keyLength[layer]!;
  const part = (heads: number, from: number) => {
    const rows = { ne: [size * heads, x.ne[1]], nb: [fused.nb[1]], offset: b.rowSize(fused.type, size * from) };
    return b.reshape(b.cont(b.view(fused, rows)), size, heads, x.ne[1]);
  };
  const [heads, kvHeads] = [b.hp.heads[layer]!, b.hp.kvHeads[layer]!];
  return { q: part(heads, 0), k: part(kvHeads, heads), v: part(kvHeads, heads + kvHeads) };
}

/** Grok 1 has experts alone, Grok 2 a network beside them. */
function grokNetwork(at: At, x: GraphTensor): GraphTensor {
  const { b, layer } = at;
  const mixed = routed(at, x, { gating: 'softmax', normalize: true, activation: 'gelu' });
  if (!b.layerOptional(layer, 'ffn_up.weight')) return mixed;
  return b.scale(b.add(ffn(b, x, { layer, activation: 'gelu' }), mixed));
}

const grok = serial({
  embed: (b, x) => b.scale(x),
  rotate: rotated,
  attend: () => ({ softCap: true }),
  afterAttention: (at, x) => layerNorm(at.b, x, at.layer, 'attn_output_norm'),
  network: grokNetwork,
  afterNetwork: ({ b, layer }, x) =>
    layerNorm(b, x, layer, b.layerOptional(layer, 'layer_output_norm.weight') ? 'layer_output_norm' : 'post_ffw_norm'),
  finish: (b, logits) => {
    const scaled = b.scale(logits);
    return states(b, 'final_logit_softcapping') ? softCapped(b, scaled) : scaled;
  },
});

/** Experts read the layer's input, beside attention and a dense network. */
const arctic = serial({
  rotate: rotated,
  network: ({ b, layer }, x) => ffn(b, x, { layer, activation: 'silu' }),
  afterSum: (at, sum, residual) => {
    const input = layerNorm(at.b, residual, at.layer, 'ffn_norm_exps');
    return at.b.add(routed(at, input, { gating: 'softmax', normalize: true }), sum);
  },
});

/** Every fourth layer sees all and is not rotated; where all layers do, every one but the last is. */
function llama4Rotates(b: Build, layer: number): boolean {
  const every = b.hp.window > 0 ? 4 : b.hp.layers - b.hp.nextnLayers;
  return (layer + 1) % every !== 0;
}

/** Builds that had no graph for layers that all see all took Llama's, without the shared expert. */
function llama4AsLlama(b: Build): void {
  serialDecoder(b, {
    rotate: (at, x) => {
      const { q, k, v } = rotated(at, x, ropeFactors(at));
      return b.hp.experts?.count === 128 ? { q, k, v } : { q: b.rmsNorm(q), k: b.rmsNorm(k), v };
    },
    network: (at, x) => {
      if (!b.layerOptional(at.layer, 'ffn_gate_inp.weight')) return dense(at, x);
      return routed(at, x, { gating: 'softmax', normalize: true, weightsFirst: true });
    },
  });
}

/** Queries of layers that are not rotated are scaled by their position; the others are normed, but for the model of 128 experts. */
const llama4: GraphBuilder = (b) => {
  if (b.hp.window === 0 && b.input.rules['moe.llama4AllFull'] === 'llama') return llama4AsLlama(b);
  const scale = b.inputTensor('f32', 1, 1, b.batch.tokens);
  serialDecoder(b, {
    rotate: (at, x) => {
      if (!llama4Rotates(b, at.layer)) return { ...x, q: b.mul(x.q, scale) };
      const { q, k, v } = rotated(at, x, ropeFactors(at));
      return b.hp.experts?.count === 128 ? { q, k, v } : { q: b.rmsNorm(q), k: b.rmsNorm(k), v };
    },
    network: weighted({ gating: 'sigmoid', normalize: false, weightsFirst: true }),
  });
};

const valueScaled = (b: Build): boolean =>
  b.input.rules['moe.valueScale'] === true && ![0, 1].includes(stated(b, 'attention.value_scale'));

/** Heads of V are narrower than those of K; sliding layers have sinks. */
const mimo2 = serial({
  rotate: rotated,
  attend: ({ b, layer }) => ({ sinks: b.layerOptional(layer, 'attn_sinks.weight') }),
  finishAttention: ({ b }, x) => (valueScaled(b) ? b.scale(x) : x),
  network: weighted({ gating: 'sigmoid', normalize: true }),
});

/** The router reads the layer's input; its scores of the rows that go on are taken with them. */
const smallthinker: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  const inputs = decoderInputs(b);
  const parts: DecoderParts = {
    // Where some layers slide, every fourth, which sees all, is not rotated.
    rotate: (at, t) => (b.hp.window === 0 || at.layer % 4 !== 0 ? rotated(at, t) : t),
  };
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions: inputs.positions };
    const probabilities = b.mulMat(b.layerWeight(layer, 'ffn_gate_inp.weight'), x);
    const { result } = attentionPart(at, x, parts, inputs);
    const rows = gatherOutputs(b, inputs.outputs, layer, result, x, probabilities);
    const [attended, residual, scores] = rows as [GraphTensor, GraphTensor, GraphTensor];
    const sum = b.add(attended, residual);
    const mixed = routed(at, layerNorm(b, sum, layer, 'ffn_norm'), { normalize: true, activation: 'relu', scores });
    x = b.add(mixed, sum);
  }
  outputHead(b, x);
};

const acrossHeads: DecoderParts = { project: (at, x) => normedAcrossHeads(at, x), rotate: rotated };

/** Norms of Q and K everywhere, rotations in sliding layers. */
function normedWhereSliding(at: At, x: Qkv): Qkv {
  const { b, layer } = at;
  if (b.hp.sliding[layer]) return normedThenRotated(at, x, ropeFactors(at));
  return { q: layerNorm(b, x.q, layer, 'attn_q_norm'), k: layerNorm(b, x.k, layer, 'attn_k_norm'), v: x.v };
}

export const moeBuilders: Readonly<Record<string, GraphBuilder>> = {
  arctic,
  bailingmoe: serial({ ...turned, network: (at, x) => byRouter(at, x, { gating: 'softmax' }) }),
  bailingmoe2: serial({ rotate: normedThenRotated, network: (at, x) => leadingDense(at, x) }),
  dbrx: serial({
    kind: 'layer',
    project: dbrxQkv,
    rotate: rotated,
    networkNorm: 'attn_output_norm',
    network: weighted({ gating: 'softmax', normalize: true }),
  }),
  deepseek: serial({ ...turned, network: (at, x) => leadingDense(at, x, { gating: 'softmax', normalize: false }) }),
  dots1: serial({ rotate: normedThenRotated, network: (at, x) => leadingDense(at, x) }),
  'ernie4_5-moe': serial({ rotate: rotated, network: ernieNetwork }),
  'exaone-moe': serial({
    rotate: (at, x) => {
      const { b, layer } = at;
      if (b.hp.sliding[layer]) return normedThenRotated(at, x, ropeFactors(at));
      return { q: layerNorm(b, x.q, layer, 'attn_q_norm'), k: layerNorm(b, x.k, layer, 'attn_k_norm'), v: x.v };
    },
    network: (at, x) => byRouter(at, x),
  }),
  grok,
  'hunyuan-moe': serial({
    rotate: (at, x) => {
      const { q, k, v } = rotated(at, x, ropeFactors(at));
      return { q: layerNorm(at.b, q, at.layer, 'attn_q_norm'), k: layerNorm(at.b, k, at.layer, 'attn_k_norm'), v };
    },
    network: weighted({ gating: 'softmax', normalize: true }),
  }),
  hy_v3: (b) =>
    serialDecoder(b, {
      rotate: (at, x) => normedThenRotated(at, x, ropeFactors(at)),
      network: (at, x) => byRouter(at, x, { gating: gatingOf(b, 'sigmoid') }),
      gathersLast: gathersLast(b),
    }),
  llama4,
  maple: serial({
    rotate: normedWhereSliding,
    network: weighted({ gating: 'softmax', normalize: true, scaled: false }),
  }),
  mimo2,
  'minimax-m2': serial({ ...acrossHeads, network: (at, x) => byRouter(at, x, { normalize: true }) }),
  olmoe: serial({ ...acrossHeads, network: weighted({ gating: 'softmax', normalize: false }) }),
  smallthinker,
  qwen2moe: serial({ rotate: rotated, network: qwen2moeNetwork }),
};
