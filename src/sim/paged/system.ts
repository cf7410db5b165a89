// vLLM's V1 engine as a serving system: scheduler, KV manager and model output put together, with what reaches it from outside
// (arrivals, aborts, cache resets, pauses). The clock is elsewhere (run/).

import { divCeil } from '../../units.ts';
import { zeroCounters } from '../step-work.ts';
import type {
  MemoryShares,
  QueueState,
  RequestListener,
  ServingSystem,
  SimRequest,
  StepWork,
  SystemCounters,
  Workload,
} from '../types.ts';
import { Batch } from './batch.ts';
import type { PagedConfig, PagedRules } from './config.ts';
import { KvManager } from './kv-manager.ts';
import { mambaSplitter } from './mamba-split.ts';
import { type Model, OutputProcessor } from './output.ts';
import { type PauseMode, Scheduler } from './scheduler.ts';
import { Sequence } from './sequence.ts';

export interface PagedOptions {
  /** Drafts accepted by the model; without it none is. */
  accepted?: Model['accepted'];
}

export class PagedSystem implements ServingSystem {
  readonly kv: KvManager;
  readonly scheduler: Scheduler;
  readonly output: OutputProcessor;
  readonly work: StepWork;
  unfinished = 0;
  /** Aborts that found their request unfinished; resets done and refused. */
  readonly outside = { aborted: 0, resets: 0, resetsRefused: 0 };
  private readonly totals = zeroCounters();
  private readonly sequences = new Map<number, Sequence>();
  private arrivals = 0;
  /** Steps whose output is not processed; asynchronous scheduling runs one ahead. */
  private readonly inFlight: Batch[] = [];
  private readonly spare: Batch[] = [];
  private scheduledNothing = false;

  constructor(
    readonly config: PagedConfig,
    rules: PagedRules,
    private readonly workload: Workload,
    private readonly listener: RequestListener,
    { accepted = () => 0 }: PagedOptions = {},
  ) {
    this.kv = new KvManager(config, rules);
    this.scheduler = new Scheduler(config, rules, this.kv);
    this.scheduler.split = mambaSplitter(config, rules, this.kv.dropsLast, this.kv.keyLookahead);
    const { requests } = workload;
    const model: Model = { outputTokens: (index) => (requests[index] as SimRequest).outputTokens, accepted };
    this.output = new OutputProcessor(config, rules, this.kv, this.scheduler, model, {
      firstToken: ({ index }) => listener.firstToken(index),
      finished: (sequence) => this.end(sequence),
    });
    this.work = { ...this.scheduler.sums, transferTokens: 0 };
    this.scheduler.onPreempt = ({ index }, computed) => listener.preempted?.(index, computed, 'recompute');
  }

  get counters(): SystemCounters {
    const { stats } = this.scheduler;
    const { totals } = this;
    totals.preemptions = stats.preemptions;
    totals.preemptedComputedTokens = stats.preemptedComputedTokens;
    totals.queriedTokens = stats.queriedTokens;
    totals.hitTokens = stats.prefixHitTokens;
    totals.queriedBlocks = stats.queriedBlocks;
    totals.hitBlocks = stats.hitBlocks;
    totals.evictions = this.kv.pool.evictions;
    return totals;
  }

  get poolTokens(): number {
    return this.kv.pool.usable * this.config.blockSize;
  }

  get usableBlocks(): number {
    return this.kv.pool.usable;
  }

  get blockSize(): number {
    return this.config.blockSize;
  }

  add(index: number): void {
    const request = this.workload.requests[index] as SimRequest;
    const reason = this.neverFits(request);
    if (reason !== undefined) {
      this.listener.rejected(index, reason);
      return;
    }
    const sequence = new Sequence(index, request, this.arrivals++, this.kv.tables(request.promptTokens));
    this.sequences.set(index, sequence);
    this.unfinished++;
    this.scheduler.add(sequence);
  }

  schedule(): boolean {
    const batch = this.spare.pop() ?? new Batch();
    const tokens = this.scheduler.schedule(batch);
    this.scheduledNothing = tokens === 0;
    if (tokens === 0) {
      this.spare.push(batch);
      this.rejectStuck();
      return false;
    }
    Object.assign(this.work, this.scheduler.sums);
    this.inFlight.push(batch);
    return true;
  }

