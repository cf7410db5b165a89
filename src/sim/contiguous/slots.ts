// A pool of fixed slots: the pool is cut once into rows of one size, every request takes a row whatever it needs. The remainder
// behind the last whole row belongs to nobody. This is how engines with a static KV tensor [batch, max length] keep memory.
import { assert } from '../../assert.ts';
import type { ContiguousAllocator } from './allocator.ts';

export class SlotAllocator implements ContiguousAllocator {
  readonly poolSlots: number;
  readonly slotSize: number;
  heldSlots = 0;
  readonly #rows: number;
  /** Rows that were handed out once; those below that came back, the next to be handed out last. */
  #used = 0;
  readonly #returned: number[] = [];
  readonly #held = new Set<number>();

  constructor(poolSlots: number, slotSize: number) {
    assert(Number.isInteger(slotSize) && slotSize > 0, `rows of ${slotSize} slots`);
    this.poolSlots = poolSlots;
    this.slotSize = slotSize;
    this.#rows = Math.floor(poolSlots / slotSize);
  }

  pieceSlots(slots: number): number | undefined {
    return this.capacity(slots) > 0 ? this.slotSize : undefined;
  }

  capacity(slots: number): number {
    return slots <= this.slotSize ? this.#rows : 0;
  }

  allocate(slots: number): number | undefined {
    assert(slots > 0, `a piece of ${slots} slots`);
    if (slots > this.slotSize || this.#held.size === this.#rows) return undefined;
    const start = this.#returned.pop() ?? this.#used++ * this.slotSize;
    this.#held.add(start);
    this.heldSlots += this.slotSize;
    return start;
  }

  free(start: number): void {
    assert(this.#held.delete(start), `slot ${start} is not the start of a row that was handed out`);
    this.#returned.push(start);
    this.heldSlots -= this.slotSize;
  }

  largestFree(): number {
    return this.#held.size < this.#rows ? this.slotSize : 0;
  }
}
