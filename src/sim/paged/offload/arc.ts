// Adaptive replacement: blocks used once (recent) and more often (frequent), and ghosts of what was evicted from either, whose
// return moves the share that the recent ones may keep. Law: vllm/v1/kv_offload/cpu/policies/arc.py.

import type { HostEviction } from './eviction.ts';
import { BlockList, createHostBlock, type HostBlock } from './host-block.ts';

/** What is evicted when the frequent list has no idle block: nothing (the eviction fails), or an idle recent one. */
export type ArcFallback = 'none' | 'recent';

export class ArcEviction implements HostEviction {
  private readonly blocks = new Map<number, HostBlock>();
  private readonly recent = new BlockList();
  private readonly frequent = new BlockList();
  private readonly recentGhosts = new BlockList();
  private readonly frequentGhosts = new BlockList();
  private readonly capacity: number;
  private readonly fallback: ArcFallback;
  /** Blocks the recent list should keep; not whole, as ghosts move it by ratios. */
  private recentTarget = 0;

  constructor(capacity: number, fallback: ArcFallback) {
    this.capacity = capacity;
    this.fallback = fallback;
  }

  get size(): number {
    return this.recent.size + this.frequent.size;
  }

  find(key: number): HostBlock | undefined {
    const block = this.blocks.get(key);
    return block !== undefined && block.slot >= 0 ? block : undefined;
  }

  insert(block: HostBlock): void {
    const ghost = this.blocks.get(block.key);
    ghost?.list?.remove(ghost);
    this.blocks.set(block.key, block);
    this.recent.append(block);
  }

  touch(keys: readonly number[], end: number): void {
    for (let i = end - 1; i >= 0; i--) {
      const block = this.blocks.get(keys[i] as number);
      if (block !== undefined) this.use(block);
    }
  }

  evict(count: number, isProtected: (key: number) => boolean): HostBlock[] | null {
    const idle = (block: HostBlock) => block.refs === 0 && !isProtected(block.key);
    const victims: HostBlock[] = [];
    let recentSize = this.recent.size;
    let recent = this.recent.oldest;
    let frequent = this.frequent.oldest;
    while (victims.length < count) {
      let victim: HostBlock | null = null;
      if (recentSize >= Math.floor(this.recentTarget)) victim = recent = firstFrom(recent, idle);
      if (victim === null) {
        victim = frequent = firstFrom(frequent, idle);
        if (victim !== null) frequent = victim.next;
        else if (this.fallback === 'recent') victim = recent = firstFrom(recent, idle);
        if (victim === null) return null;
      }
      if (victim.list === this.recent) {
        recent = victim.next;
        recentSize--;
      }
      victims.push(victim);
    }
    for (const victim of victims) this.leaveGhost(victim);
    this.trimGhosts();
    return victims;
  }

  released(): void {}

  pinned(): void {}

  private use(block: HostBlock): void {
    const { recent, frequent, recentGhosts, frequentGhosts } = this;
    if (block.list === recent) {
      // A block whose store runs was not used twice: it stays recent.
      if (block.refs < 0) recent.renew(block);
      else {
        recent.remove(block);
        frequent.append(block);
      }
    } else if (block.list === recentGhosts) {
      const step = Math.max(1, frequentGhosts.size / recentGhosts.size);
      this.recentTarget = Math.min(this.recentTarget + step, this.capacity);
      recentGhosts.renew(block);
    } else if (block.list === frequentGhosts) {
      const step = Math.max(1, recentGhosts.size / frequentGhosts.size);
      this.recentTarget = Math.max(this.recentTarget - step, 0);
      frequentGhosts.renew(block);
    } else frequent.renew(block);
  }

  private leaveGhost(victim: HostBlock): void {
    const ghosts = victim.list === this.recent ? this.recentGhosts : this.frequentGhosts;
    victim.list?.remove(victim);
    const ghost = createHostBlock(victim.key, -1);
    this.blocks.set(victim.key, ghost);
    ghosts.append(ghost);
  }

  private trimGhosts(): void {
    for (const ghosts of [this.recentGhosts, this.frequentGhosts]) {
      while (ghosts.size > this.capacity && ghosts.oldest !== null) {
        this.blocks.delete(ghosts.oldest.key);
        ghosts.remove(ghosts.oldest);
      }
    }
  }
}

function firstFrom(start: HostBlock | null, accepts: (block: HostBlock) => boolean): HostBlock | null {
  let block = start;
  while (block !== null && !accepts(block)) block = block.next;
  return block;
}
