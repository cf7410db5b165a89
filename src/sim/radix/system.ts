// A server that caches prefixes in a radix tree over single token slots, as SGLang does. Law: sglang/srt/managers/scheduler.py,
// schedule_batch.py and scheduler_output_processor_mixin.py (0.5.9), without overlap, speculation, mixed chunks and priorities: a
// step is prefill or decode, prefill first; room is estimated, and when decode finds none, requests are retracted to the end of the
// queue. The n samples of a prompt wait until the prompt has been computed once, as tokenizer_manager.py has it.
import { assert } from '../../assert.ts';
import { cacheNamespace, OpenRequests, sequencesOf } from '../requests.ts';
import { addToWork, clearWork, emptyWork, zeroCounters } from '../step-work.ts';
import type { MemoryShares, QueueState, RequestListener, ServingSystem, SimRequest, Workload } from '../types.ts';
import { PrefillAdmission } from './admission.ts';
import {
  defaultMaxRunning,
  initialNewTokenRatio,
  maxInputTokens,
  maxRequestTokens,
  minNewTokenRatioFactor,
  newTokenRatioDecaySteps,
  type RadixConfig,
  retractDecodeSteps,
} from './config.ts';
import { RadixMemory } from './memory.ts';
import { longestPrefixFirst } from './queue-order.ts';
import { type RadixRequest, radixRequest } from './request.ts';

export class RadixSystem implements ServingSystem {
  readonly poolTokens: number;
  readonly usableBlocks: number;
  readonly blockSize = 1;
  readonly work = emptyWork();
  readonly counters = zeroCounters();
  readonly memoryState: RadixMemory;
  private readonly requests: readonly SimRequest[];
  private readonly config: RadixConfig;
  private readonly maxRunning: number;
  private readonly limits: { maxPrefillTokens: number; chunkedPrefillSize: number };
  private readonly initialRatio: number;
  private readonly open: OpenRequests;
  private newTokenRatio: number;
  /** The queue starts at index `head`. */
  private waiting: RadixRequest[] = [];
  private head = 0;
  /** Decoding requests; those that have ended stay until the next decode step looks at them. */
  private running: RadixRequest[] = [];
  private batch: RadixRequest[] = [];
  private prefilling = false;
  /** The request whose prompt was cut. */
  private chunk: RadixRequest | undefined;
  /** No room was found, and nothing has left the batch since. */
  private full = false;

  constructor(
    workload: Workload,
    config: RadixConfig,
    private readonly listener: RequestListener,
  ) {
    const { poolTokens, eviction = 'lru', maxPrefillTokens = 16384, chunkedPrefillSize = 8192 } = config;
    assert(maxInputTokens(config) > 0, 'the pool and the model length leave room for a prompt');
    assert(maxPrefillTokens >= 1 && chunkedPrefillSize >= 1, 'limits are positive');
    this.requests = workload.requests;
    this.open = new OpenRequests(listener);
    this.config = config;
    this.poolTokens = poolTokens;
    this.usableBlocks = poolTokens;
    this.memoryState = new RadixMemory(poolTokens, eviction, config.prefixCaching ?? true);
    this.maxRunning = config.maxRunningRequests ?? defaultMaxRunning(config);
    this.limits = { maxPrefillTokens, chunkedPrefillSize };
    this.initialRatio = Math.min(initialNewTokenRatio * (config.scheduleConservativeness ?? 1), 1);
    this.newTokenRatio = this.initialRatio;
  }

  get unfinished(): number {
    return this.open.size;
  }

  add(index: number): void {
    const request = this.requests[index]!;
    const most = maxInputTokens(this.config) - 1;
    if (request.promptTokens < 1) this.listener.rejected(index, 'the prompt is empty');
    else if (request.promptTokens > most) {
      const { maxModelLen } = this.config;
      const why = `a model length of ${maxModelLen} and a pool of ${this.poolTokens} tokens take prompts of at most ${most}`;
      this.listener.rejected(index, `${request.promptTokens} prompt tokens: ${why}`);
    } else {
      const sequences = sequencesOf(request);
      this.open.add(index, sequences);
      this.enqueue(index, 0, sequences > 1);
    }
  }

  schedule(): boolean {
    clearWork(this.work);
    let scheduled = false;
    while (!scheduled && this.open.size > 0) {
      scheduled = this.prefill();
      if (scheduled) break;
      assert(this.running.length > 0, 'law R11: an empty server admits the head of the queue');
      scheduled = this.decode();
    }
    if (!scheduled) this.newTokenRatio = this.initialRatio;
    const { counters, memoryState } = this;
    counters.evictions = memoryState.tree.evictedTokens;
    counters.sharedBlocksPeak = Math.max(counters.sharedBlocksPeak, memoryState.tree.shared);
    if (scheduled) {
      counters.unsharedBlockSteps += memoryState.unshared;
      counters.savedBlockSteps += memoryState.unshared - memoryState.used;
    }
    return scheduled;
  }

  complete(): boolean {
    const { batch, prefilling } = this;
    const staying: RadixRequest[] = [];
    for (const request of batch) {
      if (request === this.chunk) continue;
      request.output++;
      if (!request.warmsUp) this.open.sampled(request.request);
      if (request.output >= request.finalOutput) this.end(request);
      else if (prefilling) {
        this.memoryState.cacheUnfinished(request, false);
        staying.push(request);
      }
    }
    this.batch = [];
    if (!prefilling) return true;
    if (this.chunk !== undefined) this.memoryState.cacheUnfinished(this.chunk, true);
    if (staying.length < batch.length) this.full = false;
    this.running = this.running.length === 0 ? staying : this.running.concat(staying);
    return true;
  }

