// Tells a preemption that leads somewhere from one that goes round for ever. vLLM does not: a chunked prefill whose last block is
// not full asks for one block more in every call (block_table.py, get_num_blocks_touched_by_append_slots), so that a request which
// nearly fills the pool is preempted, starts again and is preempted again; two such requests do it in turn.
import type { SequenceGroup } from './sequence.ts';

interface LastPreemption {
  stepsOfOthers: number;
  furthest: number;
  advances: number;
  vain: number;
}

export class Progress {
  private groupSteps = 0;
  /** How often a group got further than it had ever been. */
  private advances = 0;
  private readonly last = new WeakMap<SequenceGroup, LastPreemption>();

  /** A prefill takes at most so many calls: every chunk has a token. */
  constructor(private readonly maxCalls: number) {}

  scheduled(groups: readonly SequenceGroup[]): void {
    this.groupSteps += groups.length;
    for (const group of groups) {
      group.steps++;
      const reach = group.prefilling ? group.computed + group.chunk : group.tokens;
      if (reach <= group.furthest) continue;
      group.furthest = reach;
      this.advances++;
    }
  }

  /**
   * True when this group was preempted before and since then neither it got further nor another one was scheduled; or when it was
   * preempted more often than any prefill takes calls while nobody got further.
   */
  inVain(group: SequenceGroup): boolean {
    const stepsOfOthers = this.groupSteps - group.steps;
    const last = this.last.get(group);
    const { furthest } = group;
    const moved = !last || furthest > last.furthest || this.advances > last.advances;
    this.last.set(group, { stepsOfOthers, furthest, advances: this.advances, vain: moved ? 0 : last.vain + 1 });
    return !moved && (stepsOfOthers === last.stepsOfOthers || last.vain >= this.maxCalls);
  }
}
