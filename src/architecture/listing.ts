// The tensor list as it is shown and checked: layer and expert placeholders become {a..b} ranges, as in checkpoint listings.
import { tensorCount } from './build.ts';
import type { Architecture } from './types.ts';

export interface TensorRow {
  /** e.g. model.layers.{0..31}.self_attn.q_proj.weight */
  name: string;
  shape: readonly number[];
  count: number;
  role: string;
}

export function tensorRows(architecture: Architecture): TensorRow[] {
  return architecture.tensors.map((group) => ({
    name: group.name
      .replace('{layer}', indexPattern(group.layers))
      .replace('{expert}', indexPattern(group.experts ? upTo(group.experts) : undefined)),
    shape: group.shape,
    count: tensorCount(group),
    role: group.role,
  }));
}

/** {0..2,4,6..8}; a single index stands without braces. */
export function indexPattern(indices: readonly number[] | undefined): string {
  if (!indices || indices.length === 0) return '';
  if (indices.length === 1) return String(indices[0]);
  const runs: [number, number][] = [];
  for (const index of indices) {
    const last = runs.at(-1);
    if (last && index === last[1] + 1) last[1] = index;
    else runs.push([index, index]);
  }
  return `{${runs.map(([a, b]) => (a === b ? String(a) : `${a}..${b}`)).join(',')}}`;
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}
