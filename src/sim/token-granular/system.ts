// A server whose KV memory is single token slots with an index table per request, as LightLLM's: nothing is wasted inside a block,
// because there are none. Law: lightllm/common/mem_manager.py and server/router (ModelTC/lightllm fc72ffa) with --disable_chunked_prefill
// and without its prompt cache: a new batch is prefilled as soon as the estimated peak allows it, a decode step follows every
// prefill, and when a decode step finds too few slots the request that came last is paused and later starts again. Requests are
// admitted between steps (there: beside the decode step). n samples of a prompt are n requests.
import { assert } from '../../assert.ts';
import { Deque } from '../deque.ts';
import { OpenRequests, refusal, sequencesOf } from '../requests.ts';
import { addToWork, clearWork, emptyWork, zeroCounters } from '../step-work.ts';
import type { MemoryShares, QueueState, RequestListener, ServingSystem, SimRequest, Workload } from '../types.ts';
import { addedOutput, PeakEstimate, type TokenNeed } from './admission.ts';

export interface TokenGranularConfig {
  readonly poolTokens: number;
  /** max_req_total_len: input and output together. */
  readonly maxModelLen: number;
  readonly maxRunningRequests?: number;
  /** Tokens of one prefill batch; default: the model's length. */
  readonly maxPrefillTokens?: number;
  /**
   * router_token_ratio: below this share of used slots a request is expected to generate newTokenEstimate tokens or 1.1 times
   * what it has; above it, and always at the default 0, all of its max_tokens, so that nobody is ever paused.
   */
  readonly tokenRatio?: number;
  readonly newTokenEstimate?: number;
}

interface TokenRequest {
  readonly request: number;
  readonly prompt: number;
  readonly maxNew: number;
  /** Output at which the model ends it: no scheduler reads this. */
  readonly finalOutput: number;
  output: number;
  /** Slots held: tokens whose KV is there, this step's included. */
  slots: number;
  paused: boolean;
}

export class TokenGranularSystem implements ServingSystem {
  readonly poolTokens: number;
  readonly usableBlocks: number;
  readonly blockSize = 1;
  readonly work = emptyWork();
  readonly counters = zeroCounters();
  private readonly requests: readonly SimRequest[];
  private readonly maxModelLen: number;
  private readonly maxRunning: number;
  private readonly maxPrefill: number;
  private readonly tokenRatio: number;
  private readonly newTokens: number;
  private readonly open: OpenRequests;
  private readonly waiting = new Deque<TokenRequest>();
  private running: TokenRequest[] = [];
  private batch: TokenRequest[] = [];
  private used = 0;
  private pausedCount = 0;
  /** A prefill step has just been, so that a decode step comes next. */
  private decodeNext = false;
  /** The head of the queue did not fit, and nobody has ended or been paused since. */
  private blocked = false;

  constructor(
    workload: Workload,
    config: TokenGranularConfig,
    private readonly listener: RequestListener,
  ) {
    this.requests = workload.requests;
    this.open = new OpenRequests(listener);
    this.poolTokens = config.poolTokens;
    this.usableBlocks = config.poolTokens;
    this.maxModelLen = config.maxModelLen;
    this.maxRunning = config.maxRunningRequests ?? 1000;
    this.maxPrefill = config.maxPrefillTokens ?? config.maxModelLen;
    this.tokenRatio = config.tokenRatio ?? 0;
    this.newTokens = config.newTokenEstimate ?? 1024;
    assert(this.maxPrefill >= this.maxModelLen, 'a prefill batch holds the longest request');
    assert(this.maxRunning >= 1, 'limits are positive');
  }

  get unfinished(): number {
    return this.open.size;
  }

  add(index: number): void {
    const request = this.requests[index]!;
    const { promptTokens, maxTokens, outputTokens } = request;
    const maxNew = Math.min(maxTokens, this.maxModelLen - promptTokens);
    const reason = refusal(request, this.maxModelLen) ?? this.tooLarge(promptTokens, maxNew);
    if (reason !== undefined) {
      this.listener.rejected(index, reason);
      return;
    }
    const sequences = sequencesOf(request);
    this.open.add(index, sequences);
    const finalOutput = Math.max(1, Math.min(outputTokens, maxNew));
    for (let sample = 0; sample < sequences; sample++) {
      this.waiting.push({
        request: index,
        prompt: promptTokens,
        maxNew,
        finalOutput,
        output: 0,
        slots: 0,
        paused: false,
      });
    }
  }

  schedule(): boolean {
    clearWork(this.work);
    if (this.decodeNext && this.running.length === 0) this.decodeNext = false;
    if (!this.decodeNext && this.prefill()) return true;
    if (this.running.length === 0) {
      assert(this.open.size === 0, 'law T1: an empty server admits the head of the queue');
      return false;
    }
    this.pauseUntilFits();
    for (const request of this.running) this.take(request, 1);
    this.batch = this.running;
    this.decodeNext = false;
    return true;
  }

