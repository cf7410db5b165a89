// Summaries of what the clock measured: time-weighted means of memory and queues, a timeline of bounded length, percentiles.
import type { LatencySummary, SharesResult, TimelinePoint } from '../result.ts';
import { zeroQueues, zeroShares } from '../step-work.ts';
import type { ServingSystem } from '../types.ts';
import type { StepObserver } from './clock.ts';

/** Points of a timeline at most; when there are more, every second one goes and the next are taken half as often. */
const maxPoints = 2048;

export class Statistics implements StepObserver {
  readonly timeline: TimelinePoint[] = [];
  peakUtilization = 0;
  private readonly shares = zeroShares();
  private readonly queues = zeroQueues();
  private readonly sums = zeroShares();
  private usedSeconds = 0;
  private weight = 0;
  private sequences = 0;
  private steps = 0;
  private stride = 1;
  private untilPoint = 0;
  private preemptionsAtPoint = 0;

  constructor(private readonly system: ServingSystem) {}

  /** A step of no time (a fixed time of 0) still counts once. */
  scheduled(time: number, seconds: number): void {
    this.sequences += this.system.work.sequences;
    this.steps++;
    this.account(time, seconds);
  }

  idle(from: number, to: number): void {
    this.account(from, to - from);
  }

  /** Token slots that held a token, times the seconds they did. */
  get tokenSeconds(): number {
    return this.sums.tokenStates;
  }

  get meanUtilization(): number {
    return this.weight > 0 ? this.usedSeconds / this.weight : 0;
  }

  get meanBatch(): number {
    return this.steps > 0 ? this.sequences / this.steps : 0;
  }

  /** Time-weighted shares; they sum to 1 (all free when nothing ever ran). */
  result(): SharesResult {
    const { sums } = this;
    const total = sums.tokenStates + sums.reserved + sums.internal + sums.external + sums.free;
    if (total === 0)
      return { tokenStates: 0, reserved: 0, internalFragmentation: 0, externalFragmentation: 0, free: 1 };
    return {
      tokenStates: sums.tokenStates / total,
      reserved: sums.reserved / total,
      internalFragmentation: sums.internal / total,
      externalFragmentation: sums.external / total,
      free: sums.free / total,
    };
  }

  private account(time: number, seconds: number): void {
    const { system, shares, queues, sums } = this;
    system.memory(shares);
    system.queues(queues);
    const used = system.usableBlocks > 0 ? queues.usedBlocks / system.usableBlocks : 0;
    this.weight += seconds;
    this.usedSeconds += used * seconds;
    if (used > this.peakUtilization) this.peakUtilization = used;
    sums.tokenStates += shares.tokenStates * seconds;
    sums.reserved += shares.reserved * seconds;
    sums.internal += shares.internal * seconds;
    sums.external += shares.external * seconds;
    sums.free += shares.free * seconds;
    if (this.untilPoint-- <= 0) this.point(time);
  }

  private point(t: number): void {
    const { shares, queues, system, timeline } = this;
    const { preemptions, swapPreemptions } = system.counters;
    const total = preemptions + swapPreemptions;
    const { poolTokens } = system;
    timeline.push({
      t,
      running: queues.running,
      waiting: queues.waiting,
      swapped: queues.swapped,
      usedBlocks: queues.usedBlocks,
      cachedBlocks: queues.cachedBlocks,
      tokenStates: shares.tokenStates / poolTokens,
      reserved: shares.reserved / poolTokens,
      internalFragmentation: shares.internal / poolTokens,
      externalFragmentation: shares.external / poolTokens,
      preemptions: total - this.preemptionsAtPoint,
    });
    this.preemptionsAtPoint = total;
    this.untilPoint = this.stride - 1;
    if (timeline.length > maxPoints) this.thin();
  }

  /** Drops every second point; its preemptions go to the point after it. */
  private thin(): void {
    const { timeline } = this;
    let kept = 0;
    let carried = 0;
    for (let i = 0; i < timeline.length; i++) {
      const point = timeline[i] as TimelinePoint;
      if (i % 2 === 1 && i < timeline.length - 1) {
        carried += point.preemptions;
        continue;
      }
      point.preemptions += carried;
      carried = 0;
      timeline[kept++] = point;
    }
    timeline.length = kept;
    this.stride *= 2;
  }
}

/** Mean and percentiles (linear between ranks, as numpy's default and vLLM's benchmark); zeros for no values. */
export function summarize(values: number[]): LatencySummary {
  if (values.length === 0) return { mean: 0, p50: 0, p90: 0, p99: 0 };
  const sorted = Float64Array.from(values).sort();
  let sum = 0;
  for (const value of sorted) sum += value;
  const at = (share: number): number => {
    const rank = share * (sorted.length - 1);
    const below = Math.floor(rank);
    const low = sorted[below] as number;
    return low + ((sorted[Math.min(below + 1, sorted.length - 1)] as number) - low) * (rank - below);
  };
  return { mean: sum / sorted.length, p50: at(0.5), p90: at(0.9), p99: at(0.99) };
}
