// Everybody who waits: the queue itself, and where a release keeps them apart, those that were passed over and those that hold blocks
// already (a connector loads into them). Law: vllm/v1/core/sched/scheduler.py (skipped_waiting 0.18 to 0.30, kv_holding_waiting).
import type { PagedRules } from './config.ts';
import { makeQueue, type WaitingQueue } from './queue.ts';
import type { Sequence } from './sequence.ts';

export class WaitingLine {
  readonly queue: WaitingQueue;
  private readonly passedOver: WaitingQueue | undefined;
  private readonly holding: WaitingQueue | undefined;

  constructor(
    private readonly byPriority: boolean,
    private readonly rules: Pick<PagedRules, 'skippedQueue' | 'skippedOrder'>,
    loadsGoFirst: boolean,
  ) {
    const policy = byPriority ? 'priority' : 'fcfs';
    this.queue = makeQueue(policy);
    this.passedOver = rules.skippedQueue === 'own' ? makeQueue(policy) : undefined;
    this.holding = loadsGoFirst ? makeQueue(policy) : undefined;
  }

  get length(): number {
    return this.queue.length + (this.passedOver?.length ?? 0) + (this.holding?.length ?? 0);
  }

  /** The queue whose head is tried next. */
  get next(): WaitingQueue {
    const { passedOver, queue, holding } = this;
    if (holding !== undefined && holding.length > 0) return holding;
    if (!passedOver || passedOver.length === 0) return queue;
    if (queue.length === 0 || !this.byPriority) return passedOver;
    return passedOver.peek().goesBefore(queue.peek()) ? passedOver : queue;
  }

  remove(sequence: Sequence): void {
    if (this.queue.remove(sequence) || this.passedOver?.remove(sequence)) return;
    this.holding?.remove(sequence);
  }

  /** Those passed over in this call come back to the front, in their order (0.9.2 to 0.13: in reverse). */
  putBack(skipped: readonly Sequence[]): void {
    const queue = this.passedOver ?? this.queue;
    const last = skipped.length - 1;
    const reversed = this.rules.skippedOrder === 'reversed';
    for (let i = 0; i <= last; i++) {
      const sequence = skipped[reversed ? i : last - i] as Sequence;
      (sequence.computed > 0 ? (this.holding ?? queue) : queue).putBack(sequence);
    }
  }
}
