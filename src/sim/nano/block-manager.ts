// The block manager of nano-vllm (nanovllm/engine/block_manager.py, GeeeekExplorer/nano-vllm bb823b3). It differs from vLLM's: no
// null block; the last block of a sequence is never looked up; a key names one block, the latest; a key is only forgotten when the
// block it names is handed out; blocks get their keys after the forward pass. Equal 64-bit keys stand for equal tokens (there: a
// hash, then the tokens are compared).
import { assert } from '../../assert.ts';
import { createLinks, IdList } from '../cache/id-list.ts';
import type { BlockKeys } from '../paged/block-keys.ts';
import { KeyIndex } from './key-index.ts';

/** What the manager needs to know of a sequence. */
export interface NanoSequenceBlocks {
  readonly keys: BlockKeys;
  /** Known tokens: prompt and generated. */
  tokens: number;
  /** Tokens whose KV is in the cache, and tokens of the step being computed. */
  cached: number;
  scheduled: number;
  readonly table: number[];
}

export class NanoBlockManager {
  /** Sequences that hold each block. */
  readonly refs: Int32Array;
  evictions = 0;
  /** Blocks held by more than one sequence, and entries of all block tables. */
  shared = 0;
  references = 0;
  /** Free blocks that a lookup can still find. */
  cachedFree = 0;
  private readonly freeBlocks: IdList;
  private readonly index: KeyIndex;
  /** The sequence that found no room last, and the key that would have to be cached for it to need less. */
  private refused: NanoSequenceBlocks | undefined;
  private missingLo = 0;
  private missingHi = 0;

  constructor(
    readonly numBlocks: number,
    readonly blockSize: number,
  ) {
    // A new block is taken when the length leaves remainder 1: with blocks of one token that never happens.
    assert(blockSize >= 2, 'nano-vllm cannot use blocks of one token');
    this.refs = new Int32Array(numBlocks);
    this.index = new KeyIndex(numBlocks);
    this.freeBlocks = new IdList(createLinks(numBlocks));
    for (let block = 0; block < numBlocks; block++) this.freeBlocks.append(block);
  }

  get free(): number {
    return this.freeBlocks.size;
  }

  get used(): number {
    return this.numBlocks - this.freeBlocks.size;
  }

  /** Leading blocks of a sequence that are cached, all but its last considered; -1 when the rest finds no room. No side effect. */
  cachedBlocks(sequence: NanoSequenceBlocks): number {
    if (sequence === this.refused) return -1;
    const blocks = this.blocksOf(sequence.tokens);
    let hits = 0;
    let needed = blocks;
    const lookups = Math.min(blocks - 1, sequence.keys.extend(sequence.tokens));
    while (hits < lookups) {
      const block = this.find(sequence.keys, hits);
      if (block < 0) break;
      if (this.refs[block]! > 0) needed--;
      hits++;
    }
    if (needed <= this.freeBlocks.size) return hits;
    // Until a block is given back or the first missing one is cached, nothing can change that: blocks are only taken.
    this.refused = sequence;
    this.missingLo = sequence.keys.lo[hits] ?? 0;
    this.missingHi = sequence.keys.hi[hits] ?? 0;
    return -1;
  }

  /** Takes the blocks of all known tokens, the first `hits` from the cache: those that are free leave the middle of the queue. */
  allocate(sequence: NanoSequenceBlocks, hits: number): void {
    assert(sequence.table.length === 0, 'law N1: a sequence is admitted once');
    for (let i = 0; i < hits; i++) {
      const block = this.find(sequence.keys, i);
      assert(block >= 0, 'a hit is found again');
      if (this.refs[block] === 0) {
        this.freeBlocks.remove(block);
        this.cachedFree--;
      }
      this.hold(block);
      sequence.table.push(block);
    }
    const blocks = this.blocksOf(sequence.tokens);
    while (sequence.table.length < blocks) sequence.table.push(this.take());
    sequence.cached = hits * this.blockSize;
  }

  /** Whether the sequence can compute its last token: one that starts a block needs a free one. */
  canAppend(sequence: NanoSequenceBlocks): boolean {
    return this.freeBlocks.size > 0 || sequence.tokens % this.blockSize !== 1;
  }

  append(sequence: NanoSequenceBlocks): void {
    if (sequence.tokens % this.blockSize === 1) sequence.table.push(this.take());
    assert(
      sequence.table.length === this.blocksOf(sequence.tokens),
      'law N2: blocks held = blocks of the known tokens',
    );
  }

  /** Gives everything back, last block first; blocks that nobody holds any more go to the end of the queue. */
  release(sequence: NanoSequenceBlocks): void {
    this.refused = undefined;
    for (let i = sequence.table.length - 1; i >= 0; i--) {
      const block = sequence.table[i]!;
      const refs = --this.refs[block]!;
      assert(refs >= 0, 'law N3: no block is given back more often than it was taken');
      this.references--;
      if (refs === 1) this.shared--;
      if (refs > 0) continue;
      this.freeBlocks.append(block);
      if (this.index.names(block)) this.cachedFree++;
    }
    sequence.table.length = 0;
    sequence.cached = 0;
  }

  /** After the forward pass: blocks that the step has filled become findable, replacing what their key named. */
  nameFilledBlocks(sequence: NanoSequenceBlocks): void {
    const { keys, cached, scheduled, table } = sequence;
    const from = Math.floor(cached / this.blockSize);
    const to = Math.floor((cached + scheduled) / this.blockSize);
    if (from === to) return;
    keys.extend(cached + scheduled);
    for (let i = from; i < to; i++) {
      const block = table[i]!;
      const [lo, hi] = [keys.lo[i]!, keys.hi[i]!];
      const before = this.index.set(lo, hi, block);
      if (before >= 0 && before !== block && this.refs[before] === 0) this.cachedFree--;
      if (lo === this.missingLo && hi === this.missingHi) this.refused = undefined;
    }
  }

  blocksOf(tokens: number): number {
    return Math.ceil(tokens / this.blockSize);
  }

  /** The queue of free blocks, next victim first. */
  freeOrder(): number[] {
    return this.freeBlocks.toArray();
  }

  /** Recounts everything: free + held = all, holders = references. For tests; linear in the pool. */
  check(tables: Iterable<readonly number[]>): void {
    const holders = new Int32Array(this.numBlocks);
    for (const table of tables) for (const block of table) holders[block]!++;
    let held = 0;
    let named = 0;
    for (let block = 0; block < this.numBlocks; block++) {
      assert(holders[block] === this.refs[block], 'law N4: reference counts equal holders');
      if (holders[block]! > 0) held++;
      else if (this.index.names(block)) named++;
    }
    assert(held + this.freeBlocks.size === this.numBlocks, 'law N5: held + free = all');
    assert(named === this.cachedFree, 'law N6: cached blocks are the free ones that a key names');
    assert(new Set(this.freeOrder()).size === this.freeBlocks.size, 'law N7: no block is free twice');
  }

  private take(): number {
    const block = this.freeBlocks.shift();
    assert(block >= 0 && this.refs[block] === 0, 'a free block is held by nobody');
    if (this.index.names(block)) {
      this.index.delete(block);
      this.evictions++;
      this.cachedFree--;
    }
    this.hold(block);
    return block;
  }

  private hold(block: number): void {
    const refs = ++this.refs[block]!;
    if (refs === 2) this.shared++;
    this.references++;
  }

  private find(keys: BlockKeys, index: number): number {
    return this.index.find(keys.lo[index]!, keys.hi[index]!);
  }
}
