// Sums up the verdicts over a llama.cpp oracle file by the groups that matter: which buffers agree to the byte, how far the others are
// off, by build and kind of run.
import { MiB } from '../../src/units.ts';
import type { LlamaCheck, LlamaVerdict } from './llama-judge.ts';
import type { LlamaOracleCase } from './llama-line.ts';

/** Below this a relative error of a compute buffer says nothing. */
export const meaningful = 16 * MiB;

export function llamaReport(verdicts: readonly LlamaVerdict[]): string[] {
  const lines = ['| quantity | equal | of | share |', '|---|--:|--:|--:|'];
  for (const quantity of [
    'model gpu',
    'model host',
    'kv gpu',
    'kv host',
    'rs gpu',
    'rs host',
    'output host',
    'compute host',
    'fit',
    'refused',
    'planned',
  ])
    lines.push(...row(quantity, checksOf(verdicts, quantity)));
  for (const [name, group] of computeGroups(verdicts)) lines.push(...row(`compute gpu, ${name}`, group));
  return lines;
}

function row(name: string, checks: readonly LlamaCheck[]): string[] {
  if (checks.length === 0) return [];
  const equal = checks.filter((check) => check.equal).length;
  const large = checks.filter(({ observed }) => observed >= meaningful);
  const errors = large.map(({ predicted, observed }) => Math.abs(predicted / observed - 1)).sort((a, b) => a - b);
  const at = (share: number): string =>
    `${((errors[Math.floor(share * (errors.length - 1))] ?? 0) * 100).toFixed(3)} %`;
  const spread = name.startsWith('compute') && equal < checks.length ? ` (median ${at(0.5)}, p90 ${at(0.9)})` : '';
  return [`| ${name} | ${equal} | ${checks.length} | ${((100 * equal) / checks.length).toFixed(1)} %${spread} |`];
}

function checksOf(verdicts: readonly LlamaVerdict[], quantity: string): LlamaCheck[] {
  return verdicts.flatMap(({ checks }) => checks.filter((check) => check.quantity === quantity));
}

function computeGroups(verdicts: readonly LlamaVerdict[]): Map<string, LlamaCheck[]> {
  const groups = new Map<string, LlamaCheck[]>();
  for (const { case: line, checks } of verdicts) {
    const name = computeGroup(line);
    groups.set(name, [...(groups.get(name) ?? []), ...checks.filter(({ quantity }) => quantity === 'compute gpu')]);
  }
  return new Map([...groups].sort(([a], [b]) => a.localeCompare(b)));
}

/** Full offload to one GPU per build, and everything else together. */
export function computeGroup({ gpus, flags, build }: LlamaOracleCase): string {
  const full =
    gpus === 1 &&
    /-ngl 99\b/.test(flags) &&
    !/-nkvo|-ot |--n-cpu-moe|--cpu-moe|--no-op-offload/.test(flags) &&
    ['v0.5.0', 'b10361', 'b10068', 'b8390'].includes(build);
  return full ? `full offload, ${build}` : 'elsewhere';
}
