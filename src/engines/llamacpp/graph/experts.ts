// Experts as a file states them: how the router's scores become weights, groups, and the experts that every token passes through.
// Law: src/llama-model.cpp and src/models/*.cpp (load_arch_hparams), include/llama.h (llama_expert_gating_func_type).
import { assert } from '../../../assert.ts';
import { type Activation, ffn } from './blocks.ts';
import type { Build } from './build.ts';
import { type MixtureParts, mixture } from './mixture.ts';
import { type At, stated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** expert_gating_func, by number. */
const gatings: readonly (MixtureParts['gating'] | undefined)[] = [
  undefined,
  'softmax',
  'sigmoid',
  'softmax-weight',
  'sqrt-softplus',
];

/** What the file says of the gating; `usual` where it says nothing. */
export function gatingOf(b: Build, usual: MixtureParts['gating'] = 'softmax'): MixtureParts['gating'] {
  return gatings[stated(b, 'expert_gating_func')] ?? usual;
}

/** Whether weights sum to one (expert_weights_norm). */
export const normalizes = (b: Build): boolean => b.input.model.metadata.expert_weights_norm === true;

/** Whether weights are scaled (expert_weights_scale); older builds do it by architecture, be it by one. */
export function scales(b: Build): boolean {
  const always = b.input.rules['moe.scales'];
  if (Array.isArray(always)) return always.includes(b.hp.architecture);
  const scale = stated(b, 'expert_weights_scale');
  return scale !== 0 && scale !== 1;
}

/** Where the rows that are output are taken if all layers run for all rows, so that drafting models can read them. */
export function gathersLast(b: Build): 'rows' | 'normed' | undefined {
  const where = b.input.rules['moe.gathersLast'] as Readonly<Record<string, 'rows' | 'normed'>>;
  return where[b.hp.architecture];
}

/** gpt-oss's activation: gate and up are bounded in one operation. */
export const oaiSwiglu: Activation = (b, up, gate) => b.glu('swiglu_oai', gate, up);

/** Up and the activated gate are bounded, one after the other. */
const boundedSwiglu: Activation = (b, up, gate) => {
  const bounded = b.clamp(up);
  return b.mul(b.clamp(b.unary('silu', gate)), bounded);
};

/** Up and the gate are bounded: within the operation, or before it. */
const boundedFirst: Activation = (b, up, gate) =>
  b.input.rules['moe.fusesBounds'] ? b.glu('swiglu_clamp', gate, up) : b.glu('swiglu', b.clamp(gate), b.clamp(up));

/** Architectures whose gates are bounded before they are activated. */
const boundsFirst: ReadonlySet<string> = new Set(['deepseek4', 'hy_v4', 'maple']);

/** ... and whose shared experts' bounds are theirs if nothing else is stated. */
const sharesBounds: ReadonlySet<string> = new Set(['deepseek4']);
const experts = (b: Build) => b.input.model.metadata.swiglu_clamp_exp;

/** silu, bounded in the layers for which the file states a bound (swiglu_clamp_exp, swiglu_clamp_shexp). */
function silu({ b, layer }: At, key: string): Activation {
  const value = b.input.model.metadata[key] ?? (sharesBounds.has(b.hp.architecture) ? experts(b) : undefined);
  const bound = Number(Array.isArray(value) ? value[layer] : value);
  if (!(bound > 1e-6)) return 'silu';
  return boundsFirst.has(b.hp.architecture) ? boundedFirst : boundedSwiglu;
}

/** Groups of experts, of which some are chosen first (expert_group_count). */
export function groupsOf(b: Build): MixtureParts['groups'] {
  const count = b.input.rules['moe.groups'] === false ? 0 : stated(b, 'expert_group_count');
  return count > 1 ? { count, used: stated(b, 'expert_group_used_count') } : undefined;
}

/** The mixture of a layer with everything as the file states it, or as given. */
export function routed(at: At, x: GraphTensor, given: Partial<MixtureParts> = {}): GraphTensor {
  const { b, layer } = at;
  assert(b.hp.experts, `${b.hp.architecture}: no experts`);
  return mixture(b, x, {
    layer,
    activation: silu(at, 'swiglu_clamp_exp'),
    gating: gatingOf(b),
    normalize: normalizes(b),
    scaled: scales(b),
    groups: groupsOf(b),
    ...given,
  });
}

/** A network without experts. */
export function dense(at: At, x: GraphTensor): GraphTensor {
  return ffn(at.b, x, { layer: at.layer, activation: silu(at, 'swiglu_clamp_shexp') });
}

/** The experts that all tokens pass through, as one network; undefined: the layer has none. */
export function shared(at: At, x: GraphTensor, given?: Activation): GraphTensor | undefined {
  const { b, layer } = at;
  if (!b.layerOptional(layer, 'ffn_up_shexp.weight')) return undefined;
  const activation = given ?? silu(at, 'swiglu_clamp_shexp');
  return ffn(b, x, { layer, activation, up: 'ffn_up_shexp', gate: 'ffn_gate_shexp', down: 'ffn_down_shexp' });
}

/** A dense network in the leading layers; then the mixture, and the shared experts' result added to it. */
export function leadingDense(at: At, x: GraphTensor, given: Partial<MixtureParts> = {}): GraphTensor {
  const { b, layer } = at;
  return layer < b.hp.experts!.leadingDense ? dense(at, x) : withShared(at, x, given);
}

/** A network in layers without a router; else the mixture, and the shared experts' result added to it. */
export function byRouter(at: At, x: GraphTensor, given: Partial<MixtureParts> = {}): GraphTensor {
  return at.b.layerOptional(at.layer, 'ffn_gate_inp.weight') ? withShared(at, x, given) : dense(at, x);
}

function withShared(at: At, x: GraphTensor, given: Partial<MixtureParts>): GraphTensor {
  const mixed = routed(at, x, given);
  const all = shared(at, x);
  return all ? at.b.add(mixed, all) : mixed;
}
