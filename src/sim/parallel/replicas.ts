// Data-parallel replicas of a dense model: independent engines behind one load balancer, each with steps of its own length. One clock
// sees them as one server whose state changes whenever any of them has an output.
import { emptyWork } from '../step-work.ts';
import type { ServingSystem, StepWork } from '../types.ts';
import { RankGroup, sumWork } from './ranks.ts';

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

export class ReplicaSystem extends RankGroup {
  /** Of this call over all replicas; `seconds`: until the next output of any. */
  readonly work: StepWork & { seconds: number } = { ...emptyWork(), seconds: 0 };
  private readonly replicas: Replica[];
  private readonly stepSeconds: ReplicaOptions['stepSeconds'];
  private elapsed = 0;

  constructor(systems: readonly ServingSystem[], { stepSeconds, publicationSeconds }: ReplicaOptions) {
    super(systems, publicationSeconds);
    this.replicas = systems.map((system) => ({ system, ends: [], waits: false }));
    this.stepSeconds = stepSeconds;
  }

  override get busy(): boolean {
    return super.busy || this.replicas.some(({ ends }) => ends.length > 0);
  }

  /** While nothing runs, the balancer sees every count as it is. */
  override add(request: number): void {
    if (this.replicas.every(({ ends }) => ends.length === 0)) this.publish(Number.POSITIVE_INFINITY);
    super.add(request);
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

  private fill(replica: Replica, works: StepWork[]): void {
    const { system, ends } = replica;
    const ahead = system.stepsAhead ?? 1;
    while (!replica.waits) {
      const scheduled = system.schedule();
      if (scheduled) {
        works.push({ ...system.work });
        ends.push((ends.at(-1) ?? 0) + this.stepSeconds(system.work));
      }
      replica.waits = ends.length > 0 && (!scheduled || ends.length >= ahead);
      if (!scheduled) return;
    }
  }
}
