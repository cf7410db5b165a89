// Which rules differ between two releases of vLLM for one deployment, and what each of them moves: the older release is planned with one
// rule of the newer one at a time, the newer one without it, and the mean of both is the rule's share (its Shapley value, where no more
// than two rules act on each other). What is left over moves only where three or more meet, and is said so.
import { planVllm, type VllmPlanned } from '../../engines/vllm/plan.ts';
import type { Profile } from '../../engines/vllm/profile.ts';
import type { RegistryEntry } from '../../engines/vllm/registry.ts';
import type { PlanRequest } from '../request.ts';

export interface RuleChange {
  /** Rule id, as presets/engines/vllm has it. */
  rule: string;
  before: unknown;
  after: unknown;
  /** Its share of the change. */
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
    const added = attempt(() => difference(before, plan(withRule(older, rule, newer.profile))));
    const removed = attempt(() => difference(plan(withRule(newer, rule, older.profile)), after));
    const change = meanOf([added, removed].filter((one) => one !== undefined));
    if (change.weightsBytes === 0 && change.kvCacheBytes === 0 && change.tokens === 0) continue;
    rules.push({ rule, before: valueIn(older.profile, rule), after: valueIn(newer.profile, rule), ...change });
  }
  rules.sort((a, b) => size(b) - size(a) || a.rule.localeCompare(b.rule));
  return { from: older.version, to: newer.version, ...difference(before, after), rules };
}

/** The same start under its own rules but one. */
function withRule(request: PlanRequest, rule: string, from: Profile): PlanRequest {
  const { version } = request.profile;
  const profile = {
    ...request.profile,
    version: `${version}, ${rule} of ${from.version}`,
    [rule]: valueIn(from, rule),
  };
  return { ...request, profile };
}

function valueIn(profile: Profile, rule: string): unknown {
  return (profile as unknown as Record<string, unknown>)[rule];
}

function meanOf(changes: readonly Figures[]): Figures {
  const mean = (of: (figures: Figures) => number): number =>
    changes.length === 0 ? 0 : Math.round(changes.reduce((sum, one) => sum + of(one), 0) / changes.length);
  return {
    weightsBytes: mean((one) => one.weightsBytes),
    kvCacheBytes: mean((one) => one.kvCacheBytes),
    tokens: mean((one) => one.tokens),
  };
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
