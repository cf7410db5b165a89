// The queues of requests that wait: first come first served, or by priority and arrival. Both as vLLM's request_queue.py, whose
// orders are total, so that only the order matters and not the structure.
import { heapPop, heapPush } from '../heap.ts';
import type { Sequence } from './sequence.ts';

export interface WaitingQueue extends Iterable<Sequence> {
  readonly length: number;
  add(sequence: Sequence): void;
  /** Back to the front (first come first served), or to its place (priority). */
  putBack(sequence: Sequence): void;
  peek(): Sequence;
  pop(): Sequence;
  remove(sequence: Sequence): boolean;
}

/** A ring buffer with both ends open. */
export class FcfsQueue implements WaitingQueue {
  private items: (Sequence | undefined)[] = new Array(16);
  private head = 0;
  length = 0;

  add(sequence: Sequence): void {
    if (this.length === this.items.length) this.grow();
    this.items[(this.head + this.length) & (this.items.length - 1)] = sequence;
    this.length++;
  }

  putBack(sequence: Sequence): void {
    if (this.length === this.items.length) this.grow();
    this.head = (this.head - 1) & (this.items.length - 1);
    this.items[this.head] = sequence;
    this.length++;
  }

  peek(): Sequence {
    return this.items[this.head] as Sequence;
  }

  pop(): Sequence {
    const sequence = this.items[this.head] as Sequence;
    this.items[this.head] = undefined;
    this.head = (this.head + 1) & (this.items.length - 1);
    this.length--;
    return sequence;
  }

  remove(sequence: Sequence): boolean {
    const kept = [...this].filter((other) => other !== sequence);
    if (kept.length === this.length) return false;
    this.items.fill(undefined);
    this.head = 0;
    this.length = 0;
    for (const other of kept) this.add(other);
    return true;
  }

  *[Symbol.iterator](): Iterator<Sequence> {
    for (let i = 0; i < this.length; i++) yield this.items[(this.head + i) & (this.items.length - 1)] as Sequence;
  }

  private grow(): void {
    const items: (Sequence | undefined)[] = new Array(this.items.length * 2);
    for (let i = 0; i < this.length; i++) items[i] = this.items[(this.head + i) & (this.items.length - 1)];
    this.items = items;
    this.head = 0;
  }
}

/** A binary heap by (priority, arrival). */
export class PriorityQueue implements WaitingQueue {
  private heap: Sequence[] = [];

  get length(): number {
    return this.heap.length;
  }

  add(sequence: Sequence): void {
    heapPush(this.heap, sequence, goesBefore);
  }

  putBack(sequence: Sequence): void {
    this.add(sequence);
  }

  peek(): Sequence {
    return this.heap[0] as Sequence;
  }

  pop(): Sequence {
    return heapPop(this.heap, goesBefore) as Sequence;
  }

  remove(sequence: Sequence): boolean {
    const kept = this.heap.filter((other) => other !== sequence);
    if (kept.length === this.heap.length) return false;
    this.heap = [];
    for (const other of kept) this.add(other);
    return true;
  }

  *[Symbol.iterator](): Iterator<Sequence> {
    yield* [...this.heap].sort((a, b) => (a.goesBefore(b) ? -1 : 1));
  }
}

function goesBefore(a: Sequence, b: Sequence): boolean {
  return a.goesBefore(b);
}

export function makeQueue(policy: 'fcfs' | 'priority'): WaitingQueue {
  return policy === 'priority' ? new PriorityQueue() : new FcfsQueue();
}
