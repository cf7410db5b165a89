// vLLM's V1 scheduler, one call at a time: RUNNING first, then WAITING, within a budget of tokens; chunked prefill, preemption by
// recompute, head-of-line waiting. It knows a request's max_tokens, never when it will really end (output.ts plays the model).
// Law: vllm/v1/core/sched/scheduler.py and async_scheduler.py; where releases differ, PagedRules.
import { assert } from '../../assert.ts';
import { admittedFlag, Batch, samplesFlag } from './batch.ts';
import type { PagedConfig, PagedRules } from './config.ts';
import type { AllocateOptions, KvManager } from './kv-manager.ts';
import { lookaheadTokens } from './lookahead.ts';
import { askAgain, type OffloadConnector } from './offload/connector.ts';
import { makeQueue, type WaitingQueue } from './queue.ts';
import type { Sequence } from './sequence.ts';

export interface SchedulerStats {
  preemptions: number;
  preemptedComputedTokens: number;
  prefixHitTokens: number;
  queriedTokens: number;
  /** Whole blocks: hits, and those asked for. */
  hitBlocks: number;
  queriedBlocks: number;
}

/** Sums over the sequences of the step being built (StepWork of types.ts). */
export interface StepSums {
  tokens: number;
  sequences: number;
  prefillTokens: number;
  prefillSequences: number;
  decodeContext: number;
  prefillAttention: number;
  rows: number;
}

export const pauseModes = ['none', 'new', 'all'] as const;
export type PauseMode = (typeof pauseModes)[number];

export class Scheduler {
  running: Sequence[] = [];
  readonly waiting: WaitingQueue;
  /** Waiting requests that were passed over, where the release keeps them apart. */
  private readonly passedOver: WaitingQueue | undefined;
  /** Waiting requests that hold blocks (a connector loads into them), where the release lets them go first. */
  private readonly holding: WaitingQueue | undefined;
  paused: PauseMode = 'none';
  readonly stats: SchedulerStats = {
    preemptions: 0,
    preemptedComputedTokens: 0,
    prefixHitTokens: 0,
    queriedTokens: 0,
    hitBlocks: 0,
    queriedBlocks: 0,
  };
  readonly sums: StepSums = {
    tokens: 0,
    sequences: 0,
    prefillTokens: 0,
    prefillSequences: 0,
    decodeContext: 0,
    prefillAttention: 0,
    rows: 0,
  };
  onPreempt: ((sequence: Sequence, computed: number) => void) | undefined;
  /** Cuts a prefill chunk to where a Mamba state has to be kept (align mode). */
  split: ((sequence: Sequence, tokens: number, hitTokens: number) => number) | undefined;

  /** Brings KV from elsewhere, and takes it there. */
  connector: OffloadConnector | undefined;

  private batch = new Batch();
  private budget = 0;
  private inputBudget = 0;
  /** A request that the whole pool could not hold: it preempted itself with everything free. */
  outgrown: Sequence | undefined;
  /** Somebody was preempted in this call. */
  preempted = false;
  private threshold = 0;
  private prefillScheduled = false;
  private prefillAdmitted = false;
  private deferPrefills = false;
  private executedSteps = 0;
  private lastPrefillStep: number;
  private readonly prefillInterval: number;
  private capacityBound = false;
  private readonly loras = new Set<number>();
  private readonly byPriority: boolean;
  private readonly lookahead: number;
  /** Of an allocation for a running request. */
  private readonly stepOptions: AllocateOptions;
  private readonly draftTokens: number;
  private readonly slotsPerSequence: number;
  private readonly watermarkBlocks: number;

  constructor(
    readonly config: PagedConfig,
    readonly rules: PagedRules,
    readonly kv: KvManager,
  ) {
    const { spec } = config;
    this.byPriority = config.policy === 'priority' && rules.priorityPolicy;
    const policy = this.byPriority ? 'priority' : 'fcfs';
    this.waiting = makeQueue(policy);
    this.passedOver = rules.skippedQueue === 'own' ? makeQueue(policy) : undefined;
    this.holding = config.offload && rules.offload?.loadsGoFirst ? makeQueue(policy) : undefined;
    this.draftTokens = spec?.tokens ?? 0;
    this.lookahead = lookaheadTokens(config, rules);
    this.stepOptions = { lookahead: this.lookahead };
    this.slotsPerSequence = spec?.method === 'draft_model' && rules.draftSlots !== 'none' ? 1 : 0;
    this.watermarkBlocks = rules.watermark ? Math.floor((config.watermark ?? 0) * config.numBlocks) : 0;
    this.prefillInterval = rules.prefillInterval ? (config.prefillScheduleInterval ?? 1) : 1;
    this.lastPrefillStep = -this.prefillInterval;
  }

