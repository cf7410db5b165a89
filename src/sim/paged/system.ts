// vLLM's V1 engine as a serving system: scheduler, KV manager and model output put together, with what reaches it from outside
// (arrivals, aborts, cache resets, pauses). The clock is elsewhere (run/).
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
import { neverFits, slackOf } from './fit.ts';
import { KvManager, type PoolMaker } from './kv-manager.ts';
import { mambaSplitter } from './mamba-split.ts';
import { OffloadConnector } from './offload/connector.ts';
import type { OffloadRules } from './offload/rules.ts';
import { type Model, OutputProcessor } from './output.ts';
import { type PauseMode, Scheduler } from './scheduler.ts';
import { Sequence } from './sequence.ts';

export interface PagedOptions {
  /** Drafts accepted by the model; without it none is. */
  accepted?: Model['accepted'];
  /** The scheduler alone, without the engine's front end, which refuses prompts that max_model_len or the pool cannot hold. */
  isBare?: boolean;
  /** A pool of another kind than vLLM's own: one whose memory comes and goes. */
  makePool?: PoolMaker;
  /** A request got its first blocks, or got them anew after a preemption. */
  admitted?: (request: number) => void;
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
  /** Quiet steps counted and not yet settled; contexts and slack when they began. */
  private ahead = 0;
  private quietContext = 0;
  private quietSlack = 0;
  private readonly isBare: boolean;
  private readonly countable: boolean;
  private readonly endsAt: Float64Array;
  private readonly attentionGroups: number;

  constructor(
    readonly config: PagedConfig,
    rules: PagedRules,
    private readonly workload: Workload,
    private readonly listener: RequestListener,
    { accepted = () => 0, isBare = false, makePool, admitted }: PagedOptions = {},
  ) {
    this.isBare = isBare;
    this.kv = new KvManager(config, rules, makePool);
    this.scheduler = new Scheduler(config, rules, this.kv);
    this.scheduler.split = mambaSplitter(config, rules, this.kv);
    if (config.offload) this.scheduler.connector = new OffloadConnector(config, rules.offload as OffloadRules, this.kv);
    this.countable =
      !config.spec && !config.asyncScheduling && !config.offload && (config.prefillScheduleInterval ?? 1) <= 1;
    this.attentionGroups = this.kv.groups.filter(({ type }) => type !== 'mamba').length;
    const { requests } = workload;
    this.endsAt = new Float64Array(requests.length);
    for (let i = 0; i < requests.length; i++) {
      const { promptTokens, outputTokens } = requests[i] as SimRequest;
      // A prompt beyond max_model_len, where the front end lets it through, still gets its first token.
      this.endsAt[i] = Math.max(promptTokens + 1, Math.min(promptTokens + outputTokens, config.maxModelLen));
    }
    const model: Model = { endsAt: this.endsAt, accepted };
    this.output = new OutputProcessor(config, rules, this.kv, this.scheduler, model, {
      firstToken: ({ index }) => listener.firstToken(index),
      finished: (sequence) => this.end(sequence),
    });
    this.work = this.scheduler.work;
    if (admitted) this.scheduler.onAdmit = ({ index }) => admitted(index);
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
    totals.sharedBlocksPeak = this.kv.pool.sharedPeak;
    totals.draftTokens = this.output.stats.draftTokens;
    totals.acceptedTokens = this.output.stats.acceptedTokens;
    const { connector } = this.scheduler;
    if (connector) Object.assign(totals, connector.counters);
    return totals;
  }

  /** A KV connector may need calls after the last request has ended. */
  get busy(): boolean {
    return this.scheduler.connector?.busy === true;
  }

  get mayGrow(): boolean {
    return this.kv.pool.mayGrow;
  }

  get nextArrival(): number {
    return this.scheduler.connector?.nextArrival ?? Number.POSITIVE_INFINITY;
  }

