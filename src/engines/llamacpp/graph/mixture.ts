// Mixtures of experts: routing, the chosen experts' networks, and the weighted sum of their results. The order of nodes is that of
// llama.cpp's. Law: src/llama-graph.cpp (build_moe_ffn).
import { assert } from '../../../assert.ts';
import { type Activation, activate } from './blocks.ts';
import type { Build } from './build.ts';
import type { GraphTensor } from './tensor.ts';

export interface MixtureParts {
  layer: number;
  /** softmax-weight: only the chosen experts' scores pass through the softmax. */
  gating: 'softmax' | 'sigmoid' | 'softmax-weight' | 'sqrt-softplus';
  activation?: Activation;
  /** Weights of the chosen experts sum to one. */
  normalize: boolean;
  /** Weights are multiplied by a constant other than one (expert_weights_scale). */
  scaled?: boolean;
  /** The input of the experts is weighted, not their result (Llama 4). */
  weightsFirst?: boolean;
  /** Scores that are there already, in place of the router's. */
  scores?: GraphTensor;
  /** Experts that are chosen already. */
  chosen?: GraphTensor;
  /** Groups of experts are chosen before the experts (DeepSeek-V3). */
  groups?: { count: number; used: number };
}

/** The experts' part of a layer; a shared expert is added by the caller. */
export function mixture(b: Build, x: GraphTensor, parts: MixtureParts): GraphTensor {
  const { layer } = parts;
  const { tokens } = { tokens: x.ne[1] };
  const { count, used } = experts(b);
  const { chosen, weights } = route(b, x, parts);
  let input = b.reshape(x, x.ne[0], 1, tokens);
  if (parts.weightsFirst) input = b.mul(b.repeat(input, x.ne[0], used, tokens), weights);
  const grown = grow(b, input, chosen, parts);
  let results = expertProduct(b, layer, 'ffn_down_exps', grown, chosen);
  if (!parts.weightsFirst) results = b.mul(results, weights);
  if (b.rules.mixtureExpands !== 'nothing') b.expand(results);
  assert(used <= count, `${used} experts of ${count}`);
  return sumExperts(b, results, used);
}

function experts(b: Build): { count: number; used: number } {
  assert(b.hp.experts, `${b.hp.architecture}: a mixture without experts`);
  return b.hp.experts;
}

function route(b: Build, x: GraphTensor, parts: MixtureParts): { chosen: GraphTensor; weights: GraphTensor } {
  const { layer, gating, normalize, scaled, weightsFirst } = parts;
  const tokens = x.ne[1];
  const { count, used } = experts(b);
  let scores = parts.scores ?? b.mulMat(b.layerWeight(layer, 'ffn_gate_inp.weight'), x);
  const routerBias = b.layerOptional(layer, 'ffn_gate_inp.bias');
  if (routerBias) scores = b.add(scores, routerBias);
  const probabilities = gate(b, gating, scores);
  const bias = b.layerOptional(layer, 'exp_probs_b.bias') ?? b.layerOptional(layer, 'exp_probs_b');
  let selection = bias ? b.add(probabilities, bias) : probabilities;
  if (weightsFirst) selection = scores;
  if (parts.groups && parts.groups.count > 1 && b.rules.choosesGroups)
    selection = chooseGroups(b, selection, parts.groups, tokens);
  const chosen = parts.chosen ?? topK(b, selection, used);
  let weights = b.getRows(b.reshape(probabilities, 1, count, tokens), chosen);
  if (gating === 'softmax-weight') {
    weights = b.reshape(b.softMax(b.reshape(weights, used, tokens)), 1, used, tokens);
  }
  if (normalize) {
    const rows = b.reshape(weights, used, tokens);
    const sum = b.sumRows(rows);
    weights = b.reshape(b.div(rows, b.rules.clampsWeights ? b.clamp(sum) : sum), 1, used, tokens);
  }
  if (scaled) weights = b.scale(weights);
  if (b.rules.mixtureExpands !== 'nothing') b.expand(weights);
  return { chosen, weights };
}

function gate(b: Build, gating: MixtureParts['gating'], scores: GraphTensor): GraphTensor {
  switch (gating) {
    case 'softmax':
      return b.softMax(scores);
    case 'sigmoid':
      return b.unary('sigmoid', scores);
    case 'softmax-weight':
      return scores;
    case 'sqrt-softplus':
      return b.sqrt(b.unary('softplus', scores));
  }
}

