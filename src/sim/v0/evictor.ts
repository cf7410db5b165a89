// Which cached, unused block of a V0 pool is given up first: the one whose last access is oldest, among those the one with the
// most tokens hashed up to its end (the deepest of a prefix), then the smallest id. Law: vllm/core/evictor.py, 0.6.6 to 0.10.2.
// A binary heap with lazy removal as there: an entry counts while its block is present with that access time, so that a block which
// left and came back with the same time can go by its older entry.

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
    push(this.heap, { block, access, hashedTokens });
    if (this.heap.length > staleFactor * this.present.size) this.dropStale();
  }

  remove(block: number): void {
    this.present.delete(block);
  }

  /** The next victim, removed; -1 when there is none. */
  evict(): number {
    for (;;) {
      const entry = pop(this.heap);
      if (!entry) return -1;
      if (!this.present.has(entry.block) || this.access[entry.block] !== entry.access) continue;
      this.present.delete(entry.block);
      return entry.block;
    }
  }

  private dropStale(): void {
    this.heap = [];
    for (const block of this.present) {
      push(this.heap, { block, access: this.access[block]!, hashedTokens: this.depth[block]! });
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

function push(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(entry, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = entry;
}

function pop(heap: Entry[]): Entry | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (!top || !last || heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return top;
}