  /** The waiting request that is tried first. */
  get head(): Sequence {
    return this.nextQueue().peek();
  }

  get waitingCount(): number {
    return this.waiting.length + (this.passedOver?.length ?? 0) + (this.holding?.length ?? 0);
  }

  add(sequence: Sequence): void {
    this.waiting.add(sequence);
  }

  /** Takes a waiting sequence out of its queue. */
  removeWaiting(sequence: Sequence): void {
    if (this.waiting.remove(sequence) || this.passedOver?.remove(sequence)) return;
    this.holding?.remove(sequence);
  }

  /** Fills `batch` with the next step; the caller keeps it until the step's output. */
  schedule(batch: Batch): number {
    this.begin(batch);
    this.scheduleRunning();
    if (!this.preempted && this.paused === 'none') this.scheduleWaiting();
    const scheduled = this.finishStep();
    return scheduled;
  }

  private begin(batch: Batch): void {
    const { config, rules, sums } = this;
    batch.clear();
    this.batch = batch;
    this.preempted = false;
    this.outgrown = undefined;
    this.prefillScheduled = false;
    this.prefillAdmitted = false;
    sums.tokens = sums.sequences = sums.prefillTokens = sums.prefillSequences = 0;
    sums.decodeContext = sums.prefillAttention = sums.rows = 0;
    const off = rules.draftSlots === 'perSequenceLimit' ? this.slotsPerSequence * config.maxNumSeqs : 0;
    this.budget = this.paused === 'all' ? 0 : config.maxNumBatchedTokens - off;
    this.inputBudget = rules.draftSlots === 'perScheduled' ? config.maxNumBatchedTokens : Number.MAX_SAFE_INTEGER;
    this.threshold = config.longPrefillTokenThreshold;
    if (this.threshold > 0) {
      const eligible = this.running.length + this.waitingCount;
      if (rules.longPrefillScope === 'unlessAlone' && eligible <= 1) this.threshold = 0;
      else if (config.longPrefillAdaptive && rules.longPrefillAdaptive)
        this.threshold = Math.max(this.threshold, Math.floor(config.maxNumBatchedTokens / eligible));
    }
    const interval = this.prefillInterval;
    this.deferPrefills =
      interval > 1 &&
      !this.capacityBound &&
      this.executedSteps + 1 - this.lastPrefillStep < interval &&
      this.running.some((sequence) => !sequence.isPrefillChunk);
    this.kv.newStep();
  }

  private get slots(): number {
    return this.rules.draftSlots === 'perScheduled' ? this.slotsPerSequence : 0;
  }

  private scheduleRunning(): void {
    const { config, rules, threshold, split, slots } = this;
    const requestEnd = rules.lengthCap === 'requestEnd';
    const modelEnd = config.maxModelLen - (rules.lengthCap === 'length' ? 0 : 1);
    for (let i = 0; i < this.running.length && this.budget > 0; ) {
      const sequence = this.running[i] as Sequence;
      if (this.inputBudget <= slots) break;
      const { computed } = sequence;
      if ((sequence.placeholders > 0 || this.deferPrefills) && this.passesOver(sequence)) {
        i++;
        continue;
      }
      let tokens = sequence.known + sequence.drafts + sequence.placeholders - computed;
      if (tokens > 1) {
        if (threshold > 0 && tokens > threshold) tokens = threshold;
        tokens = Math.min(tokens, this.budget, this.inputBudget - slots);
      }
      const end = requestEnd ? Math.min(sequence.prompt + sequence.maxTokens, config.maxModelLen) - 1 : modelEnd;
      if (tokens > end - computed) tokens = end - computed;
      if (split) tokens = split(sequence, tokens, 0);
      if (tokens <= 0) {
        i++;
        continue;
      }
      if (computed + tokens > sequence.quietUntil) {
        const place = this.makeRoom(sequence, tokens, i);
        if (place === stopped) break;
        if (place < 0) {
          i = -place - 1;
          continue;
        }
        i = place;
      }
      const drafts = sequence.drafts > 0 ? this.takeDrafts(sequence, tokens) : 0;
      if (sequence.isPrefillChunk) this.prefillScheduled = true;
      this.budget -= tokens;
      this.inputBudget -= tokens + slots;
      this.batch.add(sequence, tokens, drafts, 0);
      i++;
    }
  }

