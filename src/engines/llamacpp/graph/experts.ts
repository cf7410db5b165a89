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
export const normalizes = (b: Build): boolean => b.input.model.metadata['expert_weights_norm'] === true;

/** Whether weights are scaled (expert_weights_scale); older builds do it by architecture, be it by one. */
export function scales(b: Build): boolean {
  const always = b.input.rules['moe.scales'];
  if (Array.isArray(always)) return always.includes(b.hp.architecture);
  const scale = stated(b, 'expert_weights_scale');
  return scale !== 0 && scale !== 1;
}

/** Whether the rows that are output are taken after the last layer, so that drafting models can read all of them. */
export function gathersLast(b: Build): boolean {
  return (b.input.rules['moe.gathersLast'] as readonly string[]).includes(b.hp.architecture);
}

/** Groups of experts, of which some are chosen first (expert_group_count). */
export function groupsOf(b: Build): MixtureParts['groups'] {
  const count = b.input.rules['moe.groups'] === false ? 0 : stated(b, 'expert_group_count');
  return count > 1 ? { count, used: stated(b, 'expert_group_used_count') } : undefined;
}

/** The mixture of a layer with everything as the file states it, or as given. */
export function routed({ b, layer }: At, x: GraphTensor, given: Partial<MixtureParts> = {}): GraphTensor {
  assert(b.hp.experts, `${b.hp.architecture}: no experts`);
  return mixture(b, x, {
    layer,
    gating: gatingOf(b),
    normalize: normalizes(b),
    scaled: scales(b),
    groups: groupsOf(b),
    ...given,
  });
}

/** The experts that all tokens pass through, as one network; undefined: the layer has none. */
export function shared({ b, layer }: At, x: GraphTensor, activation: Activation = 'silu'): GraphTensor | undefined {
  if (!b.layerOptional(layer, 'ffn_up_shexp.weight')) return undefined;
  return ffn(b, x, { layer, activation, up: 'ffn_up_shexp', gate: 'ffn_gate_shexp', down: 'ffn_down_shexp' });
}

/** A dense network in the leading layers; then the mixture, and the shared experts' result added to it. */
export function leadingDense(at: At, x: GraphTensor, given: Partial<MixtureParts> = {}): GraphTensor {
  const { b, layer } = at;
  if (layer < b.hp.experts!.leadingDense) return ffn(b, x, { layer, activation: 'silu' });
  const mixed = routed(at, x, given);
  const all = shared(at, x);
  return all ? b.add(mixed, all) : mixed;
}
