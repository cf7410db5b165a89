// Least recently used by requests: the blocks of one request share a rank from its first use of the cache on, later tokens being
// older than earlier ones; when it has ended they become the newest, in that order. A transfer does not change the order.
// Law: vllm/v1/kv_offload/cpu/policies/lru.py from 0.33.
import { heapPop, heapPush } from '../../heap.ts';
import type { HostEviction, RequestUse, UseRank } from './eviction.ts';
import type { HostBlock } from './host-block.ts';

interface Entry {
  readonly block: HostBlock;
  readonly rank: number;
  readonly order: number;
}

interface Place {
  rank: number;
  order: number;
}

export class RankedLruEviction implements HostEviction {
  private readonly blocks = new Map<number, HostBlock>();
  private readonly places = new Map<HostBlock, Place>();
  /** A binary heap of idle blocks, oldest first; entries whose block has moved or is in use are passed over. */
  private heap: Entry[] = [];
  private lastRank = 0;

  get size(): number {
    return this.blocks.size;
  }

  find(key: number): HostBlock | undefined {
    return this.blocks.get(key);
  }

  insert(block: HostBlock): void {
    this.blocks.set(block.key, block);
    this.places.set(block, { rank: 0, order: 0 });
  }

  touch(): void {}

  missed(): void {}

  used(keys: readonly number[], positions: readonly number[], owner: UseRank): void {
    if (owner.rank === 0) owner.rank = ++this.lastRank;
    keys.forEach((key, i) => {
      const block = this.blocks.get(key);
      if (block !== undefined) this.raise(block, owner.rank, -(positions[i] as number));
    });
  }

  requestEnded({ keys }: RequestUse): void {
    for (let i = keys.length - 1; i >= 0; i--) {
      const block = this.blocks.get(keys[i] as number);
      if (block !== undefined) this.raise(block, ++this.lastRank, 0);
    }
  }

  evict(count: number, isProtected: (key: number) => boolean): HostBlock[] | null {
    const victims = new Map<HostBlock, Entry>();
    const spared: Entry[] = [];
    while (victims.size < count && this.heap.length > 0) {
      const entry = heapPop(this.heap, isOlder)!;
      if (!this.isCurrent(entry) || victims.has(entry.block)) continue;
      if (isProtected(entry.block.key)) spared.push(entry);
      else victims.set(entry.block, entry);
    }
    for (const entry of spared) heapPush(this.heap, entry, isOlder);
    if (victims.size < count) {
      for (const entry of victims.values()) heapPush(this.heap, entry, isOlder);
      return null;
    }
    for (const block of victims.keys()) {
      this.blocks.delete(block.key);
      this.places.delete(block);
    }
    return [...victims.keys()];
  }

  released(block: HostBlock): void {
    const { rank, order } = this.places.get(block) as Place;
    heapPush(this.heap, { block, rank, order }, isOlder);
    if (this.heap.length > 2 * this.blocks.size + 64) this.compact();
  }

  pinned(): void {}

  private raise(block: HostBlock, rank: number, order: number): void {
    const place = this.places.get(block) as Place;
    if (place.rank > rank || (place.rank === rank && place.order >= order)) return;
    place.rank = rank;
    place.order = order;
    if (block.refs === 0) this.released(block);
  }

  private isCurrent({ block, rank, order }: Entry): boolean {
    const place = this.places.get(block);
    return block.refs === 0 && place !== undefined && place.rank === rank && place.order === order;
  }

  private compact(): void {
    const current = new Map(this.heap.filter((entry) => this.isCurrent(entry)).map((entry) => [entry.block, entry]));
    this.heap = [...current.values()].sort((a, b) => (isOlder(a, b) ? -1 : 1));
  }
}

function isOlder(a: Entry, b: Entry): boolean {
  return a.rank === b.rank ? a.order < b.order : a.rank < b.rank;
}
