// nano-vllm as a serving system: its scheduler (nanovllm/engine/scheduler.py, GeeeekExplorer/nano-vllm bb823b3) over its block
// manager. A step is either prefill or decode, prefill first; only the first sequence of a step may be cut into chunks; a sequence
// that finds no block preempts the last of the running ones, which goes to the front of the queue and starts again. Not from
// nano-vllm: prompts of the model's length and sequences that outgrow the whole pool are rejected (there an assertion fails), an
// output ends at the model's length, and n samples of a prompt are n sequences, as a caller would submit them.
import { assert } from '../../assert.ts';
import { Deque } from '../deque.ts';
import { BlockKeys } from '../paged/block-keys.ts';
import { cacheNamespace, OpenRequests, refusal, sequencesOf } from '../requests.ts';
import { addToWork, clearWork, emptyWork, zeroCounters } from '../step-work.ts';
import type { MemoryShares, QueueState, RequestListener, ServingSystem, SimRequest, Workload } from '../types.ts';
import { NanoBlockManager, type NanoSequenceBlocks } from './block-manager.ts';

export interface NanoConfig {
  /** Blocks that can be handed out: there is no null block. */
  readonly numBlocks: number;
  /** Default 256; nano-vllm takes multiples of 256 only, which its kernel asks for, not its block manager. */
  readonly blockSize?: number;
  readonly maxNumSeqs?: number;
  readonly maxNumBatchedTokens?: number;
  readonly maxModelLen: number;
}

interface NanoSequence extends NanoSequenceBlocks {
  readonly request: number;
  readonly promptTokens: number;
  /** Length at which the model ends it: the scheduler never reads this. */
  readonly finalTokens: number;
}

export class NanoSystem implements ServingSystem {
  readonly poolTokens: number;
  readonly usableBlocks: number;
  readonly blockSize: number;
  readonly work = emptyWork();
  readonly counters = zeroCounters();
  readonly blocks: NanoBlockManager;
  private readonly requests: readonly SimRequest[];
  private readonly maxModelLen: number;
  private readonly maxNumSeqs: number;
  private readonly maxBatched: number;
  private readonly open: OpenRequests;
  private readonly waiting = new Deque<NanoSequence>();
  private running: NanoSequence[] = [];
  private scheduled: NanoSequence[] = [];

  constructor(
    workload: Workload,
    config: NanoConfig,
    private readonly listener: RequestListener,
  ) {
    const { numBlocks, blockSize = 256, maxNumSeqs = 512, maxNumBatchedTokens = 16384 } = config;
    assert(numBlocks >= 1 && maxNumSeqs >= 1 && maxNumBatchedTokens >= 1, 'limits are positive');
    this.requests = workload.requests;
    this.open = new OpenRequests(listener);
    this.blocks = new NanoBlockManager(numBlocks, blockSize);
    this.blockSize = blockSize;
    this.usableBlocks = numBlocks;
    this.poolTokens = numBlocks * blockSize;
    this.maxModelLen = config.maxModelLen;
    this.maxNumSeqs = maxNumSeqs;
    this.maxBatched = maxNumBatchedTokens;
  }

  get unfinished(): number {
    return this.open.size;
  }

  add(index: number): void {
    const request = this.requests[index]!;
    const reason = refusal(request, this.maxModelLen) ?? this.tooLarge(request.promptTokens);
    if (reason !== undefined) {
      this.listener.rejected(index, reason);
      return;
    }
    const sequences = sequencesOf(request);
    this.open.add(index, sequences);
    for (let sample = 0; sample < sequences; sample++) this.waiting.push(this.sequence(index, sample));
  }

  schedule(): boolean {
    clearWork(this.work);
    while (this.open.size > 0) {
      this.scheduled = [];
      if (!this.prefill()) this.decode();
      if (this.scheduled.length > 0) break;
      this.dropOutgrown();
    }
    const { counters, blocks } = this;
    counters.evictions = blocks.evictions;
    counters.sharedBlocksPeak = Math.max(counters.sharedBlocksPeak, blocks.shared);
    if (this.scheduled.length > 0) {
      counters.unsharedBlockSteps += blocks.references;
      counters.savedBlockSteps += blocks.references - blocks.used;
    }
    return this.scheduled.length > 0;
  }

  complete(): boolean {
    let ended = false;
    for (const sequence of this.scheduled) {
      this.blocks.nameFilledBlocks(sequence);
      sequence.cached += sequence.scheduled;
      sequence.scheduled = 0;
      if (sequence.cached < sequence.tokens) continue;
      sequence.tokens++;
      ended = this.sampled(sequence) || ended;
    }
    this.scheduled = [];
    if (ended) this.running = this.running.filter((sequence) => sequence.table.length > 0);
    return true;
  }

  memory(into: MemoryShares): void {
    let reserved = 0;
    let internal = 0;
    const add = (sequence: NanoSequence) => {
      if (sequence.table.length === 0) return;
      const known = Math.min(sequence.tokens, sequence.table.length * this.blockSize);
      reserved += known - sequence.cached - sequence.scheduled;
      internal += sequence.table.length * this.blockSize - known;
    };
    for (const sequence of this.running) add(sequence);
    const head = this.waiting.first();
    if (head !== undefined) add(head);
    into.reserved = reserved;
    into.internal = internal;
    into.external = 0;
    into.free = this.blocks.free * this.blockSize;
    into.tokenStates = this.poolTokens - into.free - reserved - internal;
    assert(into.tokenStates >= 0 && reserved >= 0 && internal >= 0, 'law N8: shares are not negative');
  }

