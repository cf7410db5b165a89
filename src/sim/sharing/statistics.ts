// What a shared run comes to over time: memory held and used by every model, memory that lies free in one while another waits for some,
// and a timeline of bounded length. Bytes are of all GPUs: a model on two GPUs holds its pages on both.
import type { Engine } from './engine.ts';
import type { SharedPoint } from './result.ts';
import { absent } from './rivalry.ts';
import type { SharedSimulation } from './run.ts';

/** Points of the timeline at most; when there are more, every second one goes and the next are taken half as often. */
const maxPoints = 256;
const firstInterval = 1 / 64;

interface HeldSums {
  mapped: number;
  used: number;
  cached: number;
  peakMapped: number;
  /** Requests were there and the weights were not. */
  waitSeconds: number;
}

export class SharedStatistics {
  /** Byte-seconds by model. */
  readonly held: readonly HeldSums[];
  readonly timeline: SharedPoint[] = [];
  /** Free in one model while another waits for memory: byte-seconds, and the seconds that somebody waited. */
  strandedByteSeconds = 0;
  refusedSeconds = 0;
  /** Seconds in which some engine computed. */
  busySeconds = 0;
  endTime = 0;
  private interval = firstInterval;
  private nextPoint = 0;

  constructor(private readonly simulation: SharedSimulation) {
    this.held = simulation.engines.map(() => ({ mapped: 0, used: 0, cached: 0, peakMapped: 0, waitSeconds: 0 }));
  }

  /** Nothing changed between these two times. */
  pass(from: number, to: number): void {
    const seconds = to - from;
    if (!(seconds > 0)) return;
    const { engines, gpus, setup, residency } = this.simulation;
    if (from >= this.nextPoint) this.point(from);
    let isWaiting = false;
    let lying = 0;
    for (let i = 0; i < engines.length; i++) {
      const engine = engines[i] as Engine;
      const sums = this.held[i] as HeldSums;
      const mapped = this.mapped(i);
      const used = this.used(i);
      sums.mapped += mapped * seconds;
      sums.used += used * seconds;
      sums.cached += this.cached(i) * seconds;
      if (mapped > sums.peakMapped) sums.peakMapped = mapped;
      if (setup.loading && !engine.isIdle && !residency.isReady(i)) sums.waitSeconds += seconds;
      if (Number.isNaN(engine.refusedSince)) lying += mapped - used;
      else isWaiting = true;
    }
    if (isWaiting) {
      this.strandedByteSeconds += lying * seconds;
      this.refusedSeconds += seconds;
    }
    if (gpus.busy > 0) this.busySeconds += seconds;
  }

  end(now: number): void {
    this.endTime = now;
    this.point(now);
  }

  private mapped(index: number): number {
    const { engines, setup, residency } = this.simulation;
    const { tenant, model } = engines[index] as Engine;
    if (tenant) return tenant.heldBytes * model.devices.length;
    return setup.loading && residency.state(index) === absent ? 0 : model.sliceBytes * model.devices.length;
  }

  private used(index: number): number {
    const engine = this.simulation.engines[index] as Engine;
    if (engine.tenant?.isAway) return 0;
    return engine.usedBlocks * engine.model.blockBytes * engine.model.devices.length;
  }

  private cached(index: number): number {
    const { tenant, paged, model } = this.simulation.engines[index] as Engine;
    if (tenant?.isAway || !paged) return 0;
    return paged.kv.pool.cachedFree * model.blockBytes * model.devices.length;
  }

  private point(t: number): void {
    const { engines, residency, setup } = this.simulation;
    const models = engines.map(({ model, begun, paged, refusedSince }, i) => {
      const fixed = (model.weightsBytes + model.otherBytes + model.prefetchBytes) * model.devices.length;
      const asleep = setup.loading?.keepsContext ? model.contextBytes * model.devices.length : 0;
      return {
        weights: residency.state(i) === absent ? asleep : fixed,
        mapped: this.mapped(i),
        used: this.used(i),
        waiting: paged?.scheduler.line.length ?? 0,
        running: paged?.scheduler.running.length ?? begun.system.unfinished,
        refused: !Number.isNaN(refusedSince),
      };
    });
    const { timeline } = this;
    timeline.push({ t, models });
    this.nextPoint = t + this.interval;
    if (timeline.length < maxPoints) return;
    this.interval *= 2;
    for (let i = 1; i * 2 < timeline.length; i++) timeline[i] = timeline[i * 2] as SharedPoint;
    timeline.length = Math.ceil(timeline.length / 2);
  }
}
