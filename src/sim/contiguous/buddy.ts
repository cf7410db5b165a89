// A binary buddy allocator over any number of token slots (Knuth, The Art of Computer Programming, volume 1, section 2.5, algorithms
// R and S). A pool that is not a power of two is cut from slot 0 into descending powers of two, the set bits of its size: 15,728
// becomes 8192 + 4096 + 2048 + 1024 + 256 + 64 + 32 + 16. It knows nothing of what is stored.
import { assert } from '../../assert.ts';
import type { ContiguousAllocator } from './allocator.ts';

const none = -1;

/**
 * Pieces are powers of two, at least `smallest` slots, and start at a multiple of their size. The buddy of a piece is its start with the bit
 * of its size flipped. The cut needs no record of its roots: behind a root of size s less than s slots are left, so its buddy never
 * is a free piece of that size and merging stops there by itself. allocate() and free() take at most one step per order: O(log n).
 */
export class BuddyAllocator implements ContiguousAllocator {
  readonly poolSlots: number;
  heldSlots = 0;
  readonly #smallestOrder: number;
  readonly #topOrder: number;
  /** Free lists: the newest free piece of every order, and the links between pieces of one order, by first slot. */
  readonly #head: Int32Array;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  /** By first slot: order + 1 of the piece that starts here, positive when free, negative when handed out, 0 when none starts. */
  readonly #piece: Int8Array;

  constructor(poolSlots: number, smallest = 1) {
    assert(Number.isInteger(poolSlots) && poolSlots >= 0 && poolSlots < 2 ** 31, `a pool of ${poolSlots} slots`);
    assert(smallest > 0 && (smallest & (smallest - 1)) === 0, `smallest piece ${smallest} is not a power of two`);
    this.poolSlots = poolSlots;
    this.#smallestOrder = orderOf(smallest);
    this.#topOrder = poolSlots === 0 ? 0 : 31 - Math.clz32(poolSlots);
    this.#head = new Int32Array(this.#topOrder + 1).fill(none);
    this.#next = new Int32Array(poolSlots);
    this.#previous = new Int32Array(poolSlots);
    this.#piece = new Int8Array(poolSlots);
    let start = 0;
    for (let order = this.#topOrder; order >= this.#smallestOrder; order--) {
      if (((poolSlots >> order) & 1) === 0) continue;
      this.#link(start, order);
      start += 2 ** order;
    }
  }

  pieceSlots(slots: number): number | undefined {
    const order = this.#orderFor(slots);
    return order > this.#topOrder || 2 ** order > this.poolSlots ? undefined : 2 ** order;
  }

  capacity(slots: number): number {
    return Math.floor(this.poolSlots / 2 ** this.#orderFor(slots));
  }

  allocate(slots: number): number | undefined {
    const wanted = this.#orderFor(slots);
    let order = wanted;
    while (order <= this.#topOrder && this.#head[order] === none) order++;
    if (order > this.#topOrder) return undefined;
    const start = this.#head[order]!;
    this.#unlink(start, order);
    while (order > wanted) {
      order--;
      this.#link(start + 2 ** order, order);
    }
    this.#piece[start] = -(wanted + 1);
    this.heldSlots += 2 ** wanted;
    return start;
  }

  free(start: number): void {
    const mark = this.#piece[start];
    assert(mark !== undefined && mark < 0, `slot ${start} is not the start of a piece that was handed out`);
    let order = -mark - 1;
    this.heldSlots -= 2 ** order;
    this.#piece[start] = 0;
    let at = start;
    for (; order < this.#topOrder; order++) {
      const buddy = at ^ (2 ** order);
      if (this.#piece[buddy] !== order + 1) break;
      this.#unlink(buddy, order);
      at = Math.min(at, buddy);
    }
    this.#link(at, order);
  }

  largestFree(): number {
    for (let order = this.#topOrder; order >= 0; order--) if (this.#head[order] !== none) return 2 ** order;
    return 0;
  }

  /** The free pieces as [first slot, slots], by first slot: for tests and for drawing the pool. */
  freePieces(): [start: number, slots: number][] {
    const pieces: [number, number][] = [];
    this.#piece.forEach((mark, start) => {
      if (mark > 0) pieces.push([start, 2 ** (mark - 1)]);
    });
    return pieces;
  }

  #orderFor(slots: number): number {
    assert(slots > 0, `a piece of ${slots} slots`);
    return Math.max(this.#smallestOrder, orderOf(slots));
  }

  #link(start: number, order: number): void {
    const head = this.#head[order]!;
    this.#next[start] = head;
    this.#previous[start] = none;
    if (head !== none) this.#previous[head] = start;
    this.#head[order] = start;
    this.#piece[start] = order + 1;
  }

  #unlink(start: number, order: number): void {
    const next = this.#next[start]!;
    const previous = this.#previous[start]!;
    if (next !== none) this.#previous[next] = previous;
    if (previous === none) this.#head[order] = next;
    else this.#next[previous] = next;
    this.#piece[start] = 0;
  }
}

/** The smallest k with 2^k >= slots; 32 for anything beyond, an order that no pool has. */
function orderOf(slots: number): number {
  if (slots <= 1) return 0;
  return slots > 2 ** 31 ? 32 : 32 - Math.clz32(slots - 1);
}
