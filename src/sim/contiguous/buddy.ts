// A binary buddy allocator over any number of token slots (Knuth, The Art of Computer Programming, volume 1, section 2.5, algorithms
// R and S). A pool that is not a power of two is cut from slot 0 into descending powers of two, the set bits of its size: 15,728
// becomes 8192 + 4096 + 2048 + 1024 + 256 + 64 + 32 + 16. It knows nothing of what is stored.
import { assert } from '../../assert.ts';
import type { ContiguousAllocator } from './allocator.ts';

/** A free piece of 2^order slots, linked with the others of its order from the newest to the oldest. */
interface FreePiece {
  readonly start: number;
  readonly order: number;
  newer: FreePiece | undefined;
  older: FreePiece | undefined;
}

/**
 * Pieces are powers of two and start at a multiple of their size. The buddy of a piece is the other half of the piece twice its size. The
 * cut needs no record of its roots: behind a root of 2^k less than 2^k slots are left, so its buddy never is a free piece
 * of that size and merging stops there by itself. allocate() and free() take at most one step per order: O(log n).
 */
export class BuddyAllocator implements ContiguousAllocator {
  readonly poolSlots: number;
  heldSlots = 0;
  readonly #topOrder: number;
  /** By order, the newest free piece; by first slot, every free piece, and the order of every piece handed out. */
  readonly #newest: (FreePiece | undefined)[] = [];
  readonly #free = new Map<number, FreePiece>();
  readonly #held = new Map<number, number>();

  constructor(poolSlots: number) {
    assert(Number.isSafeInteger(poolSlots) && poolSlots >= 0, `a pool of ${poolSlots} slots`);
    this.poolSlots = poolSlots;
    this.#topOrder = orderOf(poolSlots + 1) - 1;
    let start = 0;
    for (let order = this.#topOrder; order >= 0; order--) {
      if (Math.floor(poolSlots / 2 ** order) % 2 === 0) continue;
      this.#link(start, order);
      start += 2 ** order;
    }
  }

  pieceSlots(slots: number): number | undefined {
    const order = orderOf(slots);
    return order > this.#topOrder ? undefined : 2 ** order;
  }

  capacity(slots: number): number {
    return Math.floor(this.poolSlots / 2 ** orderOf(slots));
  }

  allocate(slots: number): number | undefined {
    assert(slots > 0, `a piece of ${slots} slots`);
    const wanted = orderOf(slots);
    let order = wanted;
    while (order <= this.#topOrder && this.#newest[order] === undefined) order++;
    const piece = this.#newest[order];
    if (piece === undefined) return undefined;
    this.#unlink(piece);
    const { start } = piece;
    while (order > wanted) {
      order--;
      this.#link(start + 2 ** order, order);
    }
    this.#held.set(start, wanted);
    this.heldSlots += 2 ** wanted;
    return start;
  }

  free(start: number): void {
    const held = this.#held.get(start);
    assert(held !== undefined, `slot ${start} is not the start of a piece that was handed out`);
    this.#held.delete(start);
    this.heldSlots -= 2 ** held;
    let at = start;
    let order = held;
    for (; order < this.#topOrder; order++) {
      const buddy = this.#free.get(buddyOf(at, 2 ** order));
      if (buddy?.order !== order) break;
      this.#unlink(buddy);
      at = Math.min(at, buddy.start);
    }
    this.#link(at, order);
  }

  largestFree(): number {
    for (let order = this.#topOrder; order >= 0; order--) if (this.#newest[order] !== undefined) return 2 ** order;
    return 0;
  }

  /** The free pieces as [first slot, slots], by first slot: for tests and for drawing the pool. */
  freePieces(): [start: number, slots: number][] {
    const pieces = [...this.#free.values()].map(({ start, order }): [number, number] => [start, 2 ** order]);
    return pieces.sort((a, b) => a[0] - b[0]);
  }

  #link(start: number, order: number): void {
    const older = this.#newest[order];
    const piece = { start, order, newer: undefined, older };
    if (older) older.newer = piece;
    this.#newest[order] = piece;
    this.#free.set(start, piece);
  }

  #unlink({ start, order, newer, older }: FreePiece): void {
    if (older) older.newer = newer;
    if (newer) newer.older = older;
    else this.#newest[order] = older;
    this.#free.delete(start);
  }
}

function buddyOf(start: number, slots: number): number {
  return Math.floor(start / slots) % 2 === 0 ? start + slots : start - slots;
}

/** The smallest k with 2^k >= slots. */
function orderOf(slots: number): number {
  let order = 0;
  while (2 ** order < slots) order++;
  return order;
}
