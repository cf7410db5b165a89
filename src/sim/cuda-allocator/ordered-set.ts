// A set kept in order, with the question C++'s std::set is asked: the first entry not below a key. A sorted array is enough for the
// thousands of blocks that a framework holds.

export class OrderedSet<T> {
  readonly #entries: T[] = [];
  readonly #compare: (a: T, b: T) => number;

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Index of the first entry that is not below what `order` looks for: order(entry) < 0 where the entry lies before it. */
  lowerBound(order: (entry: T) => number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (order(this.#entries[middle]!) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  at(index: number): T | undefined {
    return this.#entries[index];
  }

  add(entry: T): void {
    this.#entries.splice(
      this.lowerBound((other) => this.#compare(other, entry)),
      0,
      entry,
    );
  }

  /** Whether the entry was there. Its key must be what it was when it was added. */
  delete(entry: T): boolean {
    const index = this.lowerBound((other) => this.#compare(other, entry));
    if (this.#entries[index] !== entry) return false;
    this.#entries.splice(index, 1);
    return true;
  }

  values(): readonly T[] {
    return this.#entries;
  }
}
