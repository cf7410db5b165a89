// The blocks of one device in the V0 engine: reference counts, a free stack, and (with prefix caching) which block holds which
// content. It knows no sequences. Law: vllm/core/block/naive_block.py and prefix_caching_block.py, 0.6.6 to 0.10.2: the block freed
// last is handed out first, unhashed blocks before cached ones.
//
// Numbered laws, asserted here and in invariants.ts:
//   V1 held + cached + free = total.
//   V2 the reference count of a block equals the number of block tables that hold it.
//   V3 a failed request for blocks changes nothing: whoever takes has asked first.
//   V4 a block that several tables hold is never written.
//   V5 a content is findable under one block at most, and that block is full.
import { assert } from '../../assert.ts';
import { Evictor } from './evictor.ts';

const noContent = -1;
const neverAccessed = -1;

export class BlockPool {
  readonly total: number;
  readonly blockSize: number;
  /** Blocks with at least one holder; sum of the holders; blocks with several. */
  held = 0;
  holders = 0;
  shared = 0;
  sharedPeak = 0;
  /** Tokens written in held blocks, each block once. */
  tokens = 0;
  evictions = 0;
  private readonly refs: Int32Array;
  private readonly fill: Int32Array;
  private readonly content: Int32Array;
  private readonly hashedTokens: Int32Array;
  private readonly access: Float64Array;
  private readonly computed: Uint8Array;
  private readonly stack: Int32Array;
  private stacked: number;
  private readonly byContent = new Map<number, number>();
  private readonly evictor: Evictor;
  private readonly touched: number[] = [];

  constructor(total: number, blockSize: number) {
    this.total = total;
    this.blockSize = blockSize;
    this.refs = new Int32Array(total);
    this.fill = new Int32Array(total);
    this.content = new Int32Array(total).fill(noContent);
    this.hashedTokens = new Int32Array(total);
    this.access = new Float64Array(total).fill(neverAccessed);
    this.computed = new Uint8Array(total);
    this.stack = Int32Array.from({ length: total }, (_, i) => total - 1 - i);
    this.stacked = total;
    this.evictor = new Evictor(total);
  }

  /** Blocks that can be handed out, the cached ones nobody holds among them. */
  get free(): number {
    return this.stacked + this.evictor.size;
  }

  get cached(): number {
    return this.evictor.size;
  }

  refCount(block: number): number {
    return this.refs[block]!;
  }

  filled(block: number): number {
    return this.fill[block]!;
  }

  contentOf(block: number): number {
    return this.content[block]!;
  }

  /** Free blocks in the order they will be handed out, cached ones not among them. */
  freeOrder(): number[] {
    return Array.from(this.stack.subarray(0, this.stacked)).reverse();
  }

  /** An empty block with one holder. The caller has made sure that one is free (V3). */
  take(): number {
    let block: number;
    if (this.stacked > 0) block = this.stack[--this.stacked]!;
    else {
      block = this.evictor.evict();
      assert(block >= 0, 'V3: a block was taken from a V0 pool that has none');
      this.forget(block);
      this.evictions++;
    }
    this.refs[block] = 1;
    this.access[block] = neverAccessed;
    this.held++;
    this.holders++;
    return block;
  }

  /** One holder more for a block that has some (fork) or that is cached (hit). */
  hold(block: number): void {
    const refs = ++this.refs[block]!;
    this.holders++;
    if (refs === 1) {
      assert(this.evictor.has(block), 'V2: a free block was shared');
      this.evictor.remove(block);
      this.computed[block] = 1;
      this.access[block] = neverAccessed;
      this.held++;
      this.tokens += this.fill[block]!;
    } else if (refs === 2) {
      this.shared++;
      if (this.shared > this.sharedPeak) this.sharedPeak = this.shared;
    }
  }

  release(block: number): void {
    const refs = --this.refs[block]!;
    assert(refs >= 0, 'V2: a block was freed more often than it was held');
    this.holders--;
    if (refs === 1) this.shared--;
    if (refs > 0) return;
    this.held--;
    this.tokens -= this.fill[block]!;
    if (this.content[block] === noContent) {
      this.fill[block] = 0;
      this.stack[this.stacked++] = block;
    } else this.evictor.add(block, this.access[block]!, this.hashedTokens[block]!);
  }

  write(block: number, tokens: number): void {
    assert(this.refs[block] === 1, 'V4: a shared block was written');
    this.fill[block]! += tokens;
    this.tokens += tokens;
    assert(this.fill[block]! <= this.blockSize, 'V4: a block was written past its end');
  }

  /** The block that holds this content, with one holder more; -1 when there is none. */
  takeContent(content: number): number {
    const block = this.byContent.get(content);
    if (block === undefined) return -1;
    this.hold(block);
    return block;
  }

  /**
   * A full block becomes findable. When another block already holds its content, that one is used instead and this one is freed.
   * It counts as computed from the end of the scheduling call on.
   */
  promote(block: number, content: number, hashedTokens: number): number {
    assert(this.fill[block] === this.blockSize, 'V5: a block was hashed before it was full');
    const known = this.byContent.get(content);
    if (known !== undefined) {
      this.release(block);
      this.hold(known);
      return known;
    }
    this.byContent.set(content, block);
    this.content[block] = content;
    this.hashedTokens[block] = hashedTokens;
    this.touched.push(block);
    return block;
  }

  markComputed(): void {
    for (const block of this.touched) this.computed[block] = 1;
    this.touched.length = 0;
  }

  markAccessed(block: number, time: number): void {
    this.access[block] = time;
  }

  /** Whether a lookup may count this content as computed. */
  isComputed(content: number): boolean {
    const block = this.byContent.get(content);
    if (block === undefined) return false;
    return this.refs[block]! > 0 ? this.computed[block] === 1 : true;
  }

  hasContent(content: number): boolean {
    return this.byContent.has(content);
  }

  /** Whether this content is cached and nobody holds it. */
  isIdle(content: number): boolean {
    const block = this.byContent.get(content);
    return block !== undefined && this.refs[block] === 0;
  }

  /** Drops every cached content; only when no block is held. */
  reset(): boolean {
    if (this.held > 0) return false;
    for (let block = this.evictor.evict(); block >= 0; block = this.evictor.evict()) {
      this.forget(block);
      this.stack[this.stacked++] = block;
    }
    this.touched.length = 0;
    return true;
  }

  private forget(block: number): void {
    this.byContent.delete(this.content[block]!);
    this.content[block] = noContent;
    this.fill[block] = 0;
    this.computed[block] = 0;
    this.access[block] = neverAccessed;
  }
}
