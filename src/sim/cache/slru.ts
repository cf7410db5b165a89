// Segmented LRU (Karedla, Love and Wherry 1994): blocks on probation go first, protected ones only when nobody is on probation.
// A block is protected from its second hit on, as in SGLang's evict_policy.py (SLRUStrategy, 008b79d), where the protected segment
// has no bound; here it has one, four fifths of the capacity unless said otherwise: above it the least recently used protected
// block goes back on probation, as the most recently used there, and has to earn its place again.
import { createLinks, IdList } from './id-list.ts';
import type { EvictionOrder, OrderOptions } from './order.ts';

export class SlruOrder implements EvictionOrder {
  private readonly probation: IdList;
  private readonly protectedIds: IdList;
  private readonly hits: Int32Array;
  private readonly protectedHits: number;
  private readonly protectedMost: number;

  constructor({ ids, capacity, protectedHits = 2, protectedShare = 0.8 }: OrderOptions) {
    const links = createLinks(ids);
    this.probation = new IdList(links);
    this.protectedIds = new IdList(links);
    this.hits = new Int32Array(ids);
    this.protectedHits = protectedHits;
    this.protectedMost = Math.floor(capacity * protectedShare);
  }

  get size(): number {
    return this.probation.size + this.protectedIds.size;
  }

  insert(id: number): void {
    this.hits[id] = 0;
    this.probation.append(id);
  }

  touch(id: number): void {
    const hits = this.hits[id]! + 1;
    this.hits[id] = hits;
    this.segment(hits - 1).remove(id);
    this.segment(hits).append(id);
    if (this.protectedIds.size > this.protectedMost) {
      const back = this.protectedIds.shift();
      this.hits[back] = 0;
      this.probation.append(back);
    }
  }

  evict(_incoming: number): number {
    return this.probation.size > 0 ? this.probation.shift() : this.protectedIds.shift();
  }

  remove(id: number): void {
    this.segment(this.hits[id]!).remove(id);
  }

  private segment(hits: number): IdList {
    return hits >= this.protectedHits ? this.protectedIds : this.probation;
  }
}
