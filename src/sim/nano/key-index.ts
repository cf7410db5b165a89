// From a block's key to the one block that it names: open addressing over 64-bit keys in two words, in flat arrays. A key that is
// given to another block names that one from then on.

export class KeyIndex {
  private readonly lo: Int32Array;
  private readonly hi: Int32Array;
  private readonly named: Uint8Array;
  /** Blocks by slot, one more than their id; 0 is empty. */
  private readonly slots: Int32Array;
  private readonly mask: number;

  constructor(blocks: number) {
    this.lo = new Int32Array(blocks);
    this.hi = new Int32Array(blocks);
    this.named = new Uint8Array(blocks);
    let size = 16;
    while (size < 3 * blocks) size *= 2;
    this.slots = new Int32Array(size);
    this.mask = size - 1;
  }

  /** Whether the block's key still names it. */
  names(block: number): boolean {
    return this.named[block] === 1;
  }

  /** The block that a key names, -1 for none. */
  find(lo: number, hi: number): number {
    return this.slots[this.slotOf(lo, hi)]! - 1;
  }

  /** Gives a key to a block; returns the block that it named before, -1 for none. */
  set(lo: number, hi: number, block: number): number {
    const slot = this.slotOf(lo, hi);
    const before = this.slots[slot]! - 1;
    if (before >= 0) this.named[before] = 0;
    this.slots[slot] = block + 1;
    this.lo[block] = lo;
    this.hi[block] = hi;
    this.named[block] = 1;
    return before;
  }

  /** Forgets the key of a block that it names. */
  delete(block: number): void {
    this.named[block] = 0;
    let gap = this.slotOf(this.lo[block]!, this.hi[block]!);
    // Backward shift, so that no chain breaks.
    for (let slot = (gap + 1) & this.mask; this.slots[slot] !== 0; slot = (slot + 1) & this.mask) {
      const other = this.slots[slot]! - 1;
      const home = hash(this.lo[other]!, this.hi[other]!) & this.mask;
      if (((slot - home) & this.mask) < ((slot - gap) & this.mask)) continue;
      this.slots[gap] = other + 1;
      gap = slot;
    }
    this.slots[gap] = 0;
  }

  /** The slot of a key, or the empty one where it would go. */
  private slotOf(lo: number, hi: number): number {
    let slot = hash(lo, hi) & this.mask;
    for (let block = this.slots[slot]! - 1; block >= 0; block = this.slots[slot]! - 1) {
      if (this.lo[block] === lo && this.hi[block] === hi) break;
      slot = (slot + 1) & this.mask;
    }
    return slot;
  }
}

function hash(lo: number, hi: number): number {
  return lo ^ (hi >>> 7);
}
