// Which policy to take for a workload, by what the runs came to. Only what some engine does can be taken; of those the one that holds
// the highest load (--find-max-rate), or serves most requests well, or has the lower P99 of first tokens. A split that is as good is
// simpler, and is preferred.
import type { SharedAdvice, SharedPolicyResult } from '../shared-output.ts';
import { type Compared, isSameVariant, variantName } from './variant.ts';

interface Yardstick {
  figure: string;
  of(one: SharedPolicyResult): number;
  /** Positive: the first is better; differences that do not count are 0. */
  compare(one: number, other: number): number;
  words(value: number): string;
}

/** Differences up to these do not count: a share of the load held, percentage points of requests served well, a share of the P99. */
const sameLoad = 0.05;
const samePoints = 0.01;
const sameShare = 0.05;

const yardsticks: readonly Yardstick[] = [
  {
    figure: 'maxRate.scale',
    of: ({ maxRate }) => maxRate?.scale ?? 0,
    compare: (one, other) => (Math.abs(one - other) <= sameLoad * Math.max(one, other) ? 0 : one - other),
    words: (value) => (value > 0 ? `99 % served well up to ${value}x this load` : '99 % served well at no load tried'),
  },
  {
    figure: 'pool.sloAttainment',
    of: ({ pool }) => pool.sloAttainment,
    compare: (one, other) => (Math.abs(one - other) <= samePoints ? 0 : one - other),
    words: (value) => `${(value * 100).toFixed(1)} % of the requests served well`,
  },
  {
    figure: 'pool.ttftSeconds.p99',
    of: ({ pool }) => pool.ttftSeconds.p99,
    compare: (one, other) => (Math.abs(one - other) <= sameShare * Math.max(one, other) ? 0 : other - one),
    words: (value) => `first tokens within ${seconds(value)} (P99)`,
  },
];

/** `statics`: the policies that split the memory for good; `compared`: what was run. null: there is nothing to choose from. */
export function sharedAdvice(
  policies: readonly SharedPolicyResult[],
  statics: ReadonlySet<string>,
  compared: Compared,
): SharedAdvice | null {
  const [first, ...others] = policies.filter(({ runs, pool }) => runs && pool.requests.finished > 0);
  if (!first || others.length === 0) return null;
  const best = others.reduce((leader, one) => (decides(one, leader).result > 0 ? one : leader), first);
  const split = [first, ...others].filter(({ policy }) => statics.has(policy));
  const simple = split.find((one) => decides(best, one).result <= 0);
  const chosen = simple ?? best;
  const isSplit = statics.has(chosen.policy);
  // What it is compared with is of the other kind, where there is one: to share or not is the question.
  const rest = [first, ...others].filter((one) => !isSameVariant(one, chosen));
  const rivals = rest.filter(({ policy }) => statics.has(policy) !== isSplit);
  const [rival, ...more] = rivals.length > 0 ? rivals : rest;
  const against = more.reduce((leader, one) => (decides(one, leader).result > 0 ? one : leader), rival!);
  const { yardstick, result } = decides(chosen, against);
  const [value, other] = [yardstick.of(chosen), yardstick.of(against)];
  const even = result === 0 && isSplit ? ': as good, and simpler' : '';
  return {
    policy: chosen.policy,
    loading: chosen.loading,
    figure: yardstick.figure,
    value,
    against: { policy: against.policy, loading: against.loading, value: other },
    because: `${yardstick.words(value)}, under ${variantName(against, compared)} ${yardstick.words(other)}${even}`,
  };
}

/** The first yardstick by which two differ, and how; the last one where they do not. */
function decides(one: SharedPolicyResult, other: SharedPolicyResult): { yardstick: Yardstick; result: number } {
  const known = yardsticks.filter(({ figure }) => figure !== 'maxRate.scale' || (one.maxRate && other.maxRate));
  for (const yardstick of known) {
    const result = yardstick.compare(yardstick.of(one), yardstick.of(other));
    if (result !== 0) return { yardstick, result };
  }
  return { yardstick: known.at(-1)!, result: 0 };
}

function seconds(value: number): string {
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`;
}
