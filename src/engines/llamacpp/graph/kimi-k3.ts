// Kimi K3: delta nets and latent attention as in Kimi Linear, both with a gate, experts in a smaller space, and blocks that read a sum
// of all residuals that were set aside so far, weighted by what they hold. Law: src/models/kimi-k3.cpp.
import { attention, type CacheInputs } from './attention.ts';
import { inputEmbeddings, inputOutputIds, layerNorm, linear, norm, outputHead } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { deltaKernels } from './delta-kernels.ts';
import { deltaNet } from './delta-net.ts';
import { normalizes, routed } from './experts.ts';
import { hybridInputs } from './hybrid.ts';
import { absorbed, compress, convolved, type DeltaAt } from './kimi-linear.ts';
import { readStates, sequenceTokens, stateTensor } from './recurrent.ts';
import { recurrentRules } from './recurrent-rules.ts';
import { stated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** Two bounded branches, one of them gated (kimi_k3_situ). */
const situ = (b: Build, up: GraphTensor, gate: GraphTensor): GraphTensor => {
  const bounded = (t: GraphTensor) => b.scale(b.unary('tanh', b.scale(t)));
  const gated = b.mul(bounded(gate), b.unary('sigmoid', gate));
  return b.mul(gated, stated(b, 'activation.situ_linear_beta') > 0 ? bounded(up) : up);
};

/** Residuals set aside: embedding x count x tokens. */
class Residuals {
  private stack: GraphTensor | undefined;

  constructor(private readonly b: Build) {}

  push(x: GraphTensor): void {
    const row = this.b.reshape(x, x.ne[0], 1, x.ne[1]);
    this.stack = this.stack ? this.b.concat(this.stack, row, 1) : row;
  }

  /** The current one and those set aside, each by the weight that its normed values have. */
  mixed(x: GraphTensor, weight: GraphTensor): GraphTensor {
    const { b, stack } = this;
    if (!stack) return x;
    const [, count, tokens] = stack.ne;
    const scored = (t: GraphTensor) => b.sumRows(b.mul(b.rmsNorm(t), weight));
    const aside = b.reshape(scored(stack), count, tokens);
    const weights = b.softMax(b.concat(aside, scored(x), 0));
    const part = (n: number, offset: number) =>
      b.cont(b.view(weights, { ne: [n, tokens], nb: [weights.nb[1]], offset }));
    const [ofStack, ofCurrent] = [part(count, 0), part(1, count * weights.nb[0])];
    const sum = b.tensor({ op: 'dsv4_hc_pre', type: 'f32', ne: [x.ne[0], tokens, 1, 1], src: [stack, ofStack] });
    return b.add(sum, b.mul(x, ofCurrent));
  }
}

function deltaAttention(at: DeltaAt, x: GraphTensor): GraphTensor {
  const { b, layer, inputs, kernels } = at;
  const { tokens, sequences } = b.batch;
  const [size, heads, each] = [b.hp.kda!.headDim, b.hp.heads[0]!, sequenceTokens(b)];
  const weight = (name: string) => b.layerWeight(layer, `${name}.weight`);
  const tails = readStates(b, inputs, stateTensor(b, inputs, layer, 'conv'));
  const [q, k, v] = ['attn_q', 'attn_k', 'attn_v'].map((name, i) =>
    convolved(at, tails, b.mulMat(weight(name), x), i),
  ) as [GraphTensor, GraphTensor, GraphTensor];
  const grown = b.mulMat(weight('ssm_f_b'), b.mulMat(weight('ssm_f_a'), x));
  const g = b.reshape(decay(at, b.add(grown, b.layerWeight(layer, 'ssm_dt.bias'))), size, heads, each, sequences);
  const beta = b.unary('sigmoid', b.reshape(b.mulMat(weight('ssm_beta'), x), 1, heads, each, sequences));
  const whole = b.reshape(x, x.ne[0], each, sequences);
  const states = stateTensor(b, inputs, layer, 'state');
  const state = b.reshape(readStates(b, inputs, states), size, size, heads, sequences);
  const l2 = recurrentRules(b)['recurrent.deltaNorm'] === 'l2';
  const unit = (t: GraphTensor) => (l2 ? b.l2Norm(t) : b.scale(b.rmsNorm(t)));
  const output = b.cont(deltaNet(b, { q: unit(q), k: unit(k), v, g, beta, state }, states, kernels));
  const outer = b.reshape(b.mulMat(weight('ssm_g'), b.reshape(whole, whole.ne[0], tokens)), size, heads, tokens);
  const normed = norm(b, b.reshape(output, size, heads, tokens), { weight: weight('ssm_norm'), layer });
  const gated = b.cont(b.mul(normed, b.unary('sigmoid', outer)), size * heads, tokens);
  return b.mulMat(weight('attn_output'), gated);
}

/** How fast each channel fades: with a lower bound by a sigmoid, else as in Kimi Linear. */
function decay({ b, layer }: DeltaAt, x: GraphTensor): GraphTensor {
  const { tokens } = b.batch;
  const [size, heads] = [b.hp.kda!.headDim, b.hp.heads[0]!];
  const rates = b.reshape(b.layerWeight(layer, 'ssm_a'), 1, heads, 1);
  const bounded = b.input.model.metadata['kda.gate_lower_bound'] !== undefined;
  if (!bounded) return b.mul(b.reshape(b.unary('softplus', x), size, heads, tokens), rates);
  return b.scale(b.unary('sigmoid', b.scale(b.mul(b.reshape(x, size, heads, tokens), rates))));
}

function latentAttention(b: Build, x: GraphTensor, layer: number, inputs: CacheInputs): GraphTensor {
  const weight = (name: string) => b.layerWeight(layer, `${name}.weight`);
  const narrow = b.layerOptional(layer, 'attn_q_a.weight');
  const q = narrow
    ? b.mulMat(weight('attn_q_b'), layerNorm(b, b.mulMat(narrow, x), layer, 'attn_q_a_norm'))
    : b.mulMat(weight('attn_q'), x);
  const latent = absorbed(b, layer, { q, ...compress(b, x, layer) });
  const attended = attention(b, { inputs, layer, ...latent, output: null });
  const gate = b.layerOptional(layer, 'attn_gate.weight');
  const gated = gate ? b.mul(attended, b.unary('sigmoid', b.mulMat(gate, x))) : attended;
  return b.mulMat(weight('attn_output'), gated);
}

/** Experts in their own space, and a shared one in the model's. */
function network(b: Build, x: GraphTensor, layer: number): GraphTensor {
  const weight = (name: string) => b.layerWeight(layer, `${name}.weight`);
  const whole = (name: string) => {
    const [gate, up] = [b.mulMat(weight(`ffn_gate${name}`), x), b.mulMat(weight(`ffn_up${name}`), x)];
    return b.mulMat(weight(`ffn_down${name}`), situ(b, up, gate));
  };
  if (layer < (b.hp.experts?.leadingDense ?? 0)) return whole('');
  const narrow = b.layerOptional(layer, 'ffn_routed_down.weight');
  const input = narrow ? b.mulMat(narrow, x) : x;
  const scores = b.mulMat(weight('ffn_gate_inp'), x);
  const at = { b, layer, positions: x };
  let t = routed(at, input, { scores, activation: situ, normalize: normalizes(b) });
  if (b.layerOptional(layer, 'ffn_routed_norm.weight')) t = layerNorm(b, t, layer, 'ffn_routed_norm');
  if (b.layerOptional(layer, 'ffn_routed_up.weight')) t = linear(b, layer, 'ffn_routed_up', t);
  return b.layerOptional(layer, 'ffn_gate_shexp.weight') ? b.add(t, whole('_shexp')) : t;
}

const kimiK3: GraphBuilder = (b) => {
  const kernels = deltaKernels(b, kimiK3);
  const inputs = { x: inputEmbeddings(b), ...hybridInputs(b), outputs: inputOutputIds(b) };
  const every = stated(b, 'attn_res.block_size');
  const residuals = new Residuals(b);
  let x = inputs.x;
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const mixed = (t: GraphTensor, name: string) =>
      every > 0 ? residuals.mixed(t, b.layerWeight(layer, `${name}.weight`)) : t;
    const read = mixed(x, 'attn_res_score');
    const aside = every > 0 && layer % every === 0;
    if (aside) residuals.push(x);
    const normed = layerNorm(b, read, layer, 'attn_norm');
    b.expand(normed);
    const t = b.hp.recurrent[layer]
      ? deltaAttention({ b, layer, inputs: inputs.state, kernels }, normed)
      : latentAttention(b, normed, layer, inputs.attention);
    const sum = aside ? t : b.add(x, t);
    x = b.add(sum, network(b, layerNorm(b, mixed(sum, 'ffn_res_score'), layer, 'ffn_norm'), layer));
  }
  if (every > 0) x = residuals.mixed(x, b.weight('output_res_score.weight'));
  outputHead(b, inputs.outputs ? b.getRows(x, inputs.outputs) : x);
};

export const kimiK3Builders: Readonly<Record<string, GraphBuilder>> = { 'kimi-k3': kimiK3 };
