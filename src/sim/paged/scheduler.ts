// vLLM's V1 scheduler, one call at a time: RUNNING first, then WAITING, within a budget of tokens; chunked prefill, preemption by
// recompute, head-of-line waiting. It knows a request's max_tokens, never when it will really end (output.ts plays the model).
// Law: vllm/v1/core/sched/scheduler.py and async_scheduler.py; where releases differ, PagedRules.
import { assert } from '../../assert.ts';
import { emptyWork } from '../step-work.ts';
import type { StepWork } from '../types.ts';
import { type AdmissionChunk, admissionChunk, type ChunkSplit } from './admission-chunk.ts';
import { admittedFlag, Batch } from './batch.ts';
import type { PagedConfig, PagedRules } from './config.ts';
import type { AllocateOptions, KvManager } from './kv-manager.ts';
import { lookaheadTokens } from './lookahead.ts';
import { askAgain, type OffloadConnector } from './offload/connector.ts';
import { PrefillCadence } from './prefill-cadence.ts';
import type { WaitingQueue } from './queue.ts';
import type { Sequence } from './sequence.ts';
import { type SettleOptions, settleStep } from './settle.ts';
import { WaitingLine } from './waiting-line.ts';

export interface SchedulerStats {
  preemptions: number;
  preemptedComputedTokens: number;
  prefixHitTokens: number;
  queriedTokens: number;
  /** Whole blocks: hits, and those asked for. */
  hitBlocks: number;
  queriedBlocks: number;
}

export const pauseModes = ['none', 'new', 'all'] as const;
export type PauseMode = (typeof pauseModes)[number];

export class Scheduler {
  running: Sequence[] = [];
  readonly line: WaitingLine;
  paused: PauseMode = 'none';
  readonly stats: SchedulerStats = {
    preemptions: 0,
    preemptedComputedTokens: 0,
    prefixHitTokens: 0,
    queriedTokens: 0,
    hitBlocks: 0,
    queriedBlocks: 0,
  };
  /** What the step last built comes to. */
  readonly work: StepWork = emptyWork();
  onPreempt: ((sequence: Sequence, computed: number) => void) | undefined;
  onAdmit: ((sequence: Sequence) => void) | undefined;
  split: ChunkSplit | undefined;
  /** Brings KV from elsewhere, and takes it there. */
  connector: OffloadConnector | undefined;

  private batch = new Batch();
  private budget = 0;
  private inputBudget = 0;
  /** A request that the whole pool could not hold: it preempted itself with everything free. */
  outgrown: Sequence | undefined;
  /** Somebody was preempted in this call. */
  preempted = false;
  /** Requests that found no memory in this call: those preempted, and all that wait behind a head that was refused. */
  refused = 0;
  /** Running requests at which nobody is admitted any more, where a share of the memory says so (a quota); those running stay. */
  quota = Number.POSITIVE_INFINITY;
  private threshold = 0;
  private prefillScheduled = false;
  private prefillAdmitted = false;
  private readonly cadence: PrefillCadence;
  private readonly loras = new Set<number>();
  private readonly byPriority: boolean;
  private readonly lookahead: number;
  /** Of an allocation for a running request. */
  private readonly stepOptions: AllocateOptions;
  private readonly settleOptions: SettleOptions;
  private readonly slotsPerSequence: number;
  private readonly watermarkBlocks: number;

  constructor(
    readonly config: PagedConfig,
    readonly rules: PagedRules,
    readonly kv: KvManager,
  ) {
    const { spec } = config;
    this.byPriority = config.policy === 'priority' && rules.priorityPolicy;
    const loadsGoFirst = config.offload !== undefined && rules.offload?.loadsGoFirst === true;
    this.line = new WaitingLine(this.byPriority, rules, loadsGoFirst);
    this.cadence = new PrefillCadence(rules.prefillInterval ? (config.prefillScheduleInterval ?? 1) : 1);
    this.settleOptions = {
      asynchronous: config.asyncScheduling === true,
      draftTokens: spec?.tokens ?? 0,
      samplesAtKnown: rules.sampledFrom === 'known',
    };
    this.lookahead = lookaheadTokens(config, rules);
    this.stepOptions = { lookahead: this.lookahead };
    this.slotsPerSequence = spec?.method === 'draft_model' && rules.draftSlots !== 'none' ? 1 : 0;
    this.watermarkBlocks = rules.watermark ? Math.floor((config.watermark ?? 0) * config.numBlocks) : 0;
  }

  add(sequence: Sequence): void {
    this.line.queue.add(sequence);
  }

