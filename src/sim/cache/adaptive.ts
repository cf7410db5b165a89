// An order that watches how much is used again and changes what it gives up. Reuse is the share of the last references that went
// to a block seen shortly before, whether or not it was still cached: a rate of hits would follow from the order's own choices.
// Where prefixes are kept, blocks that were never hit go first, whatever their age; where blocks stream through, first in goes
// first out, so that prefixes kept from better times leave too; in between the least recently used goes.
import { createLinks, IdList } from './id-list.ts';
import type { EvictionOrder, OrderOptions } from './order.ts';
import { type AdaptiveMode, ReuseWindow } from './reuse.ts';

export class AdaptiveOrder implements EvictionOrder {
  /** By last use: blocks without a hit, blocks with one; and all by entry. */
  private readonly fresh: IdList;
  private readonly reused: IdList;
  private readonly entered: IdList;
  private readonly lastUse: Float64Array;
  private readonly hit: Uint8Array;
  private readonly window: ReuseWindow;
  private clock = 0;

  constructor({ ids, capacity, reuseWindow = Math.max(1000, Math.min(capacity, ids)) }: OrderOptions) {
    const byUse = createLinks(ids);
    this.fresh = new IdList(byUse);
    this.reused = new IdList(byUse);
    this.entered = new IdList(createLinks(ids));
    this.lastUse = new Float64Array(ids).fill(Number.NEGATIVE_INFINITY);
    this.hit = new Uint8Array(ids);
    this.window = new ReuseWindow(reuseWindow);
  }

  get size(): number {
    return this.entered.size;
  }

  get reuse(): number {
    return this.window.reuse;
  }

  get mode(): AdaptiveMode {
    return this.window.mode;
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
    this.window.observe(this.clock - this.lastUse[id]! <= this.window.memory);
    this.lastUse[id] = this.clock++;
  }
}
