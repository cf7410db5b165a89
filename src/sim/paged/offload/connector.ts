// vLLM's native KV offloading: blocks that become complete are copied to the host, and a request whose prefix is there but not in
// the GPU's cache loads it before it is scheduled. A load is done at the end of the call that starts it; a store starts with the
// call after the one that decided it. Law: vllm/distributed/kv_transfer/kv_connector/v1/offloading (scheduler.py, worker.py) and the
// connector hooks of vllm/v1/core/sched/scheduler.py; where releases differ, OffloadRules.
import { assert } from '../../../assert.ts';
import { divFloor } from '../../../units.ts';
import type { Batch } from '../batch.ts';
import { admittedFlag } from '../batch.ts';
import type { PagedConfig } from '../config.ts';
import type { KvManager } from '../kv-manager.ts';
import type { Sequence } from '../sequence.ts';
import { ArcEviction } from './arc.ts';
import { HostCache } from './host-cache.ts';
import { LruEviction } from './lru.ts';
import { OffloadProgress, type TransferJob } from './progress.ts';
import { ReuseCounter } from './reuse.ts';
import type { OffloadRules } from './rules.ts';

/** The answer of `matched` when the request has to ask again in the next call. */
export const askAgain = -1;

export interface OffloadStats {
  /** GPU blocks copied to the host and back. */
  storedBlocks: number;
  loadedBlocks: number;
  /** Stores given up because no room could be made. */
  refusedStores: number;
}

const trackedKeys = 64_000;

export class OffloadConnector {
  readonly stats: OffloadStats = { storedBlocks: 0, loadedBlocks: 0, refusedStores: 0 };
  readonly host: HostCache;
  private readonly reuse: ReuseCounter | undefined;
  /** Tokens of an offloaded block, and GPU blocks in it. */
  private readonly blockSize: number;
  private readonly factor: number;
  private readonly dropsTail: boolean;
  /** Keys on their way to the GPU: whoever hits them too waits and then finds them there. */
  private readonly loading = new Set<number>();
  private loads: TransferJob[] = [];
  /** Stores decided in this call, and those of the call before, which run now. */
  private decided: TransferJob[] = [];
  private running: TransferJob[] = [];
  /** Requests that ended since the last call, and those whose end that call announced to the worker. */
  private ended: Sequence[] = [];
  private announced: Sequence[] = [];
  private endedCount = 0;
  private preempted: Sequence[] = [];
  /** Admitted requests that are not done with their prompt, and loads: they still need blocks. */
  private readonly inFlight = new Set<Sequence>();

  constructor(
    private readonly config: PagedConfig,
    private readonly rules: OffloadRules,
    private readonly kv: KvManager,
  ) {
    const { cpuBlocks = 0, blockSizeFactor = 1, policy = 'lru', storeThreshold = 0 } = config.offload ?? {};
    assert(kv.groups.length === 1, 'offloading of several groups');
    this.factor = blockSizeFactor;
    this.blockSize = kv.schedulerBlockSize * blockSizeFactor;
    const eviction = policy === 'arc' ? new ArcEviction(cpuBlocks, rules.arcFallback) : new LruEviction(rules.lruScope);
    this.host = new HostCache(cpuBlocks, eviction);
    this.reuse = storeThreshold >= 2 ? new ReuseCounter(storeThreshold, trackedKeys) : undefined;
    this.dropsTail = rules.eagleTail === 'dropped' && config.spec?.method === 'eagle';
  }

  /** Whether calls go on without an unfinished request. */
  get busy(): boolean {
    return this.endedCount > 0 || this.ended.length + this.announced.length > 0 || this.decided.length > 0;
  }

  /** Blocks that prefills and loads in flight have yet to take. */
  get reserved(): number {
    if (!this.rules.reservesInFlight) return 0;
    let blocks = 0;
    for (const sequence of this.inFlight) blocks += this.kv.remaining(sequence);
    return blocks;
  }

  /** Tokens behind the `local` ones found on the GPU that the host can bring, or `askAgain`. */
  matched(sequence: Sequence, local: number): number {
    const progress = this.progressOf(sequence);
    if (this.rules.waitsForTransfers && progress.transfers > 0) return askAgain;
    this.extendKeys(sequence, progress);
    const tokens = this.lookup(progress, local);
    this.host.touch(progress.keys, progress.keys.length);
    return tokens;
  }

  private lookup({ keys }: OffloadProgress, local: number): number {
    const { blockSize, rules, reuse } = this;
    if (keys.length * blockSize - local < blockSize) return 0;
    const start = divFloor(local, blockSize);
    if (rules.seenKeys === 'lookup') for (let i = start; i < keys.length; i++) reuse?.see(keys[i] as number);
    let end = start;
    let pending = false;
    for (; end < keys.length; end++) {
      const key = keys[end] as number;
      if (rules.seenKeys === 'lookupToMiss') reuse?.see(key);
      const state = this.host.state(key);
      if (state === 'missing' || (state === 'pending' && rules.pendingHit === 'ends')) break;
      if (state === 'pending') pending = true;
    }
    if (end === start) return 0;
    if (pending) return askAgain;
    if (this.dropsTail) end--;
    const tokens = blockSize * end - local;
    if (tokens < blockSize) return 0;
    if (this.loading.size > 0)
      for (let i = start; i < end; i++) if (this.loading.has(keys[i] as number)) return askAgain;
    return tokens;
  }

  /** Blocks for `external` tokens behind `local` ones have been taken: their load begins. */
  startLoad(sequence: Sequence, local: number, external: number): void {
    const progress = this.progressOf(sequence);
    const end = (local + external) / this.blockSize;
    const keys = progress.keys.slice(divFloor(local, this.blockSize), end);
    this.host.startLoad(keys);
    if (this.config.prefixCaching) for (const key of keys) this.loading.add(key);
    progress.nextStored = end;
    progress.transfers++;
    this.inFlight.add(sequence);
    this.loads.push({ sequence, progress, keys, gpuBlocks: external / this.kv.schedulerBlockSize });
  }

