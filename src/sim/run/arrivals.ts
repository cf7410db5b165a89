// When requests reach the server: in order of time (ties in file order), when a slot of a closed loop is free, or after the turn
// before them has ended.
import { heapPop, heapPush } from '../heap.ts';
import type { SimRequest, Workload } from '../types.ts';

interface Turn {
  time: number;
  index: number;
}

function comesBefore(a: Turn, b: Turn): boolean {
  return a.time < b.time || (a.time === b.time && a.index < b.index);
}

export class Arrivals {
  /** Requests without a predecessor, in order of arrival. */
  private readonly order: Int32Array;
  private next = 0;
  /** Turns whose predecessor has ended: a heap by (time, index). */
  private readonly heap: Turn[] = [];
  /** First follow-up of each request, and the next one of the same predecessor; -1: none. */
  private readonly followUp: Int32Array | undefined;
  private readonly sibling: Int32Array | undefined;
  private waitingTurns = 0;
  /** When the follow-up turn that was taken last came. */
  turnTime = 0;

  constructor(private readonly workload: Workload) {
    const { requests } = workload;
    const first: number[] = [];
    const hasTurns = requests.some(({ after }) => after !== undefined);
    if (hasTurns) {
      this.followUp = new Int32Array(requests.length).fill(-1);
      this.sibling = new Int32Array(requests.length).fill(-1);
    }
    for (let i = 0; i < requests.length; i++) {
      const { after } = requests[i] as SimRequest;
      if (after === undefined || !this.followUp || !this.sibling) {
        first.push(i);
        continue;
      }
      this.sibling[i] = this.followUp[after] as number;
      this.followUp[after] = i;
      this.waitingTurns++;
    }
    this.order = Int32Array.from(first);
    if (!sorted(requests, this.order))
      this.order = Int32Array.from(
        first.sort((a, b) => (requests[a] as SimRequest).arrival - (requests[b] as SimRequest).arrival || a - b),
      );
  }

  /** Whether anything is still to come, now or after a turn in progress. */
  get pending(): boolean {
    return this.next < this.order.length || this.heap.length > 0 || this.waitingTurns > 0;
  }

  /** Time of the next arrival that does not depend on a request in progress; Infinity if there is none. */
  nextTime(unfinished: number): number {
    const turn = this.heap[0]?.time ?? Number.POSITIVE_INFINITY;
    if (this.next >= this.order.length) return turn;
    const { concurrency } = this.workload;
    if (concurrency !== undefined) return unfinished < concurrency ? Number.NEGATIVE_INFINITY : turn;
    return Math.min(turn, (this.workload.requests[this.order[this.next] as number] as SimRequest).arrival);
  }

  /** The next request that has arrived by `time`, or -1. `unfinished` counts those in the server (closed loop). */
  take(time: number, unfinished: number): number {
    const turn = this.heap[0];
    if (turn && turn.time <= time) return this.popTurn();
    if (this.next >= this.order.length) return -1;
    const index = this.order[this.next] as number;
    const { concurrency } = this.workload;
    const here =
      concurrency === undefined
        ? (this.workload.requests[index] as SimRequest).arrival <= time
        : unfinished < concurrency;
    if (!here) return -1;
    this.next++;
    return index;
  }

  /** A request has ended at `time`: its next turns come after their pause. */
  ended(request: number, time: number): void {
    if (!this.followUp || !this.sibling) return;
    for (let i = this.followUp[request] as number; i >= 0; i = this.sibling[i] as number) {
      const turn = this.workload.requests[i] as SimRequest;
      this.waitingTurns--;
      this.pushTurn(Math.max(turn.arrival, time + (turn.thinkSeconds ?? 0)), i);
    }
  }

  private pushTurn(time: number, index: number): void {
    heapPush(this.heap, { time, index }, comesBefore);
  }

  private popTurn(): number {
    const { time, index } = heapPop(this.heap, comesBefore) as Turn;
    this.turnTime = time;
    return index;
  }
}

function sorted(requests: readonly SimRequest[], order: Int32Array): boolean {
  for (let i = 1; i < order.length; i++) {
    const before = requests[order[i - 1] as number] as SimRequest;
    if ((requests[order[i] as number] as SimRequest).arrival < before.arrival) return false;
  }
  return true;
}
