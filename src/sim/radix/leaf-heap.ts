// The leaves of the radix tree that may be evicted, smallest first. SGLang builds a heap of all leaves for every eviction; here one
// heap lives on, and what has changed since it was pushed is noticed when it comes up: an entry that is no longer a leaf is dropped,
// one that has moved backwards is pushed again. The order of evictions is the same.
import { heapPop, heapPush } from '../heap.ts';
import { evictionClass, evictionTime, type LeafFacts, type RadixEviction } from './strategy.ts';

interface HeapLeaf extends LeafFacts {
  /** Unlocked, without children, and still in the tree. */
  readonly evictable: boolean;
  /** Entries of this leaf in the heap. */
  queued: number;
}

interface Entry<L> {
  readonly leaf: L;
  readonly rank: number;
  readonly time: number;
}

export class LeafHeap<L extends HeapLeaf> {
  private readonly entries: Entry<L>[] = [];

  constructor(private readonly strategy: RadixEviction) {}

  /** A node has become evictable, or, being so, has been used. */
  changed(leaf: L): void {
    // Only under mru does a use move a leaf forward; everywhere else an old entry comes up too early and is corrected then.
    if (leaf.queued === 0 || this.strategy === 'mru') this.push(leaf);
  }

  /** The leaf to evict next, taken out; undefined when there is none. */
  pop(): L | undefined {
    for (;;) {
      const entry = heapPop(this.entries, before);
      if (entry === undefined) return undefined;
      const { leaf, rank, time } = entry;
      leaf.queued--;
      if (!leaf.evictable) continue;
      if (rank === evictionClass(this.strategy, leaf) && time === evictionTime(this.strategy, leaf)) return leaf;
      if (leaf.queued === 0) this.push(leaf);
    }
  }

  private push(leaf: L): void {
    const { strategy } = this;
    leaf.queued++;
    const entry = { leaf, rank: evictionClass(strategy, leaf), time: evictionTime(strategy, leaf) };
    heapPush(this.entries, entry, before);
  }
}

function before<L>(a: Entry<L>, b: Entry<L>): boolean {
  return a.rank === b.rank ? a.time < b.time : a.rank < b.rank;
}
