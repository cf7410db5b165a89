// A queue open at both ends, in one array with a moving head: whatever its length, both ends cost the same. It knows nothing of what
// it holds.

export class Deque<T> {
  private items: (T | undefined)[] = [];
  private head = 0;

  get length(): number {
    return this.items.length - this.head;
  }

  first(): T | undefined {
    return this.items[this.head];
  }

  last(): T | undefined {
    return this.length > 0 ? this.items[this.items.length - 1] : undefined;
  }

  push(item: T): void {
    this.items.push(item);
  }

  unshift(item: T): void {
    if (this.head === 0) {
      const room = 16 + (this.length >> 1);
      this.items = [...new Array<undefined>(room), ...this.items];
      this.head = room;
    }
    this.items[--this.head] = item;
  }

  shift(): T | undefined {
    if (this.length === 0) return undefined;
    const item = this.items[this.head];
    this.items[this.head++] = undefined;
    if (this.head > 32 && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }

  pop(): T | undefined {
    return this.length > 0 ? this.items.pop() : undefined;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = this.head; i < this.items.length; i++) yield this.items[i]!;
  }

  sort(compare: (a: T, b: T) => number): void {
    this.items = this.items.slice(this.head).sort((a, b) => compare(a!, b!));
    this.head = 0;
  }

  remove(item: T): boolean {
    const at = this.items.indexOf(item, this.head);
    if (at < 0) return false;
    this.items.splice(at, 1);
    return true;
  }
}
