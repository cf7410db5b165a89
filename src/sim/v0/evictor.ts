// Which cached, unused block of a V0 pool is given up first: the one whose last access is oldest, among those the one with the
// most tokens hashed up to its end (the deepest of a prefix), then the smallest id. Law: vllm/core/evictor.py, 0.6.6 to 0.10.2.
// A binary heap with lazy removal: an entry counts while it carries the newest stamp of its block.

export class Evictor {
  private readonly stamp: Int32Array;
  private readonly present: Uint8Array;
  private heap: Entry[] = [];
  private count = 0;

  constructor(blocks: number) {
    this.stamp = new Int32Array(blocks);
    this.present = new Uint8Array(blocks);
  }

  get size(): number {
    return this.count;
  }

  has(block: number): boolean {
    return this.present[block] === 1;
  }

  add(block: number, access: number, hashedTokens: number): void {
    this.present[block] = 1;
    this.count++;
    const stamp = (this.stamp[block]! + 1) | 0;
    this.stamp[block] = stamp;
    push(this.heap, { block, access, hashedTokens, stamp });
    if (this.heap.length > 64 + 4 * this.count) this.compact();
  }

  remove(block: number): void {
    this.present[block] = 0;
    this.count--;
  }

  /** The next victim, removed; -1 when there is none. */
  evict(): number {
    for (;;) {
      const entry = pop(this.heap);
      if (!entry) return -1;
      if (!this.valid(entry)) continue;
      this.remove(entry.block);
      return entry.block;
    }
  }

  private valid(entry: Entry): boolean {
    return this.present[entry.block] === 1 && this.stamp[entry.block] === entry.stamp;
  }

  private compact(): void {
    const old = this.heap;
    this.heap = [];
    for (const entry of old) if (this.valid(entry)) push(this.heap, entry);
  }
}

interface Entry {
  block: number;
  access: number;
  hashedTokens: number;
  stamp: number;
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
