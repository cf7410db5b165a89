// Best-fit over contiguous token slots, without compaction: a demand takes the smallest free piece that holds it (of equal ones
// the lowest), cut to its exact size; a freed piece joins its free neighbours at once. What is left between pieces stays there.
import { assert } from '../../assert.ts';
import type { ContiguousAllocator } from './allocator.ts';

interface Piece {
  readonly start: number;
  readonly slots: number;
}

export class BestFitAllocator implements ContiguousAllocator {
  readonly poolSlots: number;
  heldSlots = 0;
  /** Free pieces by size, then start; neighbours are found by their first slot and by the slot behind their last. */
  readonly #bySize: Piece[] = [];
  readonly #byStart = new Map<number, Piece>();
  readonly #byEnd = new Map<number, Piece>();
  readonly #held = new Map<number, number>();

  constructor(poolSlots: number) {
    this.poolSlots = poolSlots;
    if (poolSlots > 0) this.#insert({ start: 0, slots: poolSlots });
  }

  pieceSlots(slots: number): number | undefined {
    return slots <= this.poolSlots ? slots : undefined;
  }

  capacity(slots: number): number {
    return Math.floor(this.poolSlots / slots);
  }

  allocate(slots: number): number | undefined {
    assert(slots > 0, `a piece of ${slots} slots`);
    const piece = this.#bySize[this.#position(slots, 0)];
    if (piece === undefined) return undefined;
    this.#remove(piece);
    if (piece.slots > slots) this.#insert({ start: piece.start + slots, slots: piece.slots - slots });
    this.#held.set(piece.start, slots);
    this.heldSlots += slots;
    return piece.start;
  }

  free(start: number): void {
    const slots = this.#held.get(start);
    assert(slots !== undefined, `slot ${start} is not the start of a piece that was handed out`);
    this.#held.delete(start);
    this.heldSlots -= slots;
    const before = this.#byEnd.get(start);
    const after = this.#byStart.get(start + slots);
    if (before) this.#remove(before);
    if (after) this.#remove(after);
    const from = before?.start ?? start;
    const to = after ? after.start + after.slots : start + slots;
    this.#insert({ start: from, slots: to - from });
  }

  largestFree(): number {
    return this.#bySize.at(-1)?.slots ?? 0;
  }

  /** The free pieces as [first slot, slots], by first slot: for tests and for drawing the pool. */
  freePieces(): [start: number, slots: number][] {
    return this.#bySize.map(({ start, slots }): [number, number] => [start, slots]).sort((a, b) => a[0] - b[0]);
  }

  /** Index of the first piece of `slots` slots from `start` on, or of anything larger. */
  #position(slots: number, start: number): number {
    let low = 0;
    let high = this.#bySize.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const piece = this.#bySize[middle]!;
      if (piece.slots < slots || (piece.slots === slots && piece.start < start)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(piece: Piece): void {
    this.#bySize.splice(this.#position(piece.slots, piece.start), 0, piece);
    this.#byStart.set(piece.start, piece);
    this.#byEnd.set(piece.start + piece.slots, piece);
  }

  #remove(piece: Piece): void {
    this.#bySize.splice(this.#position(piece.slots, piece.start), 1);
    this.#byStart.delete(piece.start);
    this.#byEnd.delete(piece.start + piece.slots);
  }
}
