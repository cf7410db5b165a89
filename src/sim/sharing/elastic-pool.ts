// A block pool over pages that come and go: the virtual address space of one model's KV cache, of which some pages are mapped. Blocks
// of a page that is not mapped cannot be handed out; a page without a block in use or cached is empty and may be unmapped. Which page
// a block comes from, and which cached blocks go first, follows kvcached (kv_cache_manager.py _pick_avail_page, integration/vllm/
// patches.py, e8e6406). When pages are mapped is the policy's (PageSupply). With pages of one block this is a pool of single blocks.
import { assert } from '../../assert.ts';
import { Deque } from '../deque.ts';
import { BlockPool, type FreeOrder } from '../paged/block-pool.ts';
import { PageHoles } from './page-holes.ts';

/** What decides about pages. */
export interface PageSupply {
  /** Pages that could be mapped now, beside those that are. */
  mappable(): number;
  /** A block is wanted and no mapped page has one: maps a page (addPage) if it can. */
  demand(): boolean;
  /** A page has become empty: true to keep it mapped. */
  keeps(): boolean;
  /** An empty page that was mapped has been taken. */
  opened(): void;
  /** More is wanted than could be mapped now: cached blocks go instead. */
  lacks(): void;
  /** An empty page has been unmapped. */
  unmapped(): void;
  /** More pages may come, now or later, if others give some back. */
  readonly mayGrow: boolean;
}

export interface ElasticOptions {
  /** First block of each page and, at the end, the number of blocks. */
  layout: Int32Array;
  caching: boolean;
  /** Cached blocks that nobody holds, at most. */
  maxCached: number;
  /** Which go above that: the least recently used, or those that empty whole pages first. */
  eviction: 'lru' | 'whole-page';
  /** A page for a run of blocks: the fullest that holds it all, or else the emptiest; or the page that was touched last. */
  allocation: 'best-fit' | 'last-touched';
  /** Cached blocks that have to go for a run of blocks: all of them before it is taken, or one by one when nothing else is left. */
  evicts: 'ahead' | 'last';
}

export class ElasticPool extends BlockPool {
  readonly pages: number;
  mappedPages = 0;
  /** Mapped pages without a block in use: empty ones, and those that hold cached blocks alone. */
  idlePages = 0;
  /** Mapped pages in which no block lies whole: taken once, they hold nothing and are never given back (kvcached's full_pages). */
  private readonly parked: number[] = [];
  private held = 0;
  private readonly pageOf: Int32Array;
  private readonly isMapped: Uint8Array;
  private readonly inUse: Int32Array;
  private readonly cachedIn: Int32Array;
  /** Free blocks without content. */
  private readonly holes: PageHoles;
  private readonly empty = new Deque<number>();
  private readonly unmappedPages = new Deque<number>();
  /** Pages in which blocks became free and that are not settled yet, in order, each once. */
  private readonly touched: number[] = [];
  private readonly isTouched: Uint8Array;
  /** Blocks of the run being taken that are still to come, and the page they come from. */
  private expected = 0;
  private current = -1;
  /** When a block of each page was last given back with content, counted in such events. */
  private readonly lastCached: Float64Array;
  /** When each cached block was given back. */
  private readonly stamp: Float64Array;
  /** Blocks of a page; 0 where pages differ. */
  readonly perPage: number;
  /** Blocks of the pages that are mapped next, as last asked for. */
  private readonly nextPages = { pages: -1, blocks: 0 };
  private isGivenUp = false;
  private isKept = false;
  private supply: PageSupply | undefined;