/** ggml_argsort_top_k: all are sorted, the first ones shown. */
export function topK(b: Build, x: GraphTensor, k: number): GraphTensor {
  const sorted = b.argsort(x);
  return b.view(sorted, { ne: [k, sorted.ne[1], sorted.ne[2], sorted.ne[3]], nb: sorted.nb.slice(1) });
}

/** Scores of experts outside the best groups are masked. */
function chooseGroups(
  b: Build,
  selection: GraphTensor,
  groups: { count: number; used: number },
  tokens: number,
): GraphTensor {
  const { count } = experts(b);
  const grouped = b.reshape(selection, count / groups.count, groups.count, tokens);
  const best = topK(b, grouped, 2);
  const single = b.reshape(grouped, 1, grouped.ne[0], grouped.ne[1], grouped.ne[2]);
  let scores = b.getRows(single, best);
  scores = b.sumRows(b.reshape(scores, scores.ne[1], scores.ne[2], scores.ne[3]));
  scores = b.reshape(scores, scores.ne[1], scores.ne[2]);
  const chosen = topK(b, scores, groups.used);
  const kept = b.getRows(grouped, chosen);
  return b.reshape(b.setRows(b.fill(grouped), kept, chosen), count, tokens);
}

/** Gate and up of the chosen experts, in one weight or in two, and their activation. */
function grow(b: Build, x: GraphTensor, chosen: GraphTensor, parts: MixtureParts): GraphTensor {
  const { layer, activation = 'silu' } = parts;
  if (b.layerOptional(layer, 'ffn_gate_up_exps.weight')) {
    const both = expertProduct(b, layer, 'ffn_gate_up_exps', x, chosen, 'ffn_up_exps');
    const half = both.ne[0] / 2;
    const part = (offset: number) =>
      b.view(both, { ne: [half, both.ne[1], both.ne[2]], nb: [both.nb[1], both.nb[2]], offset });
    const gateHalf = part(0);
    return activate(b, activation, part(half * both.nb[0]), gateHalf);
  }
  const up = expertProduct(b, layer, 'ffn_up_exps', x, chosen);
  if (!b.layerOptional(layer, 'ffn_gate_exps.weight')) return activate(b, activation, up);
  const gated = expertProduct(b, layer, 'ffn_gate_exps', x, chosen);
  return b.rules.gateLast ? b.mul(up, activate(b, activation, gated)) : activate(b, activation, up, gated);
}

/** Activations of these models may exceed F16. */
function readsWhole(b: Build): boolean {
  return (b.input.rules['moe.wholeActivations'] as readonly string[]).includes(b.hp.architecture);
}

/** A product with the chosen experts' matrices, their scales and biases (build_lora_mm_id). */
function expertProduct(
  b: Build,
  layer: number,
  name: string,
  x: GraphTensor,
  chosen: GraphTensor,
  scaleName = name,
): GraphTensor {
  const whole = name === 'ffn_down_exps' && readsWhole(b);
  let t = b.mulMatId(b.layerWeight(layer, `${name}.weight`), x, chosen, whole);
  const scale = b.layerOptional(layer, `${scaleName}.scale`);
  if (scale) {
    const perToken = b.repeat(b.reshape(scale, 1, scale.ne[0], 1), 1, scale.ne[0], x.ne[2]);
    t = b.mul(t, b.getRows(perToken, chosen));
  }
  const bias = b.layerOptional(layer, `${name}.bias`);
  return bias ? b.addId(t, bias, chosen) : t;
}

/** Every expert's rows as a view, then one sum after the other. */
function sumExperts(b: Build, results: GraphTensor, used: number): GraphTensor {
  const [width, , tokens] = results.ne;
  const views: GraphTensor[] = [];
  for (let i = 0; i < used; i++) {
    const view = b.view(results, { ne: [width, tokens], nb: [results.nb[2]], offset: i * results.nb[1] });
    if (b.rules.mixtureExpands !== 'nothing') b.expand(view);
    views.push(view);
  }
  let sum = views[0]!;
  for (const view of views.slice(1)) {
    sum = b.add(sum, view);
    if (b.rules.mixtureExpands === 'sums') b.expand(sum);
  }
  return used === 1 ? b.cont(sum) : sum;
}
