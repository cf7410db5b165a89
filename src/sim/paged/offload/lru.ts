// Least recently used, in the two forms vLLM has had: one list of all blocks that skips the busy ones (to 0.23, and again from
// 0.31), and a list of the idle ones alone, which a block re-enters as the newest when its transfer ends (0.24 to 0.30). Law: vllm/v1/kv_offload/cpu/policies/lru.py.

import type { HostEviction, RequestUse } from './eviction.ts';
import { BlockList, type HostBlock } from './host-block.ts';

/** What the list orders: every block, or the idle ones. */
export type LruScope = 'all' | 'idle';

export class LruEviction implements HostEviction {
  private readonly blocks = new Map<number, HostBlock>();
  private readonly order = new BlockList();
  private readonly scope: LruScope;

  constructor(scope: LruScope) {
    this.scope = scope;
  }

  get size(): number {
    return this.blocks.size;
  }

  find(key: number): HostBlock | undefined {
    return this.blocks.get(key);
  }

  insert(block: HostBlock): void {
    this.blocks.set(block.key, block);
    if (this.scope === 'all' || block.refs === 0) this.order.append(block);
  }

  touch(keys: readonly number[], end: number): void {
    for (let i = end - 1; i >= 0; i--) {
      const block = this.blocks.get(keys[i] as number);
      if (block !== undefined && block.list === this.order) this.order.renew(block);
    }
  }

  evict(count: number, isProtected: (key: number) => boolean): HostBlock[] | null {
    const victims: HostBlock[] = [];
    for (let block = this.order.oldest; block !== null && victims.length < count; block = block.next) {
      if (block.refs === 0 && !isProtected(block.key)) victims.push(block);
    }
    if (victims.length < count) return null;
    for (const block of victims) {
      this.order.remove(block);
      this.blocks.delete(block.key);
    }
    return victims;
  }

  released(block: HostBlock): void {
    if (this.scope === 'idle') this.order.append(block);
  }

  missed(): void {}

  used(): void {}

  requestEnded({ keys }: RequestUse): void {
    this.touch(keys, keys.length);
  }

  pinned(block: HostBlock): void {
    if (this.scope === 'idle') this.order.remove(block);
  }
}