  constructor(
    private readonly options: ElasticOptions,
    /** Counts the events of all pools, so that they can be put in order. */
    private readonly clock: { now: number },
  ) {
    const { layout, caching } = options;
    super(layout[layout.length - 1] as number, caching);
    this.pages = layout.length - 1;
    this.pageOf = new Int32Array(this.numBlocks);
    this.isMapped = new Uint8Array(this.pages);
    this.inUse = new Int32Array(this.pages);
    this.cachedIn = new Int32Array(this.pages);
    this.holes = new PageHoles(this.pages, this.numBlocks, clock);
    this.isTouched = new Uint8Array(this.pages);
    this.lastCached = new Float64Array(this.pages);
    this.stamp = new Float64Array(this.numBlocks);
    let least = Number.MAX_SAFE_INTEGER;
    let most = 0;
    for (let page = 0; page < this.pages; page++) {
      const from = layout[page] as number;
      const to = layout[page + 1] as number;
      for (let block = from; block < to; block++) {
        this.pageOf[block] = page;
        if (block > 0) this.holes.add(page, block);
      }
      if (to - from < least) least = to - from;
      if (to - from > most) most = to - from;
      this.unmappedPages.push(page);
    }
    this.perPage = least === most ? least : 0;
    // The list of the base holds cached blocks alone here, the least recently used first.
    this.next[0] = 0;
    this.prev[0] = 0;
    this.free = 0;
  }

  /** The supply has added the first page (and more, if it wants): it holds the null block and is never given back. */
  begin(supply: PageSupply): void {
    this.supply = supply;
    const page = this.empty.shift() as number;
    assert(page === 0, 'the null block lies in the first page');
    this.inUse[0] = 1;
    this.idlePages--;
    this.holes.settle(0);
  }

  override get used(): number {
    return this.held;
  }

  override get available(): number {
    const pages = Math.min(this.supply?.mappable() ?? 0, this.unmappedPages.length);
    return this.free + (this.perPage > 0 ? pages * this.perPage : this.inNext(pages));
  }

  override get mayGrow(): boolean {
    return this.supply?.mayGrow === true;
  }

  get emptyPages(): number {
    return this.empty.length;
  }

  get pagesLeft(): number {
    return this.unmappedPages.length;
  }

  /** When the least recently used cached block was given back; Infinity without one. */
  get oldestCached(): number {
    const block = this.next[0] as number;
    return block === 0 ? Number.POSITIVE_INFINITY : (this.stamp[block] as number);
  }

  /** One page more, empty. The supply has paid for it. */
  addPage(): void {
    const page = this.unmappedPages.shift() as number;
    assert(page !== undefined, 'every page is mapped');
    this.nextPages.pages = -1;
    this.isMapped[page] = 1;
    this.mappedPages++;
    this.idlePages++;
    this.free += this.holes.count[page] as number;
    this.empty.push(page);
  }

  override expect(blocks: number): void {
    this.expected = blocks;
    this.current = -1;
    if (this.options.evicts !== 'ahead') return;
    const lack = blocks - (this.available - this.cachedFree);
    if (lack <= 0 || this.cachedFree === 0) return;
    if ((this.supply?.mappable() ?? 0) < this.unmappedPages.length) this.supply?.lacks();
    // Another page may hold a block less than the one given up for it: where pages differ, none is given up.
    this.isKept = this.perPage === 0;
    this.dropOld(Math.min(lack, this.cachedFree));
    this.settleTouched();
    this.isKept = false;
  }

  override take(): number {
    let page = this.current;
    if (page < 0 || this.expected <= 0 || this.holes.count[page] === 0) page = this.pick();
    this.expected--;
    const block = page < 0 ? this.evictOldest() : this.holes.take(page);
    this.free--;
    this.held++;
    if (this.inUse[this.pageOf[block] as number]!++ === 0) this.idlePages--;
    if (page >= 0) this.holes.settle(page);
    this.hold(block, 0);
    this.events?.taken(block);
    return block;
  }

  override touch(block: number): void {
    if (block === 0) return;
    const refs = this.refs[block] as number;
    if (refs === 0) {
      const page = this.pageOf[block] as number;
      this.unlink(block);
      this.cachedIn[page]!--;
      this.cachedFree--;
      this.free--;
      this.held++;
      if (this.inUse[page]!++ === 0) this.idlePages--;
      this.events?.taken(block);
    }
    this.hold(block, refs);
  }

