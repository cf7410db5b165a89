// With several releases of vLLM in one comparison: what each step from one to the next moves for every deployment, and by which rule.
import { isInputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { vllmRegistry } from '../load/flags.ts';
import { resolveModel } from '../load/model.ts';
import type { ReleaseDiff } from '../plan/compare/output.ts';
import { releaseChange } from '../plan/compare/rule-changes.ts';
import type { PlanRequest } from '../plan/request.ts';
import { argumentsOf, type CompareLine, requestOn, withLayoutFor } from './compare-line.ts';
import type { GpuEntry } from './compare-lists.ts';
import type { CompareAsked } from './compare-request.ts';
import { resolveArguments } from './plan-request.ts';

/** More deployments than these are not taken apart. */
const mostDeployments = 50;

export async function releaseDiffs({ setup, lines }: CompareAsked, io: Io): Promise<ReleaseDiff[]> {
  const groups = new Map<string, CompareLine[]>();
  for (const line of lines) {
    if (line.engine.id !== 'vllm') continue;
    const { engine: _, ...rest } = line;
    const key = JSON.stringify(rest);
    groups.set(key, [...(groups.get(key) ?? []), line]);
  }
  const diffs: ReleaseDiff[] = [];
  for (const group of groups.values()) {
    if (group.length < 2) continue;
    for (const entry of setup.gpus) {
      if (diffs.length >= mostDeployments) return diffs;
      diffs.push(...(await stepsOf(group, entry, setup.args, io)));
    }
  }
  return diffs;
}

async function stepsOf(
  group: readonly CompareLine[],
  entry: GpuEntry,
  args: CompareAsked['setup']['args'],
  io: Io,
): Promise<ReleaseDiff[]> {
  const resolvedModel = await resolveModel(group[0]!.model, { env: io.env });
  const requests: PlanRequest[] = [];
  for (const line of group) {
    try {
      const asked = argumentsOf(withLayoutFor(line, entry), args, resolvedModel);
      const { base } = await resolveArguments(asked, io);
      requests.push(requestOn(base, entry));
    } catch (error) {
      if (!isInputError(error)) throw error;
      return [];
    }
  }
  const { model, quantization, tp, pp } = withLayoutFor(group[0]!, entry);
  const id = `${model}/${quantization ?? 'as published'}/tp${tp}${pp > 1 ? `xpp${pp}` : ''}/${entry.label}`;
  return requests.slice(1).map((request, at) => ({ id, ...releaseChange(requests[at]!, request, vllmRegistry()) }));
}
