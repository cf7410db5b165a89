// Data-parallel replicas of a dense model: independent engines behind one load balancer, each with steps of its own length. One clock
// sees them as one server whose state changes whenever any of them has an output.
import { emptyWork } from '../step-work.ts';
import type { MemoryShares, QueueState, ServingSystem, StepWork, SystemCounters } from '../types.ts';
import { Balancer } from './balancer.ts';
import { sumCounters, sumMemory, sumQueues, sumWork } from './sums.ts';

interface Replica {
  system: ServingSystem;
  /** When its steps in flight end, counted from the present. */
  ends: number[];
  /** Waits for an output before it schedules again. */
  waits: boolean;
}

interface ReplicaOptions {
  stepSeconds: (work: Readonly<StepWork>) => number;
  /** Seconds between two publications of the counts that the balancer sees. */
  publicationSeconds: number;
}

export class ReplicaSystem implements ServingSystem {
  /** Of this call over all replicas; `seconds`: until the next output of any. */
  readonly work: StepWork & { seconds: number } = { ...emptyWork(), seconds: 0 };
  private readonly replicas: Replica[];
  private readonly balancer: Balancer;
  private elapsed = 0;
  private readonly queue: QueueState = { running: 0, waiting: 0, swapped: 0, usedBlocks: 0, cachedBlocks: 0 };

  constructor(
    readonly systems: readonly ServingSystem[],
    private readonly options: ReplicaOptions,
  ) {
    this.replicas = systems.map((system) => ({ system, ends: [], waits: false }));
    this.balancer = new Balancer(systems.length, options.publicationSeconds);
  }

  get poolTokens(): number {
    return this.sum((system) => system.poolTokens);
  }

  get usableBlocks(): number {
    return this.sum((system) => system.usableBlocks);
  }

  get blockSize(): number {
    return this.systems[0]!.blockSize;
  }

  get unfinished(): number {
    return this.sum((system) => system.unfinished);
  }

  get busy(): boolean {
    return this.replicas.some(({ system, ends }) => system.busy === true || ends.length > 0);
  }

  get nextArrival(): number {
    return Math.min(...this.systems.map(({ nextArrival }) => nextArrival ?? Number.POSITIVE_INFINITY));
  }

  elapse(seconds: number): void {
    for (const system of this.systems) system.elapse?.(seconds);
  }

  get counters(): SystemCounters {
    return sumCounters(this.systems);
  }

  add(request: number): void {
    if (this.replicas.every(({ ends }) => ends.length === 0)) this.publish(Number.POSITIVE_INFINITY);
    this.systems[this.balancer.choose()]!.add(request);
  }

  /** Every replica that is not waiting for an output schedules as far ahead as it may. */
  schedule(): boolean {
    const works: StepWork[] = [];
    for (const replica of this.replicas) this.fill(replica, works);
    const next = this.replicas.reduce((least, { ends }) => Math.min(least, ends[0] ?? least), Number.POSITIVE_INFINITY);
    if (!Number.isFinite(next)) return false;
    sumWork(works, this.work);
    this.work.seconds = next;
    return true;
  }

  /** Time goes on to the next output. */
  complete(): boolean {
    const { seconds } = this.work;
    let completed = false;
    for (const replica of this.replicas) {
      const { ends, system } = replica;
      if (ends.length === 0) continue;
      const isDue = ends[0]! <= seconds;
      for (let i = 0; i < ends.length; i++) ends[i] = Math.max(0, ends[i]! - seconds);
      if (!isDue) continue;
      ends.shift();
      system.complete();
      replica.waits = false;
      completed = true;
    }
    this.elapsed += seconds;
    this.publish(this.elapsed);
    return completed;
  }

  memory(into: MemoryShares): void {
    sumMemory(this.systems, into);
  }

  queues(into: QueueState): void {
    sumQueues(this.systems, into);
  }

  private publish(now: number): void {
    this.balancer.publish(now, (rank, into) => {
      this.systems[rank]!.queues(this.queue);
      into.waiting = this.queue.waiting;
      into.running = this.queue.running;
    });
  }

  private fill(replica: Replica, works: StepWork[]): void {
    const { system, ends } = replica;
    const ahead = system.stepsAhead ?? 1;
    while (!replica.waits) {
      const scheduled = system.schedule();
      if (scheduled) {
        works.push({ ...system.work });
        ends.push((ends.at(-1) ?? 0) + this.options.stepSeconds(system.work));
      }
      replica.waits = ends.length > 0 && (!scheduled || ends.length >= ahead);
      if (!scheduled) return;
    }
  }

  private sum(of: (system: ServingSystem) => number): number {
    return this.systems.reduce((total, system) => total + of(system), 0);
  }
}
