// Which rules differ between two releases of vLLM for one deployment, and what each of them alone moves: the older release is planned again
// with one rule of the newer one at a time. What the rules bring only together is left over, and said so.
import { planVllm, type VllmPlanned } from '../../engines/vllm/plan.ts';
import type { Profile } from '../../engines/vllm/profile.ts';
import type { RegistryEntry } from '../../engines/vllm/registry.ts';
import type { PlanRequest } from '../request.ts';

export interface RuleChange {
  /** Rule id, as presets/engines/vllm has it. */
  rule: string;
  before: unknown;
  after: unknown;
  /** What this rule alone moves; zeros where only several together do. */
  weightsBytes: number;
  kvCacheBytes: number;
  tokens: number;
}

export interface ReleaseChange {
  from: string;
  to: string;
  weightsBytes: number;
  kvCacheBytes: number;
  tokens: number;
  /** Those that move a figure, the largest first. */
  rules: RuleChange[];
}

interface Figures {
  weightsBytes: number;
  kvCacheBytes: number;
  tokens: number;
}

/** `older` and `newer` plan the same deployment, each with its own release. */
export function releaseChange(
  older: PlanRequest,
  newer: PlanRequest,
  registry: readonly RegistryEntry[],
): ReleaseChange {
  const plan = (request: PlanRequest): Figures => figuresOf(planVllm(request, registry, { devices: false }));
  const before = plan(older);
  const after = plan(newer);
  const rules: RuleChange[] = [];
  for (const rule of changedRules(older.profile, newer.profile)) {
    const value = (newer.profile as unknown as Record<string, unknown>)[rule];
    const moved = attempt(() =>
      plan({ ...older, profile: { ...older.profile, version: `${older.profile.version}+${rule}`, [rule]: value } }),
    );
    if (moved === undefined) continue;
    const change = difference(before, moved);
    if (change.weightsBytes !== 0 || change.kvCacheBytes !== 0 || change.tokens !== 0)
      rules.push({
        rule,
        before: (older.profile as unknown as Record<string, unknown>)[rule],
        after: value,
        ...change,
      });
  }
  rules.sort((a, b) => size(b) - size(a) || a.rule.localeCompare(b.rule));
  return { from: older.version, to: newer.version, ...difference(before, after), rules };
}

function changedRules(a: Profile, b: Profile): string[] {
  const before = a as unknown as Record<string, unknown>;
  const after = b as unknown as Record<string, unknown>;
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].filter(
    (key) => key !== 'version' && JSON.stringify(before[key]) !== JSON.stringify(after[key]),
  );
}

/** A rule may make no sense beside the others of an older release. */
function attempt<Value>(work: () => Value): Value | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

function figuresOf({ plan, ranks }: VllmPlanned): Figures {
  return {
    weightsBytes: Math.max(0, ...ranks.map(({ budget }) => budget.weights.loadedBytes)),
    kvCacheBytes: plan.kvCache.bytes,
    tokens: plan.kvCache.tokens,
  };
}

function difference(a: Figures, b: Figures): Figures {
  return {
    weightsBytes: b.weightsBytes - a.weightsBytes,
    kvCacheBytes: b.kvCacheBytes - a.kvCacheBytes,
    tokens: b.tokens - a.tokens,
  };
}

function size({ weightsBytes, kvCacheBytes }: Figures): number {
  return Math.abs(weightsBytes) + Math.abs(kvCacheBytes);
}