  /** Asynchronous: all remaining output is in flight; or the step is kept free of prefills. */
  private passesOver({ placeholders, computed, prompt, maxTokens, isPrefillChunk }: Sequence): boolean {
    if (placeholders > 0 && this.rules.skipFinishing && computed + 2 - placeholders >= prompt + maxTokens) return true;
    return this.deferPrefills && isPrefillChunk;
  }

  /** Of the tokens scheduled, those behind the known ones are drafts to verify. */
  private takeDrafts(sequence: Sequence, tokens: number): number {
    const behind = tokens + sequence.computed - sequence.known - sequence.placeholders;
    const drafts = behind > 0 ? Math.min(behind, sequence.drafts) : 0;
    if (this.rules.clearDrafts !== 'byOutput') sequence.drafts = 0;
    else if (drafts > 0) sequence.drafts = drafts;
    return drafts;
  }

  /**
   * Allocates for a running sequence, preempting others while blocks lack. Returns its place in RUNNING; -(i + 1) to go on at
   * place i without it; or `stopped` to end the phase.
   */
  private makeRoom(sequence: Sequence, tokens: number, place: number): number {
    const { rules, byPriority } = this;
    let i = place;
    for (;;) {
      if (this.kv.allocate(sequence, tokens, this.stepOptions)) return i;
      let victim = this.running[this.running.length - 1] as Sequence;
      if (byPriority) {
        victim = this.lowestPriority();
        const index = this.running.indexOf(victim);
        this.running.splice(index, 1);
        const scheduled = victim.scheduled > 0;
        if (scheduled && rules.victim !== 'staysScheduled') {
          this.budget += victim.scheduled;
          this.inputBudget += victim.scheduled + this.slots;
          this.batch.remove(victim);
        }
        if (rules.victim === 'stepsBack' ? index < i : scheduled && rules.victim === 'returnsBudget') i--;
      } else this.running.pop();
      this.preempt(victim, true);
      this.preempted = true;
      if (victim !== sequence) continue;
      if (this.kv.pool.used === 0) this.outgrown = sequence;
      return byPriority && rules.selfPreemption === 'continueUnderPriority' ? -i - 1 : stopped;
    }
  }

  private lowestPriority(): Sequence {
    let lowest = this.running[0] as Sequence;
    for (const sequence of this.running) if (lowest.goesBefore(sequence)) lowest = sequence;
    return lowest;
  }

  /** Back to waiting with nothing computed. Output in flight is counted, or marked stale, by release. */
  preempt(sequence: Sequence, forBlocks: boolean, dropOutput = false): void {
    const { rules, stats } = this;
    if (forBlocks) {
      stats.preemptions++;
      stats.preemptedComputedTokens += sequence.computed;
      this.onPreempt?.(sequence, sequence.computed);
    }
    this.kv.free(sequence);
    this.connector?.preempt(sequence, forBlocks);
    sequence.state = 'preempted';
    sequence.computed = 0;
    sequence.preemptions++;
    if (rules.clearDrafts === 'andAtPreemption') sequence.drafts = 0;
    if (rules.staleOutput === 'uncounted') {
      sequence.dropStale = dropOutput || (sequence.dropStale && sequence.stale > 0);
      sequence.stale = sequence.inFlight;
      sequence.placeholders = 0;
    }
    this.waiting.putBack(sequence);
  }