  queues(into: QueueState): void {
    into.running = this.running.length;
    into.waiting = this.waiting.length;
    into.swapped = 0;
    into.usedBlocks = this.blocks.used;
    into.cachedBlocks = this.blocks.cachedFree;
  }

  /** For tests: every law that takes a recount. */
  check(): void {
    const all = [...this.running, ...this.waiting];
    this.blocks.check(all.map((sequence) => sequence.table));
    assert(new Set(all).size === all.length, 'law N9: a sequence is in one queue');
    assert(this.open.matches(all), 'law N10: no request and no sequence is lost');
  }

  private sequence(index: number, sample: number): NanoSequence {
    const request = this.requests[index]!;
    const { promptTokens, prompt, maxTokens } = request;
    // Further samples generate something else than what a workload states.
    const output = sample === 0 ? request.output : undefined;
    const finalTokens = Math.min(promptTokens + Math.max(1, request.outputTokens), this.maxModelLen);
    const outputBase = request.outputBase + sample * maxTokens;
    const extra = cacheNamespace(request);
    return {
      request: index,
      promptTokens,
      finalTokens,
      tokens: promptTokens,
      cached: 0,
      scheduled: 0,
      table: [],
      keys: new BlockKeys({ prompt, promptTokens, outputBase, output }, this.blockSize, finalTokens, extra),
    };
  }

  private prefill(): boolean {
    let budget = this.maxBatched;
    while (this.scheduled.length < this.maxNumSeqs && budget > 0) {
      const sequence = this.waiting.first();
      if (sequence === undefined) break;
      const admitted = sequence.table.length > 0;
      const hits = admitted ? 0 : this.blocks.cachedBlocks(sequence);
      if (hits < 0) break;
      const tokens = sequence.tokens - (admitted ? sequence.cached : hits * this.blockSize);
      if (tokens > budget && this.scheduled.length > 0) break;
      if (!admitted) this.admit(sequence, hits);
      sequence.scheduled = Math.min(tokens, budget);
      budget -= sequence.scheduled;
      if (sequence.scheduled === tokens) {
        this.waiting.shift();
        this.running.push(sequence);
      }
      addToWork(this.work, sequence.cached, sequence.scheduled, sequence.scheduled === tokens);
      this.scheduled.push(sequence);
    }
    return this.scheduled.length > 0;
  }

  private admit(sequence: NanoSequence, hits: number): void {
    const { counters, blockSize } = this;
    this.blocks.allocate(sequence, hits);
    counters.queriedTokens += sequence.tokens;
    counters.hitTokens += hits * blockSize;
    counters.queriedBlocks += Math.floor(sequence.tokens / blockSize);
    counters.hitBlocks += hits;
  }

  private decode(): void {
    const { running } = this;
    let next = 0;
    let end = running.length;
    while (next < end && this.scheduled.length < this.maxNumSeqs) {
      const sequence = running[next++]!;
      while (!this.blocks.canAppend(sequence) && next < end) this.preempt(running[--end]!);
      if (!this.blocks.canAppend(sequence)) {
        this.preempt(sequence);
        break;
      }
      this.blocks.append(sequence);
      sequence.scheduled = 1;
      addToWork(this.work, sequence.cached, 1, true);
      this.scheduled.push(sequence);
    }
    this.running = this.scheduled.concat(running.slice(next, end));
  }

  private preempt(sequence: NanoSequence): void {
    this.counters.preemptions++;
    this.counters.preemptedComputedTokens += sequence.cached;
    this.listener.preempted?.(sequence.request, sequence.cached, 'recompute');
    this.blocks.release(sequence);
    this.waiting.unshift(sequence);
  }

  /** A generated token has come; true when the sequence has ended. */
  private sampled(sequence: NanoSequence): boolean {
    this.open.sampled(sequence.request);
    if (sequence.tokens < sequence.finalTokens) return false;
    this.blocks.release(sequence);
    this.open.ended(sequence.request);
    return true;
  }

  /** Nothing could be scheduled: the head of the queue does not fit the empty pool. nano-vllm stops with a failed assertion. */
  private dropOutgrown(): void {
    const sequence = this.waiting.first();
    assert(sequence !== undefined && this.running.length === 0, 'law N11: only an empty server schedules nothing');
    const reason = this.tooLarge(sequence.tokens);
    assert(reason !== undefined && this.blocks.used === 0, 'law N11: what fits an empty pool is admitted');
    const { request } = sequence;
    for (const other of [...this.waiting]) if (other.request === request) this.waiting.remove(other);
    this.open.reject(request, reason);
  }

  private tooLarge(tokens: number): string | undefined {
    const needed = this.blocks.blocksOf(tokens);
    if (needed <= this.usableBlocks) return undefined;
    return `${tokens} tokens need ${needed} blocks, the whole pool has ${this.usableBlocks}`;
  }
}
