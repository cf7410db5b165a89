// A block of offloaded KV in host memory, and the intrusive list that keeps blocks in the order of their use. The list knows
// neither policy nor capacity; a block is in at most one list at a time.

/** `refs` counts loads that read the block; -1 while the store that fills it has not finished. */
export interface HostBlock {
  readonly key: number;
  refs: number;
  /** Index of the host buffer, -1 for a ghost (a key remembered after its eviction). */
  slot: number;
  list: BlockList | null;
  previous: HostBlock | null;
  next: HostBlock | null;
}

export function createHostBlock(key: number, slot: number): HostBlock {
  return { key, refs: -1, slot, list: null, previous: null, next: null };
}

/** Oldest first. */
export class BlockList {
  size = 0;
  oldest: HostBlock | null = null;
  private newest: HostBlock | null = null;

  append(block: HostBlock): void {
    block.list = this;
    block.previous = this.newest;
    block.next = null;
    if (this.newest === null) this.oldest = block;
    else this.newest.next = block;
    this.newest = block;
    this.size++;
  }

  remove(block: HostBlock): void {
    if (block.previous === null) this.oldest = block.next;
    else block.previous.next = block.next;
    if (block.next === null) this.newest = block.previous;
    else block.next.previous = block.previous;
    block.list = null;
    block.previous = null;
    block.next = null;
    this.size--;
  }

  renew(block: HostBlock): void {
    if (block === this.newest) return;
    this.remove(block);
    this.append(block);
  }
}