  private scheduleWaiting(): void {
    const { config, rules } = this;
    const slots = this.slots;
    this.collectLoras();
    const skipped: Sequence[] = [];
    const skip = (queue: WaitingQueue): void => void skipped.push(queue.pop());
    while (this.waitingCount > 0 && this.budget > 0 && this.inputBudget > slots) {
      if (this.running.length >= config.maxNumSeqs) break;
      const queue = this.nextQueue();
      const sequence = queue.peek();
      if (sequence.state === 'loading' && !this.resumeLoaded(sequence)) {
        skip(queue);
        continue;
      }
      if (sequence.stale > 0 && !sequence.dropStale && rules.staleOutput === 'uncounted') {
        skip(queue);
        continue;
      }
      if (
        config.maxLoras &&
        sequence.lora > 0 &&
        this.loras.size === config.maxLoras &&
        !this.loras.has(sequence.lora)
      ) {
        skip(queue);
        continue;
      }
      const fresh = sequence.computed === 0;
      const hit = fresh ? this.kv.lookup(sequence) : sequence.computed;
      if (fresh && this.connector) {
        const external = this.connector.matched(sequence, hit);
        if (external === askAgain) {
          skip(queue);
          continue;
        }
        if (external > 0) {
          if (!this.load(sequence, hit, external)) break;
          skip(queue);
          continue;
        }
      }
      if (fresh) sequence.sharedPrefixBoundary = this.kv.longestKindHit > hit ? this.kv.longestKindHit : 0;
      if (this.deferPrefills && hit < sequence.known - 1) break;
      const room = Math.min(this.budget, this.inputBudget - slots);
      const chunk = this.admissionChunk(sequence, hit, room);
      if (chunk === 'stop') break;
      if (chunk === 'skip') {
        skip(queue);
        continue;
      }
      const admitted = this.kv.allocate(sequence, chunk.tokens, {
        lookahead: rules.lookaheadAtAdmission || !fresh ? this.lookahead : 0,
        useHit: fresh,
        hitTokens: fresh ? hit : 0,
        gate: config.reserveFullPrompt && rules.promptGate,
        watermark: this.running.length > 0 ? this.watermarkBlocks : 0,
      });
      if (!admitted) {
        break;
      }
      queue.pop();
      this.admit(sequence, hit, chunk.tokens, chunk.padding, slots);
    }
    this.putBackSkipped(skipped);
    if (!this.deferPrefills)
      this.capacityBound =
        rules.prefillCapacity === 'queue' ? this.waiting.length > 0 : this.waitingCount > skipped.length;
  }

  /** Takes blocks for what a connector brings; the request holds them and is not scheduled before the load is done. */
  private load(sequence: Sequence, hit: number, external: number): boolean {
    const { config, rules, stats } = this;
    const connector = this.connector as OffloadConnector;
    const limited = !rules.lookaheadAtAdmission || config.spec?.method === 'eagle';
    const allocated = this.kv.allocate(sequence, 0, {
      lookahead: limited ? 0 : this.lookahead,
      useHit: true,
      hitTokens: hit,
      externalTokens: external,
      delayRegister: true,
      gate: config.reserveFullPrompt && rules.promptGate,
      watermark: this.running.length > 0 ? this.watermarkBlocks : 0,
      reserved: connector.reserved,
    });
    if (!allocated) return false;
    connector.startLoad(sequence, hit, external);
    sequence.state = 'loading';
    sequence.computed = hit + external;
    stats.queriedTokens += sequence.known;
    stats.queriedBlocks += Math.floor(sequence.known / this.kv.schedulerBlockSize);
    stats.hitBlocks += Math.floor(hit / this.kv.schedulerBlockSize);
    return true;
  }

  /** A load has arrived: its blocks become findable; of a prompt loaded whole, the last token is computed again. */
  private resumeLoaded(sequence: Sequence): boolean {
    if (!this.connector?.arrived(sequence)) return false;
    this.kv.register(sequence, sequence.computed);
    if (sequence.computed === sequence.known) sequence.computed--;
    sequence.state = sequence.preemptions > 0 ? 'preempted' : 'waiting';
    return true;
  }

  /** How much of a waiting request goes into this step. */
  private admissionChunk(
    sequence: Sequence,
    hit: number,
    room: number,
  ): { tokens: number; padding: number } | 'skip' | 'stop' {
    const { config, rules } = this;
    let tokens = sequence.known - hit;
    let padding = 0;
    if (tokens === 1 && this.draftTokens > 0 && this.paddingApplies(hit)) {
      const padded = 1 + this.draftTokens;
      const strict = rules.padDrafts === 'besideDecodes';
      const fits = hit + padded + (strict ? 0 : 1) <= config.maxModelLen;
      if (strict ? padded > room || !fits : fits && padded > room) return 'stop';
      if (fits) {
        tokens = padded;
        padding = this.draftTokens;
      }
    }
    if (this.threshold > 0 && tokens > this.threshold) tokens = this.threshold;
    if (!config.chunkedPrefill && tokens > room && rules.unchunkedPrompt !== 'cut') return rules.unchunkedPrompt;
    tokens = Math.min(tokens, room);
    if (this.split) {
      tokens = this.split(sequence, tokens, hit);
      if (tokens === 0) return 'stop';
      if (padding > 0 && tokens !== 1 + padding && rules.padDrafts !== 'besideDecodes') {
        tokens = 1;
        padding = 0;
      }
    }
    return { tokens, padding };
  }

  /** A request with one token left is padded to the width of the decodes it joins, so that their graph serves it too. */
  private paddingApplies(hit: number): boolean {
    const besideRunning = this.batch.count > this.batch.removed && this.runningScheduled();
    switch (this.rules.padDrafts) {
      case 'never':
        return false;
      case 'decodesIfRoom':
        return !this.prefillScheduled && (besideRunning || hit > 0);
      default:
        return !this.prefillScheduled && besideRunning;
    }
  }