  override release(blocks: Int32Array, last: number, count: number, _order: FreeOrder): void {
    for (let i = last; i > last - count; i--) {
      const block = blocks[i] as number;
      if (block === 0 || this.letGo(block) > 0) continue;
      const page = this.pageOf[block] as number;
      this.held--;
      this.free++;
      if (--this.inUse[page]! === 0) this.idlePages++;
      this.events?.freed(block);
      if (this.hasKey(block)) {
        this.append(block);
        this.cachedIn[page]!++;
        this.cachedFree++;
        this.lastCached[page] = this.stamp[block] as number;
      } else {
        this.addHole(page, block);
      }
    }
    this.settleTouched();
    if (this.cachedFree > this.options.maxCached) this.dropCached(this.cachedFree - this.options.maxCached);
  }

  /** Gives up cached blocks, so many at least if there are; pages that get empty go the way of empty pages. */
  dropCached(count: number): void {
    let left = Math.min(count, this.cachedFree);
    if (this.options.eviction === 'whole-page') {
      for (const page of this.idleByCost()) {
        const cost = this.cachedIn[page] as number;
        if (cost > left) break;
        this.dropPageContent(page);
        left -= cost;
      }
    }
    this.dropOld(left);
    this.settleTouched();
  }

  /** The least recently used cached block goes; false when there is none. */
  dropOldest(): boolean {
    const block = this.next[0] as number;
    if (block === 0) return false;
    this.drop(block);
    this.settleTouched();
    return true;
  }

  /**
   * Unmaps one page that holds no block in use: an empty one, or else the one whose content is the least (and the oldest), which is
   * given up. False when every page has a block in use.
   */
  giveUpPage(): boolean {
    if (this.idlePages === 0) return false;
    if (this.empty.length > 0) this.unmap(this.empty.shift() as number);
    else {
      this.isGivenUp = true;
      this.dropPageContent(this.idleByCost()[0] as number);
      this.settleTouched();
      this.isGivenUp = false;
    }
    return true;
  }

  get parkedPages(): number {
    return this.parked.length;
  }

  /** Gives up everything cached and unmaps every page but the null block's. Only without a block in use. */
  clear(): void {
    assert(this.held === 0, 'a pool in use is not cleared');
    while (this.dropOldest());
    this.idlePages += this.parked.length;
    for (const page of this.parked.splice(0)) this.unmap(page);
    while (this.empty.length > 0) this.unmap(this.empty.shift() as number);
  }

  override reset(): boolean {
    if (this.held > 0) return false;
    while (this.dropOldest());
    return true;
  }

  override freeOrder(): number[] {
    const order: number[] = [];
    for (let block = 1; block < this.numBlocks; block++)
      if (this.isMapped[this.pageOf[block] as number] === 1 && this.refs[block] === 0) order.push(block);
    return order;
  }

  override isThere(block: number): boolean {
    return this.isMapped[this.pageOf[block] as number] === 1;
  }

  /** Page of a block, and whether it is mapped (for laws and views). */
  page(block: number): { page: number; mapped: boolean } {
    const page = this.pageOf[block] as number;
    return { page, mapped: this.isMapped[page] === 1 };
  }

  /** Counted anew from the blocks: what the counters have to say (for laws). */
  recount(): { used: number; cached: number; mapped: number; empty: number } {
    const counted = { used: 0, cached: 0, mapped: 0, empty: 0 };
    const holds = new Uint8Array(this.pages);
    holds[0] = 1;
    for (let block = 1; block < this.numBlocks; block++) {
      const isUsed = (this.refs[block] as number) > 0;
      const isCached = !isUsed && this.hasKey(block);
      if (isUsed) counted.used++;
      if (isCached) counted.cached++;
      if (isUsed || isCached) holds[this.pageOf[block] as number] = 1;
    }
    for (let page = 0; page < this.pages; page++) {
      if (this.isMapped[page] === 1) counted.mapped++;
      if (this.isMapped[page] === 1 && holds[page] === 0) counted.empty++;
    }
    counted.empty -= this.parked.length;
    return counted;
  }

