// The free places of mapped pages: of every page its free blocks, first in first out, and the pages that hold something and have room.
// Which of these a block comes from: kvcached's _pick_avail_page (kv_cache_manager.py, e8e6406), or, before its #390, the one touched
// last. What pages hold is not known here.

export class PageHoles {
  /** Free blocks by page. */
  readonly count: Int32Array;
  private readonly first: Int32Array;
  private readonly last: Int32Array;
  /** The chain of each page's free blocks. */
  private readonly next: Int32Array;
  /** Pages that hold something and have holes, and the place of each in that list; -1: not in it. */
  private readonly open: number[] = [];
  private readonly place: Int32Array;
  /** When blocks of each page were last taken or came back. */
  private readonly touched: Float64Array;

  constructor(
    pages: number,
    blocks: number,
    private readonly clock: { now: number },
  ) {
    this.count = new Int32Array(pages);
    this.first = new Int32Array(pages).fill(-1);
    this.last = new Int32Array(pages).fill(-1);
    this.next = new Int32Array(blocks).fill(-1);
    this.place = new Int32Array(pages).fill(-1);
    this.touched = new Float64Array(pages);
  }

  /** Some page holds something and has room. */
  get anyOpen(): boolean {
    return this.open.length > 0;
  }

  add(page: number, block: number): void {
    this.next[block] = -1;
    if (this.count[page]!++ === 0) this.first[page] = block;
    else this.next[this.last[page] as number] = block;
    this.last[page] = block;
  }

  /** All blocks of a page are free, from `first` on: handed out in order again. */
  renew(page: number, first: number): void {
    const last = first + (this.count[page] as number) - 1;
    this.first[page] = first;
    this.last[page] = last;
    for (let block = first; block < last; block++) this.next[block] = block + 1;
    this.next[last] = -1;
  }

  take(page: number): number {
    const block = this.first[page] as number;
    this.first[page] = this.next[block] as number;
    this.count[page]!--;
    return block;
  }

  /** A page that holds something was touched: it is open as long as it has room. */
  settle(page: number): void {
    this.touched[page] = ++this.clock.now;
    if (this.count[page] === 0) this.close(page);
    else if ((this.place[page] as number) < 0) {
      this.place[page] = this.open.length;
      this.open.push(page);
    }
  }

  close(page: number): void {
    const place = this.place[page] as number;
    if (place < 0) return;
    const last = this.open.pop() as number;
    if (last !== page) {
      this.open[place] = last;
      this.place[last] = place;
    }
    this.place[page] = -1;
  }

  /** The fullest open page that holds the whole run, or else the emptiest; of equal ones the one touched longest ago. */
  bestFit(need: number): number {
    let page = -1;
    let fits = Number.MAX_SAFE_INTEGER;
    let largest = 0;
    let widest = -1;
    for (const one of this.open) {
      const room = this.count[one] as number;
      if (room >= need) {
        if (room > fits || (room === fits && !this.isOlder(one, page))) continue;
        fits = room;
        page = one;
      } else if (room > largest || (room === largest && this.isOlder(one, widest))) {
        largest = room;
        widest = one;
      }
    }
    return page < 0 ? widest : page;
  }

  lastTouched(): number {
    return this.open.reduce((last, page) => (this.isOlder(last, page) ? page : last));
  }

  private isOlder(page: number, other: number): boolean {
    return (this.touched[page] as number) < (this.touched[other] as number);
  }
}
