// Adaptive replacement cache (Megiddo and Modha, FAST'03, figure 4): blocks used once and blocks used again in two lists, whose
// shares follow which of them was cut too short, seen in two lists of ids that were evicted lately. The capacity is the c of the
// paper; blocks pinned elsewhere only mean that eviction starts with fewer inside.
import { createLinks, IdList } from './id-list.ts';
import type { EvictionOrder, OrderOptions } from './order.ts';

const outside = 0;
const once = 1;
const again = 2;
const evictedOnce = 3;
const evictedAgain = 4;

export class ArcOrder implements EvictionOrder {
  private readonly lists: readonly IdList[];
  private readonly place: Uint8Array;
  private readonly capacity: number;
  /** The share of the capacity meant for blocks used once. */
  private target = 0;

  constructor({ ids, capacity }: OrderOptions) {
    const links = createLinks(ids);
    this.lists = Array.from({ length: 5 }, () => new IdList(links));
    this.place = new Uint8Array(ids);
    this.capacity = capacity;
  }

  get size(): number {
    return this.lists[once]!.size + this.lists[again]!.size;
  }

  insert(id: number): void {
    const seen = this.place[id]! >= evictedOnce;
    if (seen) this.lists[this.place[id]!]!.remove(id);
    this.put(id, seen ? again : once);
  }

  touch(id: number): void {
    this.lists[this.place[id]!]!.remove(id);
    this.put(id, again);
  }

  evict(incoming: number): number {
    if (this.size === 0) return -1;
    const place = this.place[incoming]!;
    const [ghosts1, ghosts2] = [this.lists[evictedOnce]!, this.lists[evictedAgain]!];
    if (place === evictedOnce) {
      this.target = Math.min(this.capacity, this.target + Math.max(1, ghosts2.size / ghosts1.size));
      return this.replace(false);
    }
    if (place === evictedAgain) {
      this.target = Math.max(0, this.target - Math.max(1, ghosts1.size / ghosts2.size));
      return this.replace(true);
    }
    const usedOnce = this.lists[once]!;
    if (usedOnce.size + ghosts1.size >= this.capacity) {
      if (ghosts1.size === 0) return this.drop(usedOnce);
      this.drop(ghosts1);
    } else if (this.size + ghosts1.size + ghosts2.size >= 2 * this.capacity && ghosts2.size > 0) {
      this.drop(ghosts2);
    }
    return this.replace(false);
  }

  remove(id: number): void {
    this.lists[this.place[id]!]!.remove(id);
    this.place[id] = outside;
  }

  private replace(incomingWasUsedAgain: boolean): number {
    const [first, second] = [this.lists[once]!, this.lists[again]!];
    const firstGoes = first.size > this.target || (incomingWasUsedAgain && first.size === this.target);
    const fromFirst = first.size > 0 && (firstGoes || second.size === 0);
    const victim = (fromFirst ? first : second).shift();
    this.put(victim, fromFirst ? evictedOnce : evictedAgain);
    return victim;
  }

  private drop(list: IdList): number {
    const id = list.shift();
    this.place[id] = outside;
    return id;
  }

  private put(id: number, place: number): void {
    this.place[id] = place;
    this.lists[place]!.append(id);
  }
}
