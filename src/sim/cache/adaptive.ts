// An order that watches how much is used again and changes what it gives up. Reuse is the share of the last references that went
// to a block seen shortly before, whether or not it was still cached: a rate of hits would follow from the order's own choices.
// At 0.6 and above prefixes are kept: blocks that were never hit go first, whatever their age. At 0.2 and below blocks stream
// through: first in, first out, so that prefixes kept from better times leave too. In between: least recently used first.
import { createLinks, IdList } from './id-list.ts';
import type { EvictionOrder, OrderOptions } from './order.ts';

export const keepReuse = 0.6;
export const streamReuse = 0.2;
export type AdaptiveMode = 'keep' | 'lru' | 'stream';

export class AdaptiveOrder implements EvictionOrder {
  /** By last use: blocks without a hit, blocks with one; and all by entry. */
  private readonly fresh: IdList;
  private readonly reused: IdList;
  private readonly entered: IdList;
  private readonly lastUse: Float64Array;
  private readonly hit: Uint8Array;
  private readonly outcomes: Uint8Array;
  private readonly memory: number;
  private clock = 0;
  private seenAgain = 0;

  constructor({ ids, capacity, reuseWindow = Math.max(1000, Math.min(capacity, ids)) }: OrderOptions) {
    const byUse = createLinks(ids);
    this.fresh = new IdList(byUse);
    this.reused = new IdList(byUse);
    this.entered = new IdList(createLinks(ids));
    this.lastUse = new Float64Array(ids).fill(Number.NEGATIVE_INFINITY);
    this.hit = new Uint8Array(ids);
    this.outcomes = new Uint8Array(reuseWindow);
    this.memory = 4 * reuseWindow;
  }

  get size(): number {
    return this.entered.size;
  }

  get reuse(): number {
    return this.clock === 0 ? 0 : this.seenAgain / Math.min(this.clock, this.outcomes.length);
  }

  /** In the first window the order is plain LRU: too little has been seen. */
  get mode(): AdaptiveMode {
    if (this.clock < this.outcomes.length) return 'lru';
    return this.reuse >= keepReuse ? 'keep' : this.reuse <= streamReuse ? 'stream' : 'lru';
  }

  insert(id: number): void {
    this.observe(id);
    this.hit[id] = 0;
    this.fresh.append(id);
    this.entered.append(id);
  }

  touch(id: number): void {
    this.observe(id);
    this.byUse(id).remove(id);
    this.hit[id] = 1;
    this.reused.append(id);
  }

  evict(_incoming: number): number {
    const victim = this.victim();
    if (victim >= 0) this.remove(victim);
    return victim;
  }

  remove(id: number): void {
    this.byUse(id).remove(id);
    this.entered.remove(id);
  }

  private victim(): number {
    const { fresh, reused } = this;
    const mode = this.mode;
    if (mode === 'stream') return this.entered.head;
    if (fresh.size === 0 || reused.size === 0) return fresh.size > 0 ? fresh.head : reused.head;
    if (mode === 'keep') return fresh.head;
    return this.lastUse[fresh.head]! < this.lastUse[reused.head]! ? fresh.head : reused.head;
  }

  private byUse(id: number): IdList {
    return this.hit[id] ? this.reused : this.fresh;
  }

  private observe(id: number): void {
    const again = this.clock - this.lastUse[id]! <= this.memory ? 1 : 0;
    const slot = this.clock % this.outcomes.length;
    this.seenAgain += again - this.outcomes[slot]!;
    this.outcomes[slot] = again;
    this.lastUse[id] = this.clock++;
  }
}
