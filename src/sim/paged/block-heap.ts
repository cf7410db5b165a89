// A heap of blocks, smallest number first, from which any block can be taken out. Knows no meaning of the numbers.

export class BlockHeap {
  size = 0;
  private readonly blocks: Int32Array;
  private readonly position: Int32Array;
  private readonly values: Float64Array;

  constructor(blocks: number) {
    this.blocks = new Int32Array(blocks);
    this.position = new Int32Array(blocks).fill(-1);
    this.values = new Float64Array(blocks);
  }

  has(block: number): boolean {
    return this.position[block]! >= 0;
  }

  insert(block: number, value: number): void {
    this.values[block] = value;
    this.rise(this.size++, block);
  }

  remove(block: number): void {
    const at = this.position[block]!;
    this.position[block] = -1;
    const last = this.blocks[--this.size]!;
    if (last === block) return;
    if (at > 0 && this.values[last]! < this.values[this.blocks[(at - 1) >> 1]!]!) this.rise(at, last);
    else this.sink(at, last);
  }

  /** The block with the smallest number, taken out. */
  shift(): number {
    const block = this.blocks[0]!;
    this.remove(block);
    return block;
  }

  /** Gives every block inside a new number. */
  revalue(value: (block: number) => number): void {
    const inside = this.blocks.slice(0, this.size);
    this.size = 0;
    for (const block of inside) this.insert(block, value(block));
  }

  /** The blocks inside, smallest number first. */
  toArray(): number[] {
    return Array.from(this.blocks.subarray(0, this.size)).sort((a, b) => this.values[a]! - this.values[b]!);
  }

  private rise(from: number, block: number): void {
    let at = from;
    const value = this.values[block]!;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.values[this.blocks[parent]!]! <= value) break;
      this.put(at, this.blocks[parent]!);
      at = parent;
    }
    this.put(at, block);
  }

  private sink(from: number, block: number): void {
    let at = from;
    const value = this.values[block]!;
    for (let child = 2 * at + 1; child < this.size; child = 2 * at + 1) {
      if (child + 1 < this.size && this.values[this.blocks[child + 1]!]! < this.values[this.blocks[child]!]!) child++;
      if (this.values[this.blocks[child]!]! >= value) break;
      this.put(at, this.blocks[child]!);
      at = child;
    }
    this.put(at, block);
  }

  private put(at: number, block: number): void {
    this.blocks[at] = block;
    this.position[block] = at;
  }
}
