// The offloaded blocks of one tier: which are there, which a transfer reads or writes, which buffer holds them. Stores make room by
// evicting idle blocks, all or nothing; a block can be read once its store has finished. Law: vllm/v1/kv_offload/cpu/manager.py.
import { assert } from '../../../assert.ts';
import type { HostEviction, RequestUse, UseRank } from './eviction.ts';
import { createHostBlock, type HostBlock } from './host-block.ts';

export type HostState = 'missing' | 'pending' | 'ready';

export class HostCache {
  /** Buffers never used yet start here; given-back ones are used again, the last one first. */
  private unused = 0;
  private readonly returned: number[] = [];
  private readonly capacity: number;
  private readonly eviction: HostEviction;
  /** Blocks that no transfer uses. */
  idle = 0;
  evictions = 0;
  /** Called with the key of each block that is evicted. */
  onEvict: ((key: number) => void) | undefined;

  constructor(capacity: number, eviction: HostEviction) {
    this.capacity = capacity;
    this.eviction = eviction;
  }

  get size(): number {
    return this.eviction.size;
  }

  get free(): number {
    return this.capacity - this.unused + this.returned.length;
  }

  state(key: number): HostState {
    const block = this.eviction.find(key);
    if (block === undefined) return 'missing';
    return block.refs < 0 ? 'pending' : 'ready';
  }

  /** Marks the blocks keys[0] .. keys[end - 1] as used, the first as the newest. */
  touch(keys: readonly number[], end: number): void {
    this.eviction.touch(keys, end);
  }

  missed(keys: readonly number[]): void {
    this.eviction.missed(keys);
  }

  used(keys: readonly number[], positions: readonly number[], owner: UseRank): void {
    this.eviction.used(keys, positions, owner);
  }

  requestEnded(use: RequestUse): void {
    this.eviction.requestEnded(use);
  }

  /** Pins ready blocks until the load is done; returns their buffers. */
  startLoad(keys: readonly number[]): number[] {
    return keys.map((key) => {
      const block = this.block(key);
      assert(block.refs >= 0, 'a block is loaded before it is stored');
      if (block.refs === 0) {
        this.idle--;
        this.eviction.pinned(block);
      }
      block.refs++;
      return block.slot;
    });
  }

  finishLoad(keys: readonly number[]): void {
    for (const key of keys) {
      const block = this.block(key);
      assert(block.refs > 0, 'a load ends that never began');
      if (--block.refs > 0) continue;
      this.idle++;
      this.eviction.released(block);
    }
  }

  /**
   * Buffers for those of `keys` that are not there yet; returns these keys. Null, with nothing changed, when the blocks that
   * would have to go are in use or among `keys`.
   */
  startStore(keys: readonly number[]): number[] | null {
    const { eviction } = this;
    const absent = keys.filter((key) => eviction.find(key) === undefined);
    if (absent.length === 0) return absent;
    const lacking = absent.length - this.free;
    if (lacking > 0) {
      if (lacking > this.idle) return null;
      const offered = new Set(keys);
      const victims = eviction.evict(lacking, (key) => offered.has(key));
      if (victims === null) return null;
      this.idle -= victims.length;
      this.evictions += victims.length;
      for (const { key, slot } of victims) {
        this.returned.push(slot);
        this.onEvict?.(key);
      }
    }
    for (const key of absent) this.eviction.insert(createHostBlock(key, this.buffer()));
    this.check();
    return absent;
  }

  finishStore(keys: readonly number[]): void {
    for (const key of keys) {
      const block = this.eviction.find(key);
      if (block === undefined || block.refs >= 0) continue;
      block.refs = 0;
      this.idle++;
      this.eviction.released(block);
    }
  }

  private buffer(): number {
    return this.unused < this.capacity ? this.unused++ : (this.returned.pop() as number);
  }

  private block(key: number): HostBlock {
    const block = this.eviction.find(key);
    assert(block !== undefined, 'a block in use was evicted');
    return block;
  }

  /** Law: blocks held + free buffers = capacity; idle ones are among those held. */
  private check(): void {
    assert(this.size + this.free === this.capacity, `${this.size} blocks and ${this.free} free of ${this.capacity}`);
    assert(this.idle >= 0 && this.idle <= this.size, `${this.idle} idle blocks of ${this.size}`);
  }
}