  complete(): boolean {
    const ahead = this.config.asyncScheduling ? 2 : 1;
    if (this.inFlight.length === 0 || (this.inFlight.length < ahead && !this.scheduledNothing)) return false;
    const batch = this.inFlight.shift() as Batch;
    this.output.process(batch);
    this.spare.push(batch);
    return true;
  }

  /** The client goes away: the request leaves its queue and its blocks are free at once, also with a step in flight. */
  abort(index: number): boolean {
    const sequence = this.sequences.get(index);
    if (!sequence) return false;
    const { running } = this.scheduler;
    const place = running.indexOf(sequence);
    if (place >= 0) running.splice(place, 1);
    else this.scheduler.removeWaiting(sequence);
    sequence.state = 'finished';
    this.kv.free(sequence);
    this.outside.aborted++;
    this.sequences.delete(index);
    this.unfinished--;
    return true;
  }

  /** Drops the prefix cache; with `resetRunning` everything running is preempted first, without which blocks in use refuse it. */
  resetPrefixCache(resetRunning: boolean): boolean {
    const { running } = this.scheduler;
    if (resetRunning)
      for (let sequence = running.pop(); sequence; sequence = running.pop()) {
        this.scheduler.preempt(sequence, false, true);
        this.output.discardInFlight(sequence);
      }
    const done = this.kv.pool.reset();
    if (done) this.outside.resets++;
    else this.outside.resetsRefused++;
    return done;
  }

  pause(mode: PauseMode): void {
    this.scheduler.paused = mode;
  }

  sequence(index: number): Sequence | undefined {
    return this.sequences.get(index);
  }

  memory(into: MemoryShares): void {
    const { pool } = this.kv;
    let slack = 0;
    for (const sequence of this.scheduler.running) slack += this.slackOf(sequence);
    into.reserved = 0;
    into.external = 0;
    into.internal = slack;
    into.tokenStates = pool.used * this.config.blockSize - slack;
    into.free = pool.free * this.config.blockSize;
  }

  queues(into: QueueState): void {
    into.running = this.scheduler.running.length;
    into.waiting = this.scheduler.waitingCount;
    into.swapped = 0;
    into.usedBlocks = this.kv.pool.used;
    into.cachedBlocks = this.kv.pool.cachedFree;
  }

  /** Slots of the blocks a sequence holds that no computed token fills. */
  private slackOf(sequence: Sequence): number {
    const { groups } = this.kv;
    let slack = 0;
    for (let g = 0; g < groups.length; g++) {
      const table = sequence.tables[g];
      if (!table || groups[g]?.type === 'mamba') continue;
      slack += Math.max(0, table.length * (groups[g]?.blockSize ?? 0) - sequence.computed);
    }
    return slack;
  }

  private end(sequence: Sequence): void {
    this.sequences.delete(sequence.index);
    this.unfinished--;
    this.listener.finished(sequence.index);
  }

  /** vLLM refuses prompts that leave no room for a token, and no start-up lets one request outgrow the pool. */
  private neverFits(request: SimRequest): string | undefined {
    const { maxModelLen, spec } = this.config;
    if (request.promptTokens >= maxModelLen)
      return `the prompt has ${request.promptTokens} tokens, max_model_len is ${maxModelLen}`;
    const ahead = spec && spec.method !== 'ngram' ? spec.tokens : 0;
    const tokens = Math.min(request.promptTokens + request.outputTokens + ahead, maxModelLen);
    let blocks = 0;
    for (const group of this.kv.groups) blocks += group.type === 'full' ? divCeil(tokens, group.blockSize) : 1;
    if (blocks > this.kv.pool.usable)
      return `it needs ${blocks} blocks for ${tokens} tokens, the pool has ${this.kv.pool.usable}`;
    return undefined;
  }

  /** Nothing runs, nothing is in flight, everything is free, and still the head of the queue was refused: it never will run. */
  private rejectStuck(): void {
    const { scheduler } = this;
    if (this.inFlight.length > 0 || scheduler.running.length > 0 || scheduler.paused !== 'none') return;
    const { stuck } = scheduler;
    if (!stuck) return;
    scheduler.removeWaiting(stuck);
    stuck.state = 'finished';
    this.sequences.delete(stuck.index);
    this.unfinished--;
    this.listener.rejected(stuck.index, `its ${stuck.known} tokens can never be admitted: the whole pool is free`);
  }
}
