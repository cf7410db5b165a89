// The decoder's matrices as llm-compressor sees them: which of a model's tensors are linear modules that a scheme may take, what the
// modules are called, and what they take in 16 bits.
import type { Architecture, TensorGroup } from '../../architecture/types.ts';
import type { MatrixShape } from './schemes.ts';

/**
 * What published checkpoints leave in 16 bits (RedHatAI's and llm-compressor's examples): output, routers, vision, the small
 * projections of linear attention.
 */
export const publishedIgnore: readonly string[] = [
  're:.*lm_head$',
  're:.*mlp\\.gate$',
  're:.*block_sparse_moe\\.gate$',
  're:.*feed_forward\\.gate$',
  're:.*\\.router.*',
  're:.*shared_expert_gate.*',
  're:.*(visual|vision_tower|vision_model|multi_modal_projector|embed_vision|mlp1)\\..*',
  're:.*linear_attn\\.(in_proj_a|in_proj_b|in_proj_ba|conv1d)$',
];

/** The published entries that say something about this model, and the output's. */
export function ignoreListFor(architecture: Architecture): string[] {
  const names = architecture.tensors.flatMap((group) =>
    group.linear || group.role === 'router' ? modulePaths(group, 0) : [],
  );
  return publishedIgnore.filter((entry, i) => i === 0 || names.some((name) => matchesTarget(entry, name)));
}

/** Tensors that an engine holds: no multi-token prediction, which transformers does not load either. */
export function loadedTensors(architecture: Architecture): TensorGroup[] {
  return architecture.tensors.filter((group) => !group.derived && !group.unloaded && group.part !== 'mtp');
}

/** Linear layers, of whatever part. */
export function linearGroups(architecture: Architecture): TensorGroup[] {
  return loadedTensors(architecture).filter((group) => group.linear && group.shape.length === 2);
}

/** A linear layer of the decoder that no published ignore list names. */
export function isCandidate(group: TensorGroup): boolean {
  const { linear, shape, layers, part, dtype, role, name } = group;
  if (!linear || shape.length !== 2 || !layers || part !== 'text' || dtype || !name.includes('{layer}')) return false;
  if (role === 'lm-head' || role === 'router' || role === 'shared-router') return false;
  // Sparse attention's indexer stays, but where its rows are some of the qkv matrix's (MiniMax-M3).
  if (role === 'indexer' && !group.merge?.endsWith('.qkv_proj')) return false;
  return !publishedIgnore.some((entry) => matchesTarget(entry, modulePaths(group, 0)[0]!));
}

export function isExperts(group: TensorGroup): boolean {
  return group.experts !== undefined && group.role.startsWith('expert-');
}

/**
 * Module names of a group in one layer as llm-compressor has them; of the experts the first and the last. Stacked experts are taken
 * apart there: gate_proj, up_proj and down_proj under the number of the expert.
 */
export function modulePaths(group: TensorGroup, layer: number): string[] {
  const path = group.name.replace('{layer}', String(layer)).replace(/\.weight$/, '');
  if (!isExperts(group)) return [path];
  const numbers = [0, group.experts! - 1];
  if (!group.stacked) return numbers.map((n) => path.replace('{expert}', String(n)));
  const at = path.indexOf('.experts.');
  const parent = path.slice(0, at < 0 ? path.lastIndexOf('.') : at);
  const down = group.role === 'expert-down';
  const names = group.role === 'expert-gate-up' ? ['gate_proj', 'up_proj'] : [down ? 'down_proj' : 'up_proj'];
  return numbers.flatMap((n) => names.map((name) => `${parent}.experts.${n}.${name}`));
}

/** compressed-tensors: re: patterns match from the start of the name (Python's re.match), other targets are names. */
export function matchesTarget(target: string, name: string): boolean {
  return target.startsWith('re:') ? expression(target.slice(3)).test(name) : target === name;
}

const expressions = new Map<string, RegExp>();

function expression(source: string): RegExp {
  const known = expressions.get(source) ?? new RegExp(`^(?:${source})`);
  expressions.set(source, known);
  return known;
}

/** The matrices of a group in one layer; gate and up of stacked experts are two. */
export function matricesOf(group: TensorGroup): MatrixShape {
  const [outputs = 1, inputs = 1] = group.shape;
  const parts = isExperts(group) && group.stacked && group.role === 'expert-gate-up' ? 2 : 1;
  return { outputs: outputs / parts, inputs, count: parts * (group.experts ?? 1) };
}

export function valuesOf({ outputs, inputs, count }: MatrixShape): number {
  return outputs * inputs * count;
}

const dtypeSizes = { float32: 4, int64: 8, int32: 4, uint8: 1 } as const;

/** Bytes of the whole group as the 16-bit checkpoint has it. */
export function plainBytes(group: TensorGroup): number {
  return valueCount(group) * (group.dtype ? dtypeSizes[group.dtype] : 2);
}

/** Values of the whole group. */
export function valueCount({ shape, layers, experts }: TensorGroup): number {
  return shape.reduce((a, b) => a * b, 1) * (layers?.length ?? 1) * (experts ?? 1);
}
