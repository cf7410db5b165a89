// prefill_schedule_interval: prefills are held back until so many steps have passed since the last step that carried one, as long as
// somebody decodes and a release step could take everybody in. Law: local_prefill_interval in vllm/v1/core/sched/scheduler.py (0.33).
import type { Sequence } from './sequence.ts';

export class PrefillCadence {
  /** Prefills are held back in this step. */
  defers = false;
  private executedSteps = 0;
  private lastPrefillStep: number;
  private capacityBound = false;

  constructor(private readonly interval: number) {
    this.lastPrefillStep = -interval;
  }

  begin(running: readonly Sequence[]): void {
    this.defers =
      this.interval > 1 &&
      !this.capacityBound &&
      this.executedSteps + 1 - this.lastPrefillStep < this.interval &&
      running.some((sequence) => !sequence.isPrefillChunk);
  }

  /** Somebody was left waiting for room in a step that held nothing back: holding back would only lengthen the queue. */
  released(leftWaiting: boolean): void {
    if (!this.defers) this.capacityBound = leftWaiting;
  }

  end(tokens: number, carriedPrefill: boolean): void {
    if (tokens > 0) this.executedSteps++;
    if (carriedPrefill) this.lastPrefillStep = this.executedSteps;
  }
}