  complete(): boolean {
    let ended = false;
    for (const request of this.batch) {
      request.output++;
      this.open.sampled(request.request);
      if (request.output < request.finalOutput) continue;
      ended = true;
      this.release(request);
      this.open.ended(request.request);
    }
    this.batch = [];
    if (ended) {
      this.running = this.running.filter(({ slots }) => slots > 0);
      this.blocked = false;
    }
    return true;
  }

  memory(into: MemoryShares): void {
    into.tokenStates = this.used;
    into.free = this.poolTokens - this.used;
    into.reserved = 0;
    into.internal = 0;
    into.external = 0;
  }

  queues(into: QueueState): void {
    into.running = this.running.length;
    into.waiting = this.waiting.length;
    into.swapped = 0;
    into.usedBlocks = this.used;
    into.cachedBlocks = 0;
  }

  /** For tests: every law that takes a recount. */
  check(): void {
    const all = [...this.running, ...this.waiting];
    let slots = 0;
    for (const request of all) {
      slots += request.slots;
      assert(request.slots <= request.prompt + request.output, 'law T2: one slot per known token at most');
    }
    assert(slots === this.used && this.used <= this.poolTokens, 'law T3: used + free = all');
    assert(this.open.matches(all), 'law T4: no request and no sequence is lost');
    assert(
      [...this.waiting].filter(({ paused }) => paused).length === this.pausedCount,
      'law T5: paused requests wait',
    );
  }

  private tooLarge(prompt: number, maxNew: number): string | undefined {
    if (prompt + maxNew + addedOutput < this.poolTokens) return undefined;
    return `${prompt} prompt tokens and ${maxNew} of output need more than the whole pool of ${this.poolTokens}`;
  }

  /** Takes requests from the queue while their estimated peak fits, and computes their prompts in one step. */
  private prefill(): boolean {
    if (this.blocked || this.running.length + this.pausedCount >= this.maxRunning) return false;
    const busy = this.used / this.poolTokens >= this.tokenRatio;
    const estimate = new PeakEstimate();
    let tokens = 0;
    const admitted: TokenRequest[] = [];
    for (let request = this.waiting.first(); request !== undefined; request = this.waiting.first()) {
      if (admitted.length === 0) for (const other of this.running) estimate.add(this.need(other, busy));
      estimate.add(this.need(request, busy));
      tokens += request.prompt + request.output;
      const fits = estimate.peak() < this.poolTokens && tokens <= this.maxPrefill;
      if (!fits || estimate.size + this.pausedCount - (request.paused ? 1 : 0) > this.maxRunning) {
        this.blocked = this.tokenRatio === 0;
        break;
      }
      this.waiting.shift();
      if (request.paused) this.pausedCount--;
      request.paused = false;
      admitted.push(request);
    }
    if (admitted.length === 0) return false;
    for (const request of admitted) {
      this.take(request, request.prompt + request.output);
      this.counters.queriedTokens += request.prompt + request.output;
      this.counters.queriedBlocks += request.prompt + request.output;
      this.running.push(request);
    }
    this.batch = admitted;
    this.decodeNext = true;
    return true;
  }

  /** present = tokens and one more; left = what it is expected to generate after that, and the margin. */
  private need({ prompt, output, maxNew, slots }: TokenRequest, busy: boolean): TokenNeed {
    const expected = busy ? maxNew : Math.min(maxNew, Math.max(Math.floor(1.1 * output), this.newTokens));
    return {
      present: Math.max(prompt + output, slots) + 1,
      left: Math.max(0, expected - output - 1) + addedOutput,
    };
  }

  /** Every running request needs a slot; until there are enough, the one that came last goes back to the front of the queue. */
  private pauseUntilFits(): void {
    while (this.used + this.running.length > this.poolTokens) {
      const request = this.running.pop();
      assert(request !== undefined && this.running.length > 0, 'law T6: one request alone always finds a slot');
      this.counters.preemptions++;
      this.counters.preemptedComputedTokens += request.slots;
      this.listener.preempted?.(request.request, request.slots, 'recompute');
      this.release(request);
      request.paused = true;
      this.pausedCount++;
      this.waiting.unshift(request);
      this.blocked = false;
    }
  }

  private take(request: TokenRequest, tokens: number): void {
    addToWork(this.work, request.slots, tokens, true);
    request.slots += tokens;
    this.used += tokens;
    assert(this.used <= this.poolTokens, 'law T3: no more slots are used than there are');
  }

  private release(request: TokenRequest): void {
    this.used -= request.slots;
    request.slots = 0;
  }
}
