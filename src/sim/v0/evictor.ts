// Which cached, unused block of a V0 pool is given up first: the one whose last access is oldest, among those the one with the
// most tokens hashed up to its end (the deepest of a prefix), then the smallest id. Law: vllm/core/evictor.py, 0.6.6 to 0.10.2.
// A binary heap with lazy removal as there: an entry counts while its block is present with that access time, so that a block which
// left and came back with the same time can go by its older entry.
import { heapPop, heapPush } from '../heap.ts';

/** Entries per present block above which the stale ones are thrown out. */
const staleFactor = 50;

export class Evictor {
  private readonly access: Float64Array;
  private readonly depth: Int32Array;
  private readonly present = new Set<number>();
  private heap: Entry[] = [];

  constructor(blocks: number) {
    this.access = new Float64Array(blocks);
    this.depth = new Int32Array(blocks);
  }

  get size(): number {
    return this.present.size;
  }

  has(block: number): boolean {
    return this.present.has(block);
  }

  add(block: number, access: number, hashedTokens: number): void {
    this.present.add(block);
    this.access[block] = access;
    this.depth[block] = hashedTokens;
    heapPush(this.heap, { block, access, hashedTokens }, before);
    if (this.heap.length > staleFactor * this.present.size) this.dropStale();
  }

  remove(block: number): void {
    this.present.delete(block);
  }

  /** The next victim, removed; -1 when there is none. */
  evict(): number {
    for (;;) {
      const entry = heapPop(this.heap, before);
      if (!entry) return -1;
      if (!this.present.has(entry.block) || this.access[entry.block] !== entry.access) continue;
      this.present.delete(entry.block);
      return entry.block;
    }
  }

  private dropStale(): void {
    this.heap = [];
    for (const block of this.present) {
      heapPush(this.heap, { block, access: this.access[block]!, hashedTokens: this.depth[block]! }, before);
    }
  }
}

interface Entry {
  block: number;
  access: number;
  hashedTokens: number;
}

function before(a: Entry, b: Entry): boolean {
  if (a.access !== b.access) return a.access < b.access;
  if (a.hashedTokens !== b.hashedTokens) return a.hashedTokens > b.hashedTokens;
  return a.block < b.block;
}