  elapse(seconds: number): void {
    this.scheduler.connector?.elapse(seconds);
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

  get stepsAhead(): number {
    return this.config.asyncScheduling ? 2 : 1;
  }

  add(index: number): void {
    this.settle();
    const request = this.workload.requests[index] as SimRequest;
    const reason = this.isBare ? undefined : neverFits(request, this.config, this.kv);
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
    this.settle();
    const batch = this.spare.pop() ?? new Batch();
    const tokens = this.scheduler.schedule(batch);
    this.scheduledNothing = tokens === 0;
    if (tokens === 0) {
      this.spare.push(batch);
      this.rejectStuck();
      return false;
    }
    this.countSharing();
    this.inFlight.push(batch);
    return true;
  }

  /** The server is not asked for a step, because it cannot compute now: what is in flight ends without one behind it. */
  passOver(): void {
    this.scheduledNothing = true;
  }

  /** What sharing of blocks saves: without it every holder would have a block of its own. */
  private countSharing(): void {
    const { holders, used } = this.kv.pool;
    this.totals.unsharedBlockSteps += holders;
    this.totals.savedBlockSteps += holders - used;
  }

  complete(): boolean {
    const ahead = this.config.asyncScheduling ? 2 : 1;
    const batch = this.inFlight.length >= ahead || this.scheduledNothing ? this.inFlight.shift() : undefined;
    if (batch) {
      this.output.process(batch);
      this.spare.push(batch);
    }
    this.scheduler.connector?.complete();
    return batch !== undefined;
  }

  /**
   * Steps ahead in which every running request decodes one token within its last block, nobody ends and nobody waits for a place.
   * The model's own knowledge of where answers end only says how far to count at once, not what is scheduled.
   */
  quietSteps(): number {
    this.settle();
    const { scheduler, config } = this;
    const { running } = scheduler;
    if (!this.countable || this.inFlight.length > 0 || scheduler.paused !== 'none' || running.length === 0) return 0;
    if (running.length > config.maxNumBatchedTokens) return 0;
    if (scheduler.line.length > 0 && running.length < config.maxNumSeqs) return 0;
    let steps = Number.MAX_SAFE_INTEGER;
    let context = 0;
    for (const sequence of running) {
      const { computed, known } = sequence;
      if (computed !== known - 1 || !sequence.sampled) return 0;
      const untilEnd = (this.endsAt[sequence.index] as number) - known;
      steps = Math.min(steps, sequence.quietUntil - computed, untilEnd - 1);
      if (steps <= 0) return 0;
      context += computed;
    }
    this.quietContext = context;
    this.quietSlack = slackOf(this.kv.groups, this.scheduler.running);
    return steps;
  }

  skipStep(): void {
    const { work } = this;
    const count = this.scheduler.running.length;
    this.ahead++;
    work.tokens = count;
    work.sequences = count;
    work.rows = count;
    work.prefillTokens = 0;
    work.prefillSequences = 0;
    work.prefillAttention = 0;
    work.transferTokens = 0;
    work.decodeContext = this.quietContext + count * this.ahead;
    this.countSharing();
  }

  /** Gives every running request the tokens of the steps that were only counted. */
  private settle(): void {
    if (this.ahead === 0) return;
    for (const sequence of this.scheduler.running) {
      sequence.computed += this.ahead;
      sequence.known += this.ahead;
    }
    this.ahead = 0;
  }

  /** The client goes away: the request leaves its queue and its blocks are free at once, also with a step in flight. */
  abort(index: number): boolean {
    const sequence = this.sequences.get(index);
    if (!sequence) return false;
    const { running } = this.scheduler;
    const place = running.indexOf(sequence);
    if (place >= 0) running.splice(place, 1);
    else this.scheduler.line.remove(sequence);
    sequence.state = 'finished';
    if (!this.scheduler.connector?.end(sequence)) this.kv.free(sequence);
    this.outside.aborted++;
    this.listener.aborted?.(index);
    this.sequences.delete(index);
    this.unfinished--;
    return true;
  }

  /** Drops the prefix cache; with `resetRunning` everything running is preempted first, without which blocks in use refuse it. */
  resetPrefixCache(resetRunning: boolean): boolean {
    const { running } = this.scheduler;
    if (resetRunning && this.scheduler.rules.resetRunning)
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

  /** The requests in the server, for views and tests. */
  get requestsInside(): Iterable<Sequence> {
    return this.sequences.values();
  }

  sequence(index: number): Sequence | undefined {
    return this.sequences.get(index);
  }

  memory(into: MemoryShares): void {
    const { pool } = this.kv;
    // Steps that were only counted fill slots of the last blocks, one a sequence and group.
    const slack =
      this.ahead > 0
        ? this.quietSlack - this.ahead * this.scheduler.running.length * this.attentionGroups
        : slackOf(this.kv.groups, this.scheduler.running);
    into.reserved = 0;
    into.external = 0;
    into.internal = slack;
    into.tokenStates = pool.used * this.config.blockSize - slack;
    into.free = (pool.usable - pool.used) * this.config.blockSize;
  }

  queues(into: QueueState): void {
    into.running = this.scheduler.running.length;
    into.waiting = this.scheduler.line.length;
    into.swapped = 0;
    into.usedBlocks = this.kv.pool.used;
    into.cachedBlocks = this.kv.pool.cachedFree;
  }

  private end(sequence: Sequence): void {
    this.sequences.delete(sequence.index);
    this.unfinished--;
    this.listener.finished(sequence.index);
  }

  /** Nothing runs, nothing is in flight, nothing was given back, and still nobody was admitted: the head of the queue never will be. */
  private rejectStuck(): void {
    const { scheduler } = this;
    const idle = this.inFlight.length === 0 && !scheduler.preempted && scheduler.connector?.moving !== true;
    if (scheduler.running.length > 0 || scheduler.line.length === 0 || scheduler.paused !== 'none') return;
    if ((!idle && !scheduler.outgrown) || this.mayGrow) return;
    const stuck = scheduler.outgrown ?? scheduler.line.next.peek();
    this.reject(stuck, `its ${stuck.known} tokens can never be admitted, with nothing else in the server`);
  }

  /** Memory from outside will never come: the head of the queue is refused for good. False when there is none to refuse. */
  giveUp(): boolean {
    const { line } = this.scheduler;
    const head = line.length > 0 ? line.next.peek() : undefined;
    if (!head || head.state === 'loading') return false;
    this.reject(head, `memory for its ${head.known} tokens never came free, others held it to the end`);
    return true;
  }

  private reject(sequence: Sequence, reason: string): void {
    const { scheduler } = this;
    if (sequence.state === 'loading') return;
    scheduler.line.remove(sequence);
    sequence.state = 'finished';
    if (!scheduler.connector?.end(sequence)) this.kv.free(sequence);
    this.sequences.delete(sequence.index);
    this.unfinished--;
    this.listener.rejected(sequence.index, reason);
  }
}
