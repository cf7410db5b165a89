// Data-parallel ranks that step together, as mixtures of experts make them: each rank has a scheduler and a pool of its own, a forward
// pass is one for all, and a rank without requests takes part with a batch of one token. A new request goes to the rank the load balancer
// names; a step takes about as long as vLLM's ranks take between two publications of their counts. Law: vllm/v1/engine/core.py DPEngineCoreProc.run_busy_loop (0.9 to 0.33).
import { emptyWork } from '../step-work.ts';
import type { ServingSystem, StepWork } from '../types.ts';
import { RankGroup, sumWork } from './ranks.ts';

export class LockstepSystem extends RankGroup {
  readonly work: StepWork & { ranks: StepWork[] };

  constructor(ranks: readonly ServingSystem[]) {
    super(ranks, 0);
    this.work = { ...emptyWork(), ranks: ranks.map(() => emptyWork()) };
  }

  get stepsAhead(): number {
    return this.ranks[0]!.stepsAhead ?? 1;
  }

  schedule(): boolean {
    let scheduled = false;
    this.ranks.forEach((rank, i) => {
      const has = rank.schedule();
      scheduled ||= has;
      Object.assign(this.work.ranks[i]!, has ? rank.work : idleWork);
    });
    if (scheduled) sumWork(this.work.ranks, this.work);
    return scheduled;
  }

  complete(): boolean {
    let completed = false;
    for (const rank of this.ranks) completed = rank.complete() || completed;
    this.publish(0);
    return completed;
  }
}

const idleWork = emptyWork();
