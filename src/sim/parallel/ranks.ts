// Several serving systems read as one: sizes, counters, queues and memory added up over all ranks, and their counts as a load
// balancer sees them. How the ranks step, together or each for itself, is added in lockstep.ts and replicas.ts.
import { zeroCounters, zeroQueues, zeroShares } from '../step-work.ts';
import type { MemoryShares, QueueState, ServingSystem, StepWork, SystemCounters } from '../types.ts';
import { Balancer } from './balancer.ts';

/** `publicationSeconds`: between two publications of the ranks' counts at least. */
export abstract class RankGroup implements ServingSystem {
  abstract readonly work: Readonly<StepWork>;
  private readonly balancer: Balancer;
  private readonly counts = zeroQueues();

  constructor(
    readonly ranks: readonly ServingSystem[],
    publicationSeconds: number,
  ) {
    this.balancer = new Balancer(ranks.length, publicationSeconds);
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

  get unfinished(): number {
    return this.sum((rank) => rank.unfinished);
  }

  get busy(): boolean {
    return this.ranks.some((rank) => rank.busy === true);
  }

  get nextArrival(): number {
    return Math.min(...this.ranks.map(({ nextArrival }) => nextArrival ?? Number.POSITIVE_INFINITY));
  }

  get counters(): SystemCounters {
    const total = zeroCounters();
    for (const { counters } of this.ranks) addTo(total, counters);
    return total;
  }

  elapse(seconds: number): void {
    for (const rank of this.ranks) rank.elapse?.(seconds);
  }

  add(request: number): void {
    this.ranks[this.balancer.choose()]!.add(request);
  }

  abstract schedule(): boolean;
  abstract complete(): boolean;

  memory(into: MemoryShares): void {
    const one = zeroShares();
    Object.assign(into, zeroShares());
    for (const rank of this.ranks) {
      rank.memory(one);
      addTo(into, one);
    }
  }

  queues(into: QueueState): void {
    const one = zeroQueues();
    Object.assign(into, zeroQueues());
    for (const rank of this.ranks) {
      rank.queues(one);
      addTo(into, one);
    }
  }

  /** Lets the balancer see the queues as they are at `now`, if its interval has passed. */
  protected publish(now: number): void {
    const { counts } = this;
    this.balancer.publish(now, (rank, into) => {
      this.ranks[rank]!.queues(counts);
      into.waiting = counts.waiting;
      into.running = counts.running;
    });
  }

  private sum(of: (rank: ServingSystem) => number): number {
    return this.ranks.reduce((total, rank) => total + of(rank), 0);
  }
}

/** Adds up one step's work of several ranks. */
export function sumWork(works: readonly StepWork[], into: StepWork): void {
  for (const key of workKeys) into[key] = works.reduce((sum, work) => sum + work[key], 0);
}

const workKeys = [
  'tokens',
  'sequences',
  'prefillTokens',
  'prefillSequences',
  'decodeContext',
  'prefillAttention',
  'rows',
  'transferTokens',
] as const satisfies readonly (keyof StepWork)[];

function addTo<Sums extends Record<keyof Sums, number>>(total: Sums, one: Readonly<Sums>): void {
  for (const key of Object.keys(total) as (keyof Sums)[]) (total[key] as number) += one[key];
}