  /** Whether the load of a request has arrived. */
  arrived(sequence: Sequence): boolean {
    return sequence.offload?.transfers === 0;
  }

  /** A request joins the running ones with `tokens` of its tokens computed by the end of this step. */
  admitted(sequence: Sequence, tokens: number): void {
    if (tokens < sequence.known) this.inFlight.add(sequence);
  }

  /** Taken from the running ones; `forBlocks`: by the scheduler, whose call then waits for its stores. */
  preempt(sequence: Sequence, forBlocks: boolean): void {
    this.inFlight.delete(sequence);
    if (forBlocks) this.preempted.push(sequence);
  }

  /** A call has decided its step and has not yet counted it as computed: complete blocks are offered to the host. */
  decide(batch: Batch): void {
    this.announced = this.ended;
    this.ended = [];
    this.endedCount = 0;
    this.running = this.decided;
    this.decided = [];
    if (this.rules.storeOrder === 'scheduled') this.offerAll(batch, () => true);
    else {
      const admitted = (i: number) => ((batch.flags[i] as number) & admittedFlag) !== 0;
      const resumed = (i: number) => admitted(i) && (batch.sequences[i] as Sequence).preemptions > 0;
      this.offerAll(batch, (i) => admitted(i) && !resumed(i));
      this.offerAll(batch, (i) => !admitted(i));
      this.offerAll(batch, resumed);
    }
    if (this.rules.storesComplete === 'atRequestEnd')
      for (const { offload } of this.preempted) if (offload) this.completeStored(offload);
    this.preempted = [];
  }

  private offerAll(batch: Batch, belongs: (index: number) => boolean): void {
    for (let i = 0; i < batch.count; i++) {
      const sequence = batch.sequences[i];
      if (sequence && belongs(i)) this.offer(sequence, sequence.computed + (batch.tokens[i] as number));
    }
  }

  private offer(sequence: Sequence, computed: number): void {
    const { rules, host, reuse } = this;
    if (computed >= sequence.known) this.inFlight.delete(sequence);
    const limit = rules.storedTokens === 'prompt' ? Math.min(sequence.prompt, sequence.known) : sequence.known;
    const tokens = Math.min(computed, limit);
    const progress = this.progressOf(sequence);
    const complete = divFloor(tokens, this.blockSize);
    const blocks = complete - (this.dropsTail ? 1 : 0);
    if (blocks <= progress.nextStored) {
      if (rules.progress === 'follows') progress.nextStored = complete;
      return;
    }
    this.extendKeys(sequence, progress);
    let offered: readonly number[] = progress.keys.slice(progress.nextStored, blocks);
    if (reuse) {
      if (rules.seenKeys === 'offered') reuse.offer(offered);
      offered = offered.filter((key) => reuse.often(key));
    }
    const keys = host.startStore(offered);
    if (keys === null) {
      this.stats.refusedStores++;
      return;
    }
    progress.nextStored = complete;
    if (keys.length === 0) return;
    host.touch(progress.keys, rules.touchedByStore === 'known' ? progress.keys.length : blocks);
    progress.everStored = true;
    progress.transfers++;
    if (rules.storesComplete === 'atRequestEnd') for (const key of keys) progress.stored.push(key);
    this.decided.push({ sequence, progress, keys, gpuBlocks: keys.length * this.factor });
  }

  /** The call is over: what it moved has arrived. */
  complete(): void {
    const { host, stats, rules } = this;
    for (const { progress, keys, gpuBlocks } of this.running) {
      stats.storedBlocks += gpuBlocks;
      progress.transfers--;
      if (rules.storesComplete === 'each') host.finishStore(keys);
    }
    for (const { progress, keys, gpuBlocks } of this.loads) {
      stats.loadedBlocks += gpuBlocks;
      progress.transfers--;
      for (const key of keys) this.loading.delete(key);
      host.finishLoad(keys);
    }
    this.running = [];
    this.loads = [];
    for (const sequence of this.announced) {
      if (sequence.offload) this.completeStored(sequence.offload);
      this.kv.free(sequence);
    }
    this.announced = [];
  }

  /** A request has ended or was aborted; true if it keeps its blocks until `complete` gives them back. */
  end(sequence: Sequence): boolean {
    this.endedCount++;
    this.inFlight.delete(sequence);
    const keeps = this.rules.storesComplete === 'atRequestEnd' && sequence.offload?.everStored === true;
    if (keeps) this.ended.push(sequence);
    return keeps;
  }

  private completeStored(progress: OffloadProgress): void {
    this.host.finishStore(progress.stored);
    progress.stored.length = 0;
  }

  private progressOf(sequence: Sequence): OffloadProgress {
    sequence.offload ??= new OffloadProgress();
    return sequence.offload;
  }

  /** An offloaded block has the key of its last GPU block, as 53 of its 64 bits. */
  private extendKeys(sequence: Sequence, { keys }: OffloadProgress): void {
    const blocks = divFloor(sequence.known, this.blockSize);
    if (blocks <= keys.length) return;
    const hashes = this.kv.keysOf(sequence);
    hashes.extend(sequence.known);
    const perBlock = this.blockSize / this.kv.hashBlockSize;
    for (let i = keys.length; i < blocks; i++) {
      const last = (i + 1) * perBlock - 1;
      keys.push(((hashes.hi[last] as number) >>> 11) * 2 ** 32 + ((hashes.lo[last] as number) >>> 0));
    }
  }
}
