// Data-parallel ranks that step together, as mixtures of experts make them: each rank has a scheduler and a pool of its own, a forward
// pass is one for all, and a rank without requests takes part with a batch of one token. A new request goes to the rank the load balancer
// names; a step takes about as long as vLLM's ranks take between two publications of their counts. Law: vllm/v1/engine/core.py DPEngineCoreProc.run_busy_loop (0.9 to 0.33).
import { emptyWork, zeroCounters } from '../step-work.ts';
import type { MemoryShares, QueueState, ServingSystem, StepWork, SystemCounters } from '../types.ts';
import { Balancer } from './balancer.ts';
import { sumCounters, sumMemory, sumQueues, sumWork } from './sums.ts';

export class LockstepSystem implements ServingSystem {
  readonly work: StepWork & { ranks: StepWork[] };
  private readonly balancer: Balancer;
  private readonly queue: QueueState = { running: 0, waiting: 0, swapped: 0, usedBlocks: 0, cachedBlocks: 0 };

  constructor(readonly ranks: readonly ServingSystem[]) {
    this.balancer = new Balancer(ranks.length, 0);
    this.work = { ...emptyWork(), ranks: ranks.map(() => emptyWork()) };
  }

  get poolTokens(): number {
    return this.sum((rank) => rank.poolTokens);
  }

  get usableBlocks(): number {
    return this.sum((rank) => rank.usableBlocks);
  }

  get blockSize(): number {
    return this.ranks[0]!.blockSize;
  }

  get stepsAhead(): number {
    return this.ranks[0]!.stepsAhead ?? 1;
  }

  get unfinished(): number {
    return this.sum((rank) => rank.unfinished);
  }

  get busy(): boolean {
    return this.ranks.some((rank) => rank.busy === true);
  }

  get nextArrival(): number {
    return Math.min(...this.ranks.map(({ nextArrival }) => nextArrival ?? Number.POSITIVE_INFINITY));
  }

  elapse(seconds: number): void {
    for (const rank of this.ranks) rank.elapse?.(seconds);
  }

  get counters(): SystemCounters {
    return this.ranks.length > 0 ? sumCounters(this.ranks) : zeroCounters();
  }

  add(request: number): void {
    this.ranks[this.balancer.choose()]!.add(request);
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
    this.balancer.publish(0, (rank, into) => {
      this.ranks[rank]!.queues(this.queue);
      into.waiting = this.queue.waiting;
      into.running = this.queue.running;
    });
    return completed;
  }

  memory(into: MemoryShares): void {
    sumMemory(this.ranks, into);
  }

  queues(into: QueueState): void {
    sumQueues(this.ranks, into);
  }

  private sum(of: (rank: ServingSystem) => number): number {
    return this.ranks.reduce((total, rank) => total + of(rank), 0);
  }
}

const idleWork = emptyWork();
