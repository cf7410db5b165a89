// Adaptive replacement: blocks used once (recent) and more often (frequent), and ghosts of what was evicted from either, whose
// return moves the share that the recent ones may keep. Law: vllm/v1/kv_offload/cpu/policies/arc.py.

import type { HostEviction, RequestUse } from './eviction.ts';
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

  used(): void {}

  released(): void {}

  pinned(): void {}

  missed(keys: readonly number[]): void {
    for (let i = keys.length - 1; i >= 0; i--) {
      const ghost = this.blocks.get(keys[i] as number);
      if (ghost !== undefined && ghost.slot < 0) this.learn(ghost);
    }
  }

  /** What was only stored stays where it is, as the newest; what was found there has been used again. */
  requestEnded({ keys, stored, reused }: RequestUse): void {
    for (let i = keys.length - 1; i >= 0; i--) {
      const key = keys[i] as number;
      const block = this.find(key);
      if (block === undefined) continue;
      if (stored.has(key) && !reused.has(key)) block.list?.renew(block);
      else if (reused.has(key)) this.promote(block);
    }
  }

  private use(block: HostBlock): void {
    if (block.slot < 0) this.learn(block);
    // A block whose store runs was not used twice: it stays recent.
    else if (block.list === this.recent && block.refs < 0) this.recent.renew(block);
    else this.promote(block);
  }

  private promote(block: HostBlock): void {
    block.list?.remove(block);
    this.frequent.append(block);
  }

  /** A ghost's return moves the share of the list that it fell out of up, by more the fewer such ghosts there are. */
  private learn(ghost: HostBlock): void {
    const { recentGhosts, frequentGhosts } = this;
    if (ghost.list === recentGhosts) {
      const step = Math.max(1, frequentGhosts.size / recentGhosts.size);
      this.recentTarget = Math.min(this.recentTarget + step, this.capacity);
    } else {
      const step = Math.max(1, recentGhosts.size / frequentGhosts.size);
      this.recentTarget = Math.max(this.recentTarget - step, 0);
    }
    ghost.list?.renew(ghost);
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
