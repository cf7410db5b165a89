// The physical blocks of a paged KV cache: reference counts, the free queue in eviction order, and the map from keys to blocks.
// Law: vllm/v1/core/block_pool.py and FreeKVCacheBlockQueue. Block 0 is the null block: never counted, freed or handed out. A
// free block keeps its key and stays findable until it is handed out again. Flat arrays instead of objects: ids are the state.
import { assert } from '../../assert.ts';

/** Where freed blocks without a key go: the tail like all others, or the head, to be handed out next. */
export type FreeOrder = 'tail' | 'head';

export interface PoolEvents {
  taken(block: number): void;
  freed(block: number): void;
  evicted(block: number): void;
}

export class BlockPool {
  /** Sequences that hold each block. */
  readonly refs: Int32Array;
  /** Circular doubly linked free list through index 0: next[0] is the head, the next victim. */
  protected readonly next: Int32Array;
  protected readonly prev: Int32Array;
  protected readonly keyLo: Int32Array;
  protected readonly keyHi: Int32Array;
  private readonly keyed: Uint8Array;
  /** Open addressing over keys: the oldest block of each key; 0 is empty. Later ones hang on `twin`, in order of insertion. */
  private readonly slots: Int32Array;
  private readonly mask: number;
  private readonly twin: Int32Array;
  free: number;
  /** Sum of the reference counts, and blocks that several sequences hold. */
  holders = 0;
  shared = 0;
  sharedPeak = 0;
  /** Blocks in the free queue that still have a key. */
  cachedFree = 0;
  evictions = 0;
  events: PoolEvents | undefined;

  constructor(
    readonly numBlocks: number,
    readonly caching: boolean,
  ) {
    assert(numBlocks >= 1, `a pool of ${numBlocks} blocks`);
    this.refs = new Int32Array(numBlocks);
    this.next = new Int32Array(numBlocks);
    this.prev = new Int32Array(numBlocks);
    this.keyLo = new Int32Array(caching ? numBlocks : 0);
    this.keyHi = new Int32Array(caching ? numBlocks : 0);
    this.keyed = new Uint8Array(numBlocks);
    this.twin = new Int32Array(caching ? numBlocks : 0);
    let size = 16;
    while (caching && size < numBlocks * 3) size *= 2;
    this.slots = new Int32Array(size);
    this.mask = size - 1;
    for (let id = 0; id < numBlocks; id++) {
      this.next[id] = id + 1 === numBlocks ? 0 : id + 1;
      this.prev[id] = id === 0 ? numBlocks - 1 : id - 1;
    }
    this.free = numBlocks - 1;
  }

  /** Blocks that can be handed out. */
  get usable(): number {
    return this.numBlocks - 1;
  }

  get used(): number {
    return this.numBlocks - 1 - this.free;
  }

  /** Blocks that can be had now: those of the free queue, and what memory from outside would hold. */
  get available(): number {
    return this.free;
  }

  /** Memory may come from outside: what finds none now may find some later. */
  get mayGrow(): boolean {
    return false;
  }

  /** So many blocks will be taken in a row; pools that place them together want to know. */
  expect(_blocks: number): void {}

  /** Whether there is memory behind a block; pools whose memory comes and goes have blocks without. */
  isThere(_block: number): boolean {
    return true;
  }

  hasKey(block: number): boolean {
    return this.keyed[block] === 1;
  }

  /** A number that stands for the block's key (53 of its 64 bits); -1 without one. */
  keyOf(block: number): number {
    return this.keyed[block] === 1 ? keyNumber(this.keyLo[block] as number, this.keyHi[block] as number) : -1;
  }

  /** Takes the head of the free queue; what it cached is lost. The caller has checked that there is one. */
  take(): number {
    const block = this.next[0] as number;
    assert(block !== 0, 'no free block left');
    const after = this.next[block] as number;
    this.next[0] = after;
    this.prev[after] = 0;
    this.free--;
    if (this.keyed[block] === 1) {
      this.cachedFree--;
      this.evictions++;
      this.forget(block);
      this.events?.evicted(block);
    }
    this.hold(block, 0);
    this.events?.taken(block);
    return block;
  }

  /** A hit: one more holder; a free block leaves the queue's middle. */
  touch(block: number): void {
    if (block === 0) return;
    const refs = this.refs[block] as number;
    if (refs === 0) {
      this.unlink(block);
      this.free--;
      if (this.keyed[block] === 1) this.cachedFree--;
      this.events?.taken(block);
    }
    this.hold(block, refs);
  }

  /** Takes a block out of the list it is in. */
  protected unlink(block: number): void {
    const before = this.prev[block] as number;
    const after = this.next[block] as number;
    this.next[before] = after;
    this.prev[after] = before;
  }

  /** Counts one holder more of a block that has `refs`. */
  protected hold(block: number, refs: number): void {
    this.refs[block] = refs + 1;
    this.holders++;
    if (refs === 1 && ++this.shared > this.sharedPeak) this.sharedPeak = this.shared;
  }

