// Data parallelism: several serving systems behind one load balancer, as one. Mixtures of experts step together, dense replicas each
// for themselves.
import type { ServingSystem, StepWork } from '../types.ts';
import { LockstepSystem } from './lockstep.ts';
import { ReplicaSystem } from './replicas.ts';

export { LockstepSystem } from './lockstep.ts';
export { ReplicaSystem } from './replicas.ts';

/** The ranks of vLLM publish their counts so often at most (v1/engine/coordinator.py min_stats_update_interval_ms). */
const publicationSeconds = 0.1;

interface ParallelSetup {
  ranks: readonly ServingSystem[];
  /** A forward pass is one for all ranks (StepTime.synchronizedRanks above 1). */
  synchronized: boolean;
  /** Absent: every step lasts the same, and all ranks step together. */
  stepSeconds?: (work: Readonly<StepWork>) => number;
}

export function createParallel({ ranks, synchronized, stepSeconds }: ParallelSetup): ServingSystem {
  if (ranks.length === 1) return ranks[0]!;
  if (synchronized || !stepSeconds) return new LockstepSystem(ranks);
  return new ReplicaSystem(ranks, { stepSeconds, publicationSeconds });
}
