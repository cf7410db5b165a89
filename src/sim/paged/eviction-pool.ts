// A block pool that gives up cached blocks in another order than vLLM's, which is LRU only. Blocks without a key go first, oldest
// free first; then cached ones by policy; pinned prefixes only when nothing else is free, so that no request can wait for ever. Not
// an engine's law but a what-if. Within one request deeper blocks go first, because a request gives its blocks back from the end.
import { assert } from '../../assert.ts';
import { createLinks, IdList } from '../cache/id-list.ts';
import { type AdaptiveMode, ReuseWindow } from '../cache/reuse.ts';
import { BlockHeap } from './block-heap.ts';
import { BlockPool, type FreeOrder, keyNumber } from './block-pool.ts';

/**
 * lru: least recently freed. lfu: fewest hits, then lru. fifo: first freed after it was filled; hits change nothing. slru: blocks
 * with two hits are protected, as in SGLang (evict_policy.py, 008b79d). adaptive: by measured reuse of prompt blocks, see
 * cache/reuse.ts: blocks without a hit first, or fifo, or lru.
 */
export const poolEvictions = ['lru', 'lfu', 'fifo', 'slru', 'adaptive'] as const;
export type PoolEvictionPolicy = (typeof poolEvictions)[number];

export interface PoolEviction {
  policy: PoolEvictionPolicy;
  /** Blocks within the first so many tokens of a request are pinned. */
  pinTokens?: number;
  /** adaptive: prompt blocks over which the reuse is measured; default: the blocks of the pool, at least 1000. */
  reuseWindow?: number;
}

const protectedHits = 2;
/** Values of the heap: a rank, and within it a time below this. */
const timeSpan = 2 ** 33;
const highestRank = 2 ** 19;

export class EvictionPool extends BlockPool {
  private readonly unkeyed: IdList;
  private readonly cached: BlockHeap;
  /** Hits since the block was filled; when it was last freed, and first since it was filled (0: not yet). */
  private readonly hits: Int32Array;
  private readonly freed: Float64Array;
  private readonly firstFreed: Float64Array;
  private readonly pinned: Uint8Array;
  private readonly window: ReuseWindow;
  private mode: AdaptiveMode = 'lru';
  /** Keys of prompt blocks asked for lately, in two generations. */
  private recent = new Set<number>();
  private before = new Set<number>();
  private clock = 0;

  constructor(
    numBlocks: number,
    caching: boolean,
    readonly eviction: PoolEviction,
  ) {
    super(numBlocks, caching);
    this.unkeyed = new IdList(createLinks(numBlocks));
    for (let block = 1; block < numBlocks; block++) this.unkeyed.append(block);
    this.cached = new BlockHeap(numBlocks);
    this.hits = new Int32Array(numBlocks);
    this.freed = new Float64Array(numBlocks);
    this.firstFreed = new Float64Array(numBlocks);
    this.pinned = new Uint8Array(numBlocks);
    this.window = new ReuseWindow(eviction.reuseWindow ?? Math.max(1000, numBlocks));
  }

  override take(): number {
    if (this.unkeyed.size === 0) this.follow(this.window.mode);
    const evicts = this.unkeyed.size === 0;
    assert(!evicts || this.cached.size > 0, 'no free block left');
    const block = evicts ? this.cached.shift() : this.unkeyed.shift();
    this.free--;
    if (evicts) {
      this.cachedFree--;
      this.evictions++;
      super.forget(block);
      this.events?.evicted(block);
    }
    this.hold(block, 0);
    this.events?.taken(block);
    return block;
  }

  override touch(block: number): void {
    if (block === 0) return;
    const refs = this.refs[block]!;
    if (refs === 0) {
      if (this.cached.has(block)) {
        this.cached.remove(block);
        this.cachedFree--;
      } else this.unkeyed.remove(block);
      this.free--;
      this.events?.taken(block);
    }
    this.hits[block]!++;
    this.hold(block, refs);
  }

  override release(blocks: Int32Array, last: number, count: number, _order: FreeOrder): void {
    for (let i = last; i > last - count; i--) {
      const block = blocks[i]!;
      if (block === 0) continue;
      if (this.letGo(block) > 0) continue;
      this.free++;
      if (this.hasKey(block)) {
        this.freed[block] = ++this.clock;
        if (this.firstFreed[block] === 0) this.firstFreed[block] = this.clock;
        this.cached.insert(block, this.value(block));
        this.cachedFree++;
      } else this.unkeyed.append(block);
      this.events?.freed(block);
    }
  }

  override register(block: number, lo: number, hi: number, tokens = Number.POSITIVE_INFINITY): void {
    if (this.hasKey(block)) return;
    super.register(block, lo, hi, tokens);
    this.hits[block] = 0;
    this.firstFreed[block] = 0;
    this.pinned[block] = tokens <= (this.eviction.pinTokens ?? 0) ? 1 : 0;
  }

  override forget(block: number): void {
    if (this.cached.has(block)) {
      this.cached.remove(block);
      this.unkeyed.append(block);
    }
    super.forget(block);
  }

  override reset(): boolean {
    if (!super.reset()) return false;
    for (const block of this.cached.toArray()) {
      this.cached.remove(block);
      this.unkeyed.append(block);
    }
    return true;
  }

  override freeOrder(): number[] {
    return [...this.unkeyed.toArray(), ...this.cached.toArray()];
  }

  /** A request with these prompt blocks has been admitted: what adaptive measures. */
  observePrompt(lo: Int32Array, hi: Int32Array, blocks: number): void {
    if (this.eviction.policy !== 'adaptive') return;
    for (let i = 0; i < blocks; i++) {
      const key = keyNumber(lo[i]!, hi[i]!);
      this.window.observe(this.recent.has(key) || this.before.has(key));
      this.recent.add(key);
      if (this.recent.size < this.window.memory / 2) continue;
      this.before = this.recent;
      this.recent = new Set();
    }
  }

  get measuredReuse(): number {
    return this.window.reuse;
  }

  private follow(mode: AdaptiveMode): void {
    if (this.eviction.policy !== 'adaptive' || mode === this.mode) return;
    this.mode = mode;
    this.cached.revalue((block) => this.value(block));
  }

  private value(block: number): number {
    const rank = this.pinned[block] === 1 ? highestRank : Math.min(this.rank(block), highestRank - 1);
    return rank * timeSpan + (this.inOrderOfEntry ? this.firstFreed[block]! : this.freed[block]!);
  }

  private rank(block: number): number {
    const hits = this.hits[block]!;
    switch (this.eviction.policy) {
      case 'lfu':
        return hits;
      case 'slru':
        return hits >= protectedHits ? 1 : 0;
      case 'adaptive':
        return this.mode === 'keep' && hits > 0 ? 1 : 0;
      default:
        return 0;
    }
  }

  private get inOrderOfEntry(): boolean {
    const { policy } = this.eviction;
    return policy === 'fifo' || (policy === 'adaptive' && this.mode === 'stream');
  }
}