  /** Pages with cached blocks alone: the least content first, among equals the one used longest ago. */
  private idleByCost(): number[] {
    const idle: number[] = [];
    for (let page = 0; page < this.pages; page++)
      if (this.inUse[page] === 0 && (this.cachedIn[page] as number) > 0) idle.push(page);
    return idle.sort(
      (a, b) =>
        (this.cachedIn[a] as number) - (this.cachedIn[b] as number) ||
        (this.lastCached[a] as number) - (this.lastCached[b] as number),
    );
  }

  private inNext(pages: number): number {
    const { nextPages } = this;
    if (nextPages.pages === pages) return nextPages.blocks;
    nextPages.pages = pages;
    nextPages.blocks = 0;
    let left = pages;
    for (const page of this.unmappedPages) {
      if (left-- <= 0) break;
      nextPages.blocks += this.holes.count[page] as number;
    }
    return nextPages.blocks;
  }

  private pick(): number {
    const { holes, options } = this;
    let page = -1;
    if (holes.anyOpen)
      page = options.allocation === 'last-touched' ? holes.lastTouched() : holes.bestFit(Math.max(1, this.expected));
    else page = this.openPage();
    this.current = page;
    return page;
  }

  private openPage(): number {
    while (this.empty.length > 0 || this.supply?.demand()) {
      const page = this.empty.shift() as number;
      this.supply?.opened();
      if ((this.holes.count[page] as number) > 0) return page;
      this.parked.push(page);
      this.idlePages--;
    }
    return -1;
  }

  private evictOldest(): number {
    const block = this.next[0] as number;
    assert(block !== 0, 'no free block left');
    this.evict(block);
    return block;
  }

  private drop(block: number): void {
    const page = this.pageOf[block] as number;
    this.evict(block);
    this.addHole(page, block);
  }

  private dropOld(count: number): void {
    for (let left = count; left > 0; left--) this.drop(this.next[0] as number);
  }

  private evict(block: number): void {
    this.unlink(block);
    this.cachedIn[this.pageOf[block] as number]!--;
    this.cachedFree--;
    this.evictions++;
    this.forget(block);
    this.events?.evicted(block);
  }

  private dropPageContent(page: number): void {
    const { layout } = this.options;
    for (let block = layout[page] as number; block < (layout[page + 1] as number); block++)
      if (block > 0 && this.refs[block] === 0 && this.hasKey(block)) this.drop(block);
  }

  private addHole(page: number, block: number): void {
    this.holes.add(page, block);
    if (this.isTouched[page] === 1) return;
    this.isTouched[page] = 1;
    this.touched.push(page);
  }

  /** What came free at once is looked at page by page: those with content are open, then the empty ones are kept or go. */
  private settleTouched(): void {
    const { touched } = this;
    for (let i = 0; i < touched.length; i++) {
      const page = touched[i] as number;
      this.isTouched[page] = 0;
      this.settle(page);
    }
    touched.length = 0;
  }

  private unmap(page: number): void {
    this.isMapped[page] = 0;
    this.mappedPages--;
    this.idlePages--;
    this.free -= this.holes.count[page] as number;
    this.unmappedPages.push(page);
    this.nextPages.pages = -1;
    this.supply?.unmapped();
  }

  /** After blocks became holes: the page joins the open ones, or is empty, and its blocks are handed out in order again. */
  private settle(page: number): void {
    if ((this.inUse[page] as number) + (this.cachedIn[page] as number) > 0) {
      this.holes.settle(page);
      return;
    }
    this.holes.close(page);
    this.holes.renew(page, this.options.layout[page] as number);
    if (page === this.current) this.current = -1;
    if (this.isKept || (!this.isGivenUp && this.supply?.keeps())) this.empty.push(page);
    else this.unmap(page);
  }

  private append(block: number): void {
    const before = this.prev[0] as number;
    this.next[before] = block;
    this.prev[block] = before;
    this.next[block] = 0;
    this.prev[0] = block;
    this.stamp[block] = ++this.clock.now;
  }
}