  memory(into: MemoryShares): void {
    into.tokenStates = this.memoryState.used;
    into.free = this.memoryState.available;
    into.reserved = 0;
    into.internal = 0;
    into.external = 0;
  }

  queues(into: QueueState): void {
    let running = this.chunk === undefined ? 0 : 1;
    for (const request of this.running) if (!request.ended) running++;
    if (this.prefilling) for (const request of this.batch) if (request !== this.chunk) running++;
    into.running = running;
    into.waiting = this.waiting.length - this.head;
    into.swapped = 0;
    into.usedBlocks = this.memoryState.used;
    into.cachedBlocks = this.memoryState.tree.evictable;
  }

  /** For tests: every law that takes a recount. */
  check(): void {
    const active = new Set(this.running.filter(({ ended }) => !ended));
    for (const request of this.batch) active.add(request);
    if (this.chunk !== undefined) active.add(this.chunk);
    this.memoryState.check([...active]);
    const left = new Map<number, number>();
    for (const { request } of [...active, ...this.waiting.slice(this.head)])
      left.set(request, (left.get(request) ?? 0) + 1);
    assert(left.size === this.open.size, 'law R12: no request is lost');
  }

  private enqueue(index: number, sample: number, warmsUp: boolean): void {
    const request = this.requests[index]!;
    const extra = cacheNamespace(request);
    const root = this.memoryState.tree.root(extra);
    const most = maxRequestTokens(this.config) - request.promptTokens - 1;
    const maxNew = warmsUp ? 0 : Math.min(request.maxTokens, most);
    this.waiting.push(radixRequest({ index, request, sample, extra, root, maxNew, warmsUp }));
  }

  /** A prefill step, if anything can be admitted. */
  private prefill(): boolean {
    if ((this.full || this.waiting.length === this.head) && this.chunk === undefined) return false;
    if (this.config.schedulePolicy === 'lpm') {
      this.dropAdmitted();
      longestPrefixFirst(this.waiting, this.memoryState);
    }
    const admission = new PrefillAdmission(this.memoryState, this.running, this.newTokenRatio, this.limits);
    if (this.chunk !== undefined && !admission.addChunk(this.chunk)) this.chunk = undefined;
    while (this.head < this.waiting.length) {
      const request = this.waiting[this.head]!;
      if (admission.admitted.length >= this.maxRunning - this.running.length) this.full = true;
      if (this.full) break;
      this.memoryState.match(request);
      const { result, cut } = admission.add(request);
      if (admission.admitted.at(-1) === request) {
        this.head++;
        if (cut) this.chunk = request;
        this.countAdmission(request);
      }
      if (result === 'noToken') this.full = true;
      if (result !== 'continue') break;
    }
    if (admission.admitted.length === 0) return false;
    if (this.head > 1024 && this.head * 2 > this.waiting.length) this.dropAdmitted();
    this.memoryState.take(admission.tokens);
    for (const request of admission.admitted) {
      addToWork(this.work, request.committed, request.extend, request !== this.chunk);
      request.committed += request.extend;
    }
    this.batch = admission.admitted;
    this.prefilling = true;
    return true;
  }

  private dropAdmitted(): void {
    this.waiting.splice(0, this.head);
    this.head = 0;
  }

  /** A decode step for all running requests that find a slot; false when none is left. */
  private decode(): boolean {
    const before = this.running.length;
    this.running = this.running.filter(({ ended }) => !ended);
    if (this.running.length > 0) {
      if (this.memoryState.makeRoom(this.running.length)) this.decayRatio();
      else this.retract();
    }
    if (this.running.length < before) this.full = false;
    if (this.running.length === 0) return false;
    this.memoryState.take(this.running.length);
    for (const request of this.running) {
      addToWork(this.work, request.committed, 1, true);
      request.committed++;
    }
    this.batch = this.running;
    this.prefilling = false;
    return true;
  }

  /** Takes back the requests with the least output, the longest prompt among equals, until the others find a slot each. */
  private retract(): void {
    const kept = this.running.toSorted((a, b) => b.output - a.output || a.prompt - b.prompt);
    const retracted: RadixRequest[] = [];
    while (kept.length > 1 && (retracted.length === 0 || !this.memoryState.makeRoom(kept.length))) {
      const request = kept.pop()!;
      this.counters.preemptions++;
      this.counters.preemptedComputedTokens += request.committed;
      this.listener.preempted?.(request.request, request.committed, 'recompute');
      this.memoryState.discard(request);
      this.memoryState.makeRoom(kept.length * retractDecodeSteps);
      retracted.push(request);
    }
    assert(this.memoryState.makeRoom(kept.length), 'law R13: one request alone always finds a slot');
    this.running = kept;
    let decoded = 0;
    let most = 0;
    for (const { output, maxNew } of kept) {
      decoded += output;
      most += maxNew;
    }
    this.newTokenRatio = Math.min(1, (decoded + retractDecodeSteps * kept.length) / (most + 1));
    this.waiting.push(...retracted);
  }

  private decayRatio(): void {
    const least = this.initialRatio * minNewTokenRatioFactor;
    const decay = (this.initialRatio - least) / newTokenRatioDecaySteps;
    this.newTokenRatio = Math.max(this.newTokenRatio - decay, least);
  }

  private countAdmission(request: RadixRequest): void {
    const { counters } = this;
    const known = request.prompt + request.output;
    counters.queriedTokens += known;
    counters.hitTokens += request.prefix;
    counters.queriedBlocks += known;
    counters.hitBlocks += request.prefix;
  }

  private end(request: RadixRequest): void {
    request.ended = true;
    this.memoryState.cacheFinished(request);
    if (!request.warmsUp) this.open.ended(request.request);
    else for (let s = 0; s < this.open.left(request.request); s++) this.enqueue(request.request, s, false);
  }
}
