// Least frequently used first, and among equals the one whose last use is oldest. The count of a block starts again when it comes
// back after an eviction. One list per count: a block enters the list of its count at the moment of its last use, so every list is
// in order of last use and each operation takes constant time (finding the lowest count: amortized).
import { createLinks, IdList, type Links } from './id-list.ts';
import type { EvictionOrder } from './order.ts';

export class LfuOrder implements EvictionOrder {
  size = 0;
  private readonly links: Links;
  private readonly uses: Int32Array;
  private readonly byUses: IdList[];
  private lowest = 1;

  constructor(ids: number) {
    this.links = createLinks(ids);
    this.uses = new Int32Array(ids);
    this.byUses = [new IdList(this.links), new IdList(this.links)];
  }

  insert(id: number): void {
    this.uses[id] = 1;
    this.lowest = 1;
    this.byUses[1]!.append(id);
    this.size++;
  }

  touch(id: number): void {
    const uses = this.uses[id]!;
    this.byUses[uses]!.remove(id);
    this.uses[id] = uses + 1;
    if (uses + 1 === this.byUses.length) this.byUses.push(new IdList(this.links));
    this.byUses[uses + 1]!.append(id);
  }

  evict(_incoming: number): number {
    if (this.size === 0) return -1;
    while (this.byUses[this.lowest]!.size === 0) this.lowest++;
    this.size--;
    return this.byUses[this.lowest]!.shift();
  }

  remove(id: number): void {
    this.byUses[this.uses[id]!]!.remove(id);
    this.size--;
  }
}
