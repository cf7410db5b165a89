// The two orders that need one list: first in first out, and least recently used first, which differs in what a use does.
import { createLinks, IdList } from './id-list.ts';
import type { EvictionOrder } from './order.ts';

export class FifoOrder implements EvictionOrder {
  protected readonly list: IdList;

  constructor(ids: number) {
    this.list = new IdList(createLinks(ids));
  }

  get size(): number {
    return this.list.size;
  }

  insert(id: number): void {
    this.list.append(id);
  }

  touch(_id: number): void {}

  evict(_incoming: number): number {
    return this.list.shift();
  }

  remove(id: number): void {
    this.list.remove(id);
  }
}

export class LruOrder extends FifoOrder {
  override touch(id: number): void {
    if (this.list.tail === id) return;
    this.list.remove(id);
    this.list.append(id);
  }
}
