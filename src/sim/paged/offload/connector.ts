// vLLM's native KV offloading: blocks that become complete are copied to the host, and a request whose prefix is there but not in
// the GPU's cache loads it before it is scheduled. A load starts with the call that admits its request, a store with the call after
// the one that decided it. Transfers take the time of their links; without one they are done at the end of the call. Law: vllm/distributed/kv_transfer/kv_connector/v1/offloading (scheduler.py, worker.py) and the
// connector hooks of vllm/v1/core/sched/scheduler.py; where releases differ, OffloadRules.
import { assert } from '../../../assert.ts';
import { divCeil, divFloor } from '../../../units.ts';
import type { SystemCounters } from '../../types.ts';
import type { Batch } from '../batch.ts';
import { admittedFlag } from '../batch.ts';
import type { OffloadConfig, PagedConfig } from '../config.ts';
import type { KvManager } from '../kv-manager.ts';
import type { Sequence } from '../sequence.ts';
import { Link } from './link.ts';
import { OffloadProgress, type TransferJob } from './progress.ts';
import { ReuseCounter } from './reuse.ts';
import type { OffloadRules } from './rules.ts';
import { OffloadTiers } from './tiers.ts';

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
  readonly tiers: OffloadTiers;
  private readonly seen: ReuseCounter | undefined;
  /** Tokens of an offloaded block, and GPU blocks in it. */
  private readonly blockSize: number;
  private readonly factor: number;
  private readonly dropsTail: boolean;
  /** Tokens of a decode step with drafts and their look-ahead, where loads leave room for one. */
  private readonly draftSlots: number;
  private readonly timed: boolean;
  private readonly toHost: Link<TransferJob>;
  private readonly toGpu: Link<TransferJob>;
  /** Keys on their way to the GPU: whoever hits them too waits and then finds them there. */
  private readonly loading = new Set<number>();
  /** Stores decided in this call; they start with the next. */
  private decided: TransferJob[] = [];
  /** Requests that keep their blocks: ended since the last call, and those whose end a call has announced to the worker. */
  private ended: Sequence[] = [];
  private announced: Sequence[] = [];
  /** All that ended since the last call. */
  private endedNow: Sequence[] = [];
  private preempted: Sequence[] = [];
  /** Something has arrived that no call has seen. */
  private hasNews = false;
  /** Admitted requests that are not done with their prompt, and loads: they still need blocks. */
  private readonly inFlight = new Set<Sequence>();

  constructor(
    private readonly config: PagedConfig,
    private readonly rules: OffloadRules,
    private readonly kv: KvManager,
  ) {
    const offload = config.offload as OffloadConfig;
    const { blockSizeFactor = 1, storeThreshold = 0, blockSeconds = 0 } = offload;
    assert(kv.groups.length === 1, 'offloading of several groups');
    this.factor = blockSizeFactor;
    this.blockSize = kv.schedulerBlockSize * blockSizeFactor;
    this.tiers = new OffloadTiers(offload, rules);
    this.seen = storeThreshold >= 2 ? new ReuseCounter(storeThreshold, trackedKeys) : undefined;
    this.dropsTail = rules.eagleTail !== 'kept' && config.spec?.method === 'eagle';
    const { spec } = config;
    const lookahead = spec && spec.method !== 'ngram' ? spec.tokens : 0;
    this.draftSlots = spec && rules.reservesInFlight === 'promptsAndDrafts' ? 1 + spec.tokens + lookahead : 0;
    this.timed = blockSeconds > 0;
    this.toHost = new Link(blockSeconds, (job) => this.stored(job));
    this.toGpu = new Link(blockSeconds, (job) => this.loaded(job));
  }

  /** Requests that have ended and still hold blocks. */
  get keeping(): readonly Sequence[] {
    return [...this.ended, ...this.announced];
  }

  /** Blocks moved between the tiers, as the counters of a serving system name them. */
  get counters(): Pick<SystemCounters, 'storedBlocks' | 'loadedBlocks' | 'diskReadBlocks' | 'diskWrittenBlocks'> {
    const { storedBlocks, loadedBlocks } = this.stats;
    return { storedBlocks, loadedBlocks, ...this.tiers.stats };
  }

  /** Whether calls go on without an unfinished request. */
  get busy(): boolean {
    return this.endedNow.length > 0 || this.ended.length + this.announced.length > 0 || this.decided.length > 0;
  }

  /** Whether anything moves, or will with the next call: who waits for it is not stuck. */
  get moving(): boolean {
    return this.busy || this.hasNews || this.tiers.busy || this.toHost.length + this.toGpu.length > 0;
  }

  /** Seconds until something arrives; Infinity when nothing is on its way. */
  get nextArrival(): number {
    return this.hasNews ? 0 : Math.min(this.toHost.next, this.toGpu.next, this.tiers.next);
  }

  /** Blocks that prefills and loads in flight have yet to take. */
  get reserved(): number {
    const { rules, kv, draftSlots } = this;
    if (rules.reservesInFlight === 'nothing') return 0;
    let blocks = divCeil(draftSlots, kv.schedulerBlockSize);
    for (const sequence of this.inFlight) blocks += kv.remaining(sequence, draftSlots);
    return blocks;
  }

  /** Tokens behind the `local` ones found on the GPU that the host can bring, or `askAgain`. */
  matched(sequence: Sequence, local: number): number {
    const progress = this.progressOf(sequence);
    if (this.rules.waitsForTransfers && progress.transfers > 0) return askAgain;
    this.extendKeys(sequence, progress);
    if (this.rules.progress === 'restarts') progress.nextStored = 0;
    const tokens = this.lookup(progress.keys, local);
    this.touch(progress, progress.keys.length);
    return tokens;
  }

  private touch({ keys }: OffloadProgress, end: number): void {
    if (this.rules.recency === 'touches') this.tiers.touch(keys, end);
    else this.tiers.disk?.touch(keys, end);
  }

  private lookup(keys: readonly number[], local: number): number {
    const { blockSize, rules, seen, tiers } = this;
    if (keys.length * blockSize - local < blockSize) return 0;
    const start = divFloor(local, blockSize);
    if (rules.seenKeys === 'lookup') for (let i = start; i < keys.length; i++) seen?.see(keys[i] as number);
    let end = start;
    let waits = false;
    const below: number[] = [];
    for (; end < keys.length; end++) {
      const key = keys[end] as number;
      if (rules.seenKeys === 'lookupToMiss') seen?.see(key);
      const state = tiers.state(key);
      if (state === 'missing') break;
      if (state === 'pending') {
        if (rules.pendingHit === 'ends' && !tiers.isPromoting(key)) break;
        waits = true;
      } else if (state === 'below') below.push(key);
    }
    if (below.length > 0) {
      if (tiers.promote(below)) return askAgain;
      end = keys.indexOf(below[0] as number);
    }
    if (end === start) return 0;
    if (waits) return askAgain;
    if (this.dropsTail) end--;
    const tokens = blockSize * end - local;
    if (tokens < blockSize) return 0;
    for (let i = start; i < end && this.loading.size > 0; i++) if (this.loading.has(keys[i] as number)) return askAgain;
    return tokens;
  }

  /** Blocks for `external` tokens behind `local` ones have been taken: their load begins. */
  startLoad(sequence: Sequence, local: number, external: number): void {
    const progress = this.progressOf(sequence);
    const end = (local + external) / this.blockSize;
    const keys = progress.keys.slice(divFloor(local, this.blockSize), end);
    this.tiers.host.startLoad(keys);
    this.use(progress, keys);
    this.reuse(progress, keys);
    if (this.config.prefixCaching) for (const key of keys) this.loading.add(key);
    progress.nextStored = end;
    progress.transfers++;
    progress.loading = true;
    this.inFlight.add(sequence);
    const gpuBlocks = external / this.kv.schedulerBlockSize;
    this.toGpu.send({ sequence, progress, keys, gpuBlocks }, gpuBlocks);
  }

  /** Whether the load of a request has arrived. */
  arrived(sequence: Sequence): boolean {
    return sequence.offload?.loading !== true;
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
    this.hasNews = false;
    this.announced.push(...this.ended);
    this.ended = [];
    const { endedNow } = this;
    this.endedNow = [];
    for (const job of this.decided) this.toHost.send(job, job.gpuBlocks);
    this.decided = [];
    if (this.rules.storeOrder === 'scheduled') this.offerAll(batch, () => true);
    else {
      const admitted = (i: number) => ((batch.flags[i] as number) & admittedFlag) !== 0;
      const resumed = (i: number) => admitted(i) && (batch.sequences[i] as Sequence).preemptions > 0;
      this.offerAll(batch, (i) => admitted(i) && !resumed(i));
      this.offerAll(batch, (i) => !admitted(i));
      this.offerAll(batch, resumed);
    }
    if (this.rules.offersAtEnd)
      for (const sequence of endedNow) if (sequence.offload) this.offer(sequence, sequence.known);
    if (this.rules.recency === 'requests') for (const { offload } of endedNow) if (offload) this.useEnded(offload);
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
    const { rules, tiers } = this;
    if (computed >= sequence.known) this.inFlight.delete(sequence);
    const limit = rules.storedTokens === 'prompt' ? Math.min(sequence.prompt, sequence.known) : sequence.known;
    const progress = this.progressOf(sequence);
    const tokens = Math.min(computed, limit);
    const complete = divFloor(tokens, this.blockSize);
    const withoutTail = this.dropsTail && (rules.eagleTail === 'neverStored' || tokens > sequence.prompt) ? 1 : 0;
    const blocks = complete - withoutTail;
    // Where progress follows the computed tokens, it jumps over a tail that was not stored.
    const next = rules.progress === 'follows' ? complete : Math.max(progress.nextStored, blocks);
    if (blocks <= progress.nextStored) {
      progress.nextStored = next;
      return;
    }
    this.extendKeys(sequence, progress);
    const keys = tiers.host.startStore(this.wanted(progress, progress.keys.slice(progress.nextStored, blocks)));
    if (keys === null) {
      this.stats.refusedStores++;
      return;
    }
    progress.nextStored = next;
    if (keys.length === 0) return;
    for (const key of keys) progress.inserted.add(key);
    if (rules.lruScope === 'ranks') this.rank(progress, keys);
    this.touch(progress, rules.touchedByStore === 'known' ? progress.keys.length : blocks);
    progress.everStored = true;
    progress.transfers++;
    if (rules.storesComplete === 'atRequestEnd') for (const key of keys) progress.stored.push(key);
    this.decided.push({ sequence, progress, keys, gpuBlocks: keys.length * this.factor });
  }

  /** Those of `keys` that are to be in the host: with a threshold, the ones there and those seen often enough. */
  private wanted(progress: OffloadProgress, keys: readonly number[]): readonly number[] {
    const { seen, rules, tiers } = this;
    const { host } = tiers;
    if (seen && rules.seenKeys === 'offered') seen.offer(keys);
    if (rules.recency === 'touches') return seen ? keys.filter((key) => seen.often(key)) : keys;
    const wanted = keys.filter((key) => host.state(key) !== 'missing' || !seen || seen.often(key));
    const missed = wanted.filter((key) => host.state(key) === 'missing' && !progress.missed.has(key));
    host.missed(missed);
    const found = wanted.filter((key) => host.state(key) === 'ready');
    this.use(progress, [...missed, ...found]);
    for (const key of missed) progress.missed.add(key);
    this.reuse(progress, found);
    return wanted;
  }

  /** A request found blocks in the host that it did not put there. */
  private reuse(progress: OffloadProgress, keys: readonly number[]): void {
    if (this.rules.recency === 'touches') return;
    for (const key of keys) if (!progress.inserted.has(key)) progress.reused.add(key);
  }

  /** Tells the host which blocks a request uses for the first time. */
  private use(progress: OffloadProgress, keys: readonly number[]): void {
    if (this.rules.lruScope !== 'ranks') return;
    const fresh = keys.filter(
      (key) => !progress.missed.has(key) && !progress.reused.has(key) && !progress.inserted.has(key),
    );
    if (fresh.length > 0) this.rank(progress, fresh);
  }

  private rank(progress: OffloadProgress, keys: readonly number[]): void {
    const wanted = new Set(keys);
    const positions = new Map<number, number>();
    progress.keys.forEach((key, i) => {
      if (wanted.has(key)) positions.set(key, i);
    });
    this.tiers.host.used(
      keys,
      keys.map((key) => positions.get(key) as number),
      progress,
    );
  }

  private useEnded({ keys, inserted, reused, missed }: OffloadProgress): void {
    const used = keys.filter((key) => inserted.has(key) || reused.has(key) || missed.has(key));
    this.tiers.host.requestEnded({ keys: used, stored: inserted, reused });
  }

  /** The call is over. Where transfers take no time, what it moved has arrived. */
  complete(): void {
    if (this.timed) this.release();
    else this.elapse(Number.POSITIVE_INFINITY);
  }

  /** Time passes. */
  elapse(seconds: number): void {
    this.tiers.pass(seconds);
    this.toHost.pass(seconds);
    this.toGpu.pass(seconds);
    this.release();
  }

  private stored({ progress, keys, gpuBlocks }: TransferJob): void {
    this.hasNews = true;
    this.stats.storedBlocks += gpuBlocks;
    progress.transfers--;
    if (this.rules.storesComplete === 'each') this.tiers.finishStore(keys);
  }

  private loaded({ progress, keys, gpuBlocks }: TransferJob): void {
    this.hasNews = true;
    this.stats.loadedBlocks += gpuBlocks;
    progress.transfers--;
    progress.loading = false;
    for (const key of keys) this.loading.delete(key);
    this.tiers.host.finishLoad(keys);
  }

  /** Blocks of announced requests are free once their stores are done. */
  private release(): void {
    if (this.announced.length === 0) return;
    const waiting: Sequence[] = [];
    for (const sequence of this.announced) {
      const { offload } = sequence;
      if (offload && offload.transfers > 0) {
        waiting.push(sequence);
        continue;
      }
      if (offload) this.completeStored(offload);
      this.kv.free(sequence);
    }
    this.announced = waiting;
  }

  /** A request has ended or was aborted; true if it keeps its blocks until its load, or what the release waits for, is done. */
  end(sequence: Sequence): boolean {
    this.endedNow.push(sequence);
    this.inFlight.delete(sequence);
    const { offload } = sequence;
    const keeps =
      offload !== undefined &&
      (offload.loading || (this.rules.storesComplete === 'atRequestEnd' && offload.everStored));
    if (keeps) this.ended.push(sequence);
    return keeps;
  }

  private completeStored(progress: OffloadProgress): void {
    this.tiers.finishStore(progress.stored);
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
