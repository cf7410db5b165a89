// Which policy to take for a workload, by what the runs came to. Only what some engine does can be taken; of those the one that serves
// most requests well, then the one with the lower worst tenth of first tokens. A split that is as good is simpler, and is preferred.
import type { SharedAdvice, SharedPolicyResult } from '../shared-output.ts';

/** Differences below these do not count: percentage points of requests served well, and a share of the P99 of first tokens. */
const samePoints = 0.01;
const sameShare = 0.05;

export function sharedAdvice(
  policies: readonly SharedPolicyResult[],
  statics: ReadonlySet<string>,
): SharedAdvice | null {
  const usable = policies.filter(({ runs }) => runs);
  if (usable.length < 2) return null;
  const ranked = [...usable].sort((a, b) => (isBetter(a, b) ? -1 : isBetter(b, a) ? 1 : 0));
  const best = ranked[0]!;
  const isSplit = statics.has(best.policy);
  const simple = ranked.find(({ policy }) => statics.has(policy));
  const chosen = simple && !isBetter(best, simple) ? simple : best;
  const other = ranked.find(
    ({ policy }) => policy !== chosen.policy && statics.has(policy) !== statics.has(chosen.policy),
  );
  const against = other ?? ranked.find(({ policy }) => policy !== chosen.policy)!;
  const bySlo = Math.abs(chosen.pool.sloAttainment - against.pool.sloAttainment) > samePoints;
  const of = ({ pool }: SharedPolicyResult): number => (bySlo ? pool.sloAttainment : pool.ttftSeconds.p99);
  const words = (one: SharedPolicyResult): string =>
    bySlo
      ? `${(of(one) * 100).toFixed(1)} % of the requests served well`
      : `first tokens within ${seconds(of(one))} (P99)`;
  const isSimple = chosen === simple && !isSplit;
  const because = isSimple
    ? `${words(chosen)}, under ${against.policy} ${words(against)}: as good, and simpler`
    : `${words(chosen)}, under ${against.policy} ${words(against)}`;
  return {
    policy: chosen.policy,
    figure: bySlo ? 'sloAttainment' : 'ttftSeconds.p99',
    value: of(chosen),
    against: { policy: against.policy, value: of(against) },
    because,
  };
}

function isBetter({ pool: one }: SharedPolicyResult, { pool: other }: SharedPolicyResult): boolean {
  const points = one.sloAttainment - other.sloAttainment;
  if (Math.abs(points) > samePoints) return points > 0;
  return one.ttftSeconds.p99 < other.ttftSeconds.p99 * (1 - sameShare);
}

function seconds(value: number): string {
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(value < 10 ? 2 : 1)} s`;
}