  private runningScheduled(): boolean {
    const { batch } = this;
    for (let i = 0; i < batch.count; i++)
      if (batch.sequences[i] && !((batch.flags[i] as number) & admittedFlag)) return true;
    return false;
  }

  private admit(sequence: Sequence, hit: number, tokens: number, padding: number, slots: number): void {
    const { stats } = this;
    const fresh = sequence.computed === 0;
    this.running.push(sequence);
    sequence.state = 'running';
    sequence.computed = hit;
    stats.prefixHitTokens += hit;
    if (fresh && this.kv.pool.caching) {
      stats.queriedTokens += sequence.known;
      stats.queriedBlocks += Math.floor(sequence.known / this.kv.schedulerBlockSize);
      stats.hitBlocks += Math.floor(hit / this.kv.schedulerBlockSize);
      this.kv.observePrompt(sequence);
    }
    if (sequence.lora > 0) this.loras.add(sequence.lora);
    this.budget -= tokens;
    this.inputBudget -= tokens + slots;
    if (hit < sequence.known - 1) this.prefillAdmitted = true;
    this.connector?.admitted(sequence, hit + tokens);
    this.batch.add(sequence, tokens, padding, admittedFlag);
  }

  private nextQueue(): WaitingQueue {
    const { passedOver, waiting, holding } = this;
    if (holding !== undefined && holding.length > 0) return holding;
    if (!passedOver || passedOver.length === 0) return waiting;
    if (waiting.length === 0 || !this.byPriority) return passedOver;
    return passedOver.peek().goesBefore(waiting.peek()) ? passedOver : waiting;
  }

  private putBackSkipped(skipped: readonly Sequence[]): void {
    const queue = this.passedOver ?? this.waiting;
    const last = skipped.length - 1;
    const reversed = this.rules.skippedOrder === 'reversed';
    for (let i = 0; i <= last; i++) {
      const sequence = skipped[reversed ? i : last - i] as Sequence;
      (sequence.computed > 0 ? (this.holding ?? queue) : queue).putBack(sequence);
    }
  }

  /** Adapters in use: of the running requests scheduled in this step, or of all of them. */
  private collectLoras(): void {
    if (!this.config.maxLoras) return;
    this.loras.clear();
    for (const sequence of this.running)
      if (sequence.lora > 0 && (this.rules.loraScope === 'running' || sequence.scheduled > 0))
        this.loras.add(sequence.lora);
  }

  /** Counts the step's tokens as computed, before their forward pass; asynchronous: output tokens to come as placeholders. */
  private finishStep(): number {
    this.kv.endStep();
    const { batch, config, sums } = this;
    const { sequences, tokens, drafts, flags, count } = batch;
    const asynchronous = config.asyncScheduling === true;
    this.connector?.decide(batch);
    let total = 0;
    let decodeContext = 0;
    let rows = 0;
    for (let i = 0; i < count; i++) {
      const sequence = sequences[i];
      if (sequence === undefined) continue;
      const n = tokens[i] as number;
      const before = sequence.computed;
      const known = sequence.known + sequence.placeholders;
      const computed = before + n;
      sequence.computed = computed;
      sequence.scheduled = 0;
      total += n;
      const chunk = computed < known;
      sequence.isPrefillChunk = chunk;
      if (before < known - 1) {
        sums.prefillTokens += n;
        sums.prefillSequences++;
        sums.prefillAttention += n * before + (n * n) / 2;
      } else decodeContext += computed;
      if (asynchronous) sequence.inFlight += n;
      if (chunk) {
        if (this.rules.sampledFrom === 'known' && computed >= sequence.known)
          flags[i] = (flags[i] as number) | samplesFlag;
        continue;
      }
      rows += 1 + (drafts[i] as number);
      flags[i] = (flags[i] as number) | samplesFlag;
      if (asynchronous) {
        sequence.placeholders += 1 + (drafts[i] as number);
        sequence.drafts = this.draftTokens;
      }
    }
    sums.decodeContext = decodeContext;
    sums.rows = rows;
    sums.tokens = total;
    sums.sequences = count - batch.removed;
    assert(this.budget >= 0 && this.running.length <= config.maxNumSeqs, 'the step exceeds its budget');
    if (total > 0) this.executedSteps++;
    if (this.prefillScheduled || this.prefillAdmitted) this.lastPrefillStep = this.executedSteps;
    return total;
  }
}

const stopped = Number.MIN_SAFE_INTEGER;