  /** Counts one holder less; returns how many are left. */
  protected letGo(block: number): number {
    const refs = (this.refs[block] as number) - 1;
    assert(refs >= 0, `block ${block} is freed more often than it was taken`);
    this.refs[block] = refs;
    this.holders--;
    if (refs === 1) this.shared--;
    return refs;
  }

  /**
   * Gives back `count` entries of `blocks`, from index `last` downwards. Those nobody holds any more join the free queue in
   * that order: at the tail, or, where `order` is 'head' and they have no key, at the head, keeping their order.
   */
  release(blocks: Int32Array, last: number, count: number, order: FreeOrder): void {
    let cursor = 0;
    for (let i = last; i > last - count; i--) {
      const block = blocks[i] as number;
      if (block === 0) continue;
      if (this.letGo(block) > 0) continue;
      const keyed = this.keyed[block] === 1;
      const before = order === 'head' && !keyed ? cursor : (this.prev[0] as number);
      const after = this.next[before] as number;
      this.next[before] = block;
      this.prev[block] = before;
      this.next[block] = after;
      this.prev[after] = block;
      if (order === 'head' && !keyed) cursor = block;
      this.free++;
      if (keyed) this.cachedFree++;
      this.events?.freed(block);
    }
  }

  /** The oldest block with this key, 0 if there is none. */
  find(lo: number, hi: number): number {
    let slot = hashSlot(lo, hi) & this.mask;
    for (;;) {
      const block = this.slots[slot] as number;
      if (block === 0 || (this.keyLo[block] === lo && this.keyHi[block] === hi)) return block;
      slot = (slot + 1) & this.mask;
    }
  }

  /** Makes a block findable. A block that has a key keeps it. */
  register(block: number, lo: number, hi: number, _tokens?: number): void {
    if (this.keyed[block] === 1) return;
    this.keyed[block] = 1;
    this.keyLo[block] = lo;
    this.keyHi[block] = hi;
    this.twin[block] = 0;
    let slot = hashSlot(lo, hi) & this.mask;
    for (;;) {
      let other = this.slots[slot] as number;
      if (other === 0) {
        this.slots[slot] = block;
        return;
      }
      if (this.keyLo[other] === lo && this.keyHi[other] === hi) {
        while (this.twin[other] !== 0) other = this.twin[other] as number;
        this.twin[other] = block;
        return;
      }
      slot = (slot + 1) & this.mask;
    }
  }

  /** Takes a block's key away; it can no longer be hit. */
  forget(block: number): void {
    if (this.keyed[block] === 0) return;
    const lo = this.keyLo[block] as number;
    const hi = this.keyHi[block] as number;
    let slot = hashSlot(lo, hi) & this.mask;
    let oldest = this.slots[slot] as number;
    while (!(this.keyLo[oldest] === lo && this.keyHi[oldest] === hi)) {
      slot = (slot + 1) & this.mask;
      oldest = this.slots[slot] as number;
      assert(oldest !== 0, `the key of block ${block} is not in the map`);
    }
    this.keyed[block] = 0;
    if (oldest !== block) {
      while (this.twin[oldest] !== block) oldest = this.twin[oldest] as number;
      this.twin[oldest] = this.twin[block] as number;
    } else if (this.twin[block] !== 0) {
      this.slots[slot] = this.twin[block] as number;
    } else {
      this.closeGap(slot);
    }
    this.twin[block] = 0;
  }

  /** Drops all keys, the queue's order kept; refused while any block is in use. */
  reset(): boolean {
    if (this.free !== this.usable) return false;
    this.keyed.fill(0);
    this.slots.fill(0);
    this.twin.fill(0);
    this.cachedFree = 0;
    return true;
  }

  /** The free queue, head first (for tests and views). */
  freeOrder(): number[] {
    const order: number[] = [];
    for (let id = this.next[0] as number; id !== 0; id = this.next[id] as number) order.push(id);
    return order;
  }

  /** All blocks of a key, oldest first. */
  twins(lo: number, hi: number): number[] {
    const blocks: number[] = [];
    for (let id = this.find(lo, hi); id !== 0; id = this.twin[id] as number) blocks.push(id);
    return blocks;
  }

  /** Backward-shift deletion, so that no chain of the open addressing breaks. */
  private closeGap(start: number): void {
    let gap = start;
    let slot = start;
    for (;;) {
      slot = (slot + 1) & this.mask;
      const block = this.slots[slot] as number;
      if (block === 0) break;
      const home = hashSlot(this.keyLo[block] as number, this.keyHi[block] as number) & this.mask;
      if (((slot - home) & this.mask) >= ((slot - gap) & this.mask)) {
        this.slots[gap] = block;
        gap = slot;
      }
    }
    this.slots[gap] = 0;
  }
}

function hashSlot(lo: number, hi: number): number {
  return lo ^ (hi >>> 7);
}

export function keyNumber(lo: number, hi: number): number {
  return (lo >>> 0) * 2 ** 21 + (hi >>> 11);
}