  /** Fills `batch` with the next step; the caller keeps it until the step's output. */
  schedule(batch: Batch): number {
    this.begin(batch);
    this.scheduleRunning();
    if (!this.preempted && this.paused === 'none') this.scheduleWaiting();
    return this.finishStep();
  }

  private begin(batch: Batch): void {
    const { config, rules } = this;
    batch.clear();
    this.batch = batch;
    this.preempted = false;
    this.refused = 0;
    this.outgrown = undefined;
    this.prefillScheduled = false;
    this.prefillAdmitted = false;
    const off = rules.draftSlots === 'perSequenceLimit' ? this.slotsPerSequence * config.maxNumSeqs : 0;
    this.budget = this.paused === 'all' ? 0 : config.maxNumBatchedTokens - off;
    this.inputBudget = rules.draftSlots === 'perScheduled' ? config.maxNumBatchedTokens : Number.MAX_SAFE_INTEGER;
    this.threshold = config.longPrefillTokenThreshold;
    if (this.threshold > 0) {
      const eligible = this.running.length + this.line.length;
      if (rules.longPrefillScope === 'unlessAlone' && eligible <= 1) this.threshold = 0;
      else if (config.longPrefillAdaptive && rules.longPrefillAdaptive)
        this.threshold = Math.max(this.threshold, Math.floor(config.maxNumBatchedTokens / eligible));
    }
    this.cadence.begin(this.running);
    this.kv.newStep();
  }

  private get slots(): number {
    return this.rules.draftSlots === 'perScheduled' ? this.slotsPerSequence : 0;
  }

  private scheduleRunning(): void {
    const { config, rules, threshold, split, slots, cadence } = this;
    const requestEnd = rules.lengthCap === 'requestEnd';
    const modelEnd = config.maxModelLen - (rules.lengthCap === 'length' ? 0 : 1);
    for (let i = 0; i < this.running.length && this.budget > 0; ) {
      const sequence = this.running[i] as Sequence;
      if (this.inputBudget <= slots) break;
      const { computed } = sequence;
      if ((sequence.placeholders > 0 || cadence.defers) && this.passesOver(sequence)) {
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
    return this.cadence.defers && isPrefillChunk;
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
      this.refused++;
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
    this.line.queue.putBack(sequence);
  }

  private scheduleWaiting(): void {
    const { config, rules, line, cadence } = this;
    const slots = this.slots;
    this.collectLoras();
    const skipped: Sequence[] = [];
    const skip = (queue: WaitingQueue): void => void skipped.push(queue.pop());
    while (line.length > 0 && this.budget > 0 && this.inputBudget > slots) {
      if (this.running.length >= config.maxNumSeqs) break;
      if (this.running.length >= this.quota) {
        this.refused = line.length;
        break;
      }
      const queue = line.next;
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
          if (!this.load(sequence, hit, external)) {
            this.refused = line.length;
            break;
          }
          skip(queue);
          continue;
        }
      }
      if (fresh) sequence.sharedPrefixBoundary = this.kv.longestKindHit > hit ? this.kv.longestKindHit : 0;
      if (cadence.defers && hit < sequence.known - 1) break;
      const room = Math.min(this.budget, this.inputBudget - slots);
      const chunk = this.chunkOf(sequence, hit, room);
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
        this.refused = line.length;
        break;
      }
      queue.pop();
      this.admit(sequence, hit, chunk.tokens, chunk.padding, slots);
    }
    line.putBack(skipped);
    cadence.released(rules.prefillCapacity === 'queue' ? line.queue.length > 0 : line.length > skipped.length);
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

  private chunkOf(sequence: Sequence, hit: number, room: number): AdmissionChunk {
    const { config, rules, threshold, prefillScheduled, batch, split } = this;
    const besideRunning = config.spec !== undefined && batch.count > batch.removed && this.runningScheduled();
    return admissionChunk({ sequence, hit, room, threshold, prefillScheduled, besideRunning }, config, rules, split);
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
    this.onAdmit?.(sequence);
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

  /** Adapters in use: of the running requests scheduled in this step, or of all of them. */
  private collectLoras(): void {
    if (!this.config.maxLoras) return;
    this.loras.clear();
    for (const sequence of this.running)
      if (sequence.lora > 0 && (this.rules.loraScope === 'running' || sequence.scheduled > 0))
        this.loras.add(sequence.lora);
  }

  private finishStep(): number {
    this.kv.endStep();
    this.connector?.decide(this.batch);
    const total = settleStep(this.batch, this.work, this.settleOptions);
    assert(this.budget >= 0 && this.running.length <= this.config.maxNumSeqs, 'law P6: the step exceeds its budget');
    this.cadence.end(total, this.prefillScheduled || this.prefillAdmitted);
    return total;
  }
}

const stopped = Number.MIN_SAFE_INTEGER;
