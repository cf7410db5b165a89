// A pool of fixed slots: the pool is cut once into rows of one size, every request takes a row whatever it needs. The remainder
// behind the last whole row belongs to nobody. This is how engines with a static KV tensor [batch, max length] keep memory.
import { assert } from '../../assert.ts';
import type { ContiguousAllocator } from './allocator.ts';

export class SlotAllocator implements ContiguousAllocator {
  readonly poolSlots: number;
  readonly slotSize: number;
  heldSlots = 0;
  /** Rows that are free, the next to be handed out last. */
  readonly #free: number[] = [];
  readonly #taken: Uint8Array;

  constructor(poolSlots: number, slotSize: number) {
    assert(Number.isInteger(slotSize) && slotSize > 0, `rows of ${slotSize} slots`);
    this.poolSlots = poolSlots;
    this.slotSize = slotSize;
    const rows = Math.floor(poolSlots / slotSize);
    this.#taken = new Uint8Array(rows);
    for (let row = rows - 1; row >= 0; row--) this.#free.push(row);
  }

  pieceSlots(slots: number): number | undefined {
    return slots <= this.slotSize && this.#taken.length > 0 ? this.slotSize : undefined;
  }

  capacity(slots: number): number {
    return slots <= this.slotSize ? this.#taken.length : 0;
  }

  allocate(slots: number): number | undefined {
    assert(slots > 0, `a piece of ${slots} slots`);
    if (slots > this.slotSize) return undefined;
    const row = this.#free.pop();
    if (row === undefined) return undefined;
    this.#taken[row] = 1;
    this.heldSlots += this.slotSize;
    return row * this.slotSize;
  }

  free(start: number): void {
    const row = start / this.slotSize;
    assert(this.#taken[row] === 1, `slot ${start} is not the start of a row that was handed out`);
    this.#taken[row] = 0;
    this.#free.push(row);
    this.heldSlots -= this.slotSize;
  }

  largestFree(): number {
    return this.#free.length > 0 ? this.slotSize : 0;
  }
}
