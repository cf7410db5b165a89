// The memories behind the GPU: the host, and below it a disk that gets a copy of what the host stores and from which a hit comes
// back through the host. Promotion before a load, copies written after a store, requests that ask again meanwhile: as vLLM's
// TieringOffloadingManager (vllm/v1/kv_offload/tiering/manager.py, 0.22 and later); earlier releases have the host alone.
import type { OffloadConfig } from '../config.ts';
import { ArcEviction } from './arc.ts';
import type { HostEviction, OffloadPolicyName } from './eviction.ts';
import { HostCache } from './host-cache.ts';
import { Link } from './link.ts';
import { LruEviction } from './lru.ts';
import { RankedLruEviction } from './ranked-lru.ts';
import type { OffloadRules } from './rules.ts';

/** Where a block is: nowhere, on its way to the host, in the host, or only on the disk. */
export type TierState = 'missing' | 'pending' | 'ready' | 'below';

export class OffloadTiers {
  readonly host: HostCache;
  readonly disk: HostCache | undefined;
  readonly stats = { diskReadBlocks: 0, diskWrittenBlocks: 0 };
  private readonly promoting = new Set<number>();
  private readonly reads: Link<readonly number[]>;
  private readonly writes: Link<readonly number[]>;

  constructor(config: OffloadConfig, rules: OffloadRules) {
    const { cpuBlocks, policy = 'lru', disk, blockSizeFactor = 1 } = config;
    const eviction = hostEviction(policy, cpuBlocks, rules);
    this.host = new HostCache(cpuBlocks, eviction);
    this.disk = disk ? new HostCache(disk.blocks, new LruEviction('idle')) : undefined;
    const blockSeconds = (disk?.blockSeconds ?? 0) * blockSizeFactor;
    this.reads = new Link(blockSeconds, (keys) => this.promoted(keys));
    this.writes = new Link(blockSeconds, (keys) => this.written(keys));
  }

  /** Whether the disk is read or written. */
  get busy(): boolean {
    return this.reads.length + this.writes.length > 0;
  }

  get next(): number {
    return Math.min(this.reads.next, this.writes.next);
  }

  state(key: number): TierState {
    const state = this.host.state(key);
    return state === 'missing' && this.disk?.state(key) === 'ready' ? 'below' : state;
  }

  isPromoting(key: number): boolean {
    return this.promoting.has(key);
  }

  touch(keys: readonly number[], end: number): void {
    this.host.touch(keys, end);
    this.disk?.touch(keys, end);
  }

  /** Begins to read blocks that only the disk has; false if the host has no room for them. */
  promote(keys: readonly number[]): boolean {
    if (this.host.startStore(keys) === null) return false;
    this.disk?.startLoad(keys);
    for (const key of keys) this.promoting.add(key);
    this.reads.send(keys, keys.length);
    return true;
  }

  /** The host's copies are there: the disk gets those it lacks, which stay in the host until they are written. */
  finishStore(keys: readonly number[]): void {
    this.host.finishStore(keys);
    if (!this.disk) return;
    const absent = this.disk.startStore(keys.filter((key) => this.host.state(key) === 'ready'));
    if (absent === null || absent.length === 0) return;
    this.host.startLoad(absent);
    this.writes.send(absent, absent.length);
  }

  pass(seconds: number): void {
    this.writes.pass(seconds);
    this.reads.pass(seconds);
  }

  private promoted(keys: readonly number[]): void {
    this.stats.diskReadBlocks += keys.length;
    for (const key of keys) this.promoting.delete(key);
    this.disk?.finishLoad(keys);
    this.host.finishStore(keys);
  }

  private written(keys: readonly number[]): void {
    this.stats.diskWrittenBlocks += keys.length;
    this.disk?.finishStore(keys);
    this.host.finishLoad(keys);
  }
}

export function hostEviction(policy: OffloadPolicyName, capacity: number, rules: OffloadRules): HostEviction {
  if (policy === 'arc') return new ArcEviction(capacity, rules.arcFallback);
  return rules.lruScope === 'ranks' ? new RankedLruEviction() : new LruEviction(rules.lruScope);
}
