// The model and what the engine makes of its output: it alone knows how long each answer gets. Every sequence whose step reached its
// last known token gets one token (with drafts: the accepted ones and one more); a full answer ends the request.
// Law: update_from_output in vllm/v1/core/sched/scheduler.py; async_scheduler.py for output that belongs to a preempted request.
import { admittedFlag, type Batch, samplesFlag } from './batch.ts';
import type { PagedConfig, PagedRules } from './config.ts';
import type { KvManager } from './kv-manager.ts';
import type { Scheduler } from './scheduler.ts';
import type { Sequence } from './sequence.ts';

export interface Model {
  /** Known tokens at which each request ends, by index: prompt and answer, at most max_model_len. */
  endsAt: Float64Array;
  /** How many of `drafts` are accepted when a request with `position` output tokens verifies them. */
  accepted(request: number, position: number, drafts: number): number;
}

export interface OutputEvents {
  firstToken(sequence: Sequence): void;
  finished(sequence: Sequence): void;
}

export interface DraftStats {
  draftTokens: number;
  acceptedTokens: number;
}

export class OutputProcessor {
  readonly stats: DraftStats = { draftTokens: 0, acceptedTokens: 0 };
  private readonly speculative: boolean;
  private readonly asynchronous: boolean;
  /** Outputs still to be thrown away after a reset, per request (releases up to 0.26). */
  private readonly discards = new Map<Sequence, number>();

  constructor(
    private readonly config: PagedConfig,
    private readonly rules: PagedRules,
    private readonly kv: KvManager,
    private readonly scheduler: Scheduler,
    private readonly model: Model,
    private readonly events: OutputEvents,
  ) {
    this.speculative = config.spec !== undefined;
    this.asynchronous = config.asyncScheduling === true;
  }

  /** Asynchronous scheduling: the output in flight of a request that a reset preempted is thrown away. */
  discardInFlight(sequence: Sequence): void {
    if (!this.asynchronous || this.rules.resetDiscard === 'stale') return;
    if (this.rules.resetDiscard === 'next') this.discards.set(sequence, 1);
    else this.discards.set(sequence, sequence.placeholders);
    sequence.placeholders = 0;
  }

  process(batch: Batch): void {
    let ended = 0;
    const plainDecode = !this.speculative && !this.asynchronous;
    const { endsAt } = this.model;
    const { sequences, flags: allFlags, count } = batch;
    for (let i = 0; i < count; i++) {
      const sequence = sequences[i];
      if (sequence === undefined) continue;
      sequences[i] = undefined;
      const flags = allFlags[i] as number;
      if (plainDecode) {
        if (!(flags & samplesFlag) || sequence.state === 'finished') continue;
        if (!sequence.sampled) this.sampled(sequence);
        sequence.known++;
        if (sequence.known === endsAt[sequence.index]) ended += this.finish(sequence);
        continue;
      }
      ended += this.processOne(sequence, batch.tokens[i] as number, batch.drafts[i] as number, flags);
    }
    if (ended > 0) this.dropFinished();
  }

  private processOne(sequence: Sequence, tokens: number, drafts: number, flags: number): number {
    if (this.asynchronous) sequence.inFlight -= tokens;
    let stale = false;
    if (sequence.stale > 0) {
      stale = true;
      sequence.stale -= tokens;
    }
    if (sequence.state === 'finished') return 0;
    if (!(flags & samplesFlag)) {
      // A victim that stayed scheduled: with no token sampled, its drafts and one more count as rejected.
      if (drafts > 0 && this.rules.victim === 'staysScheduled') sequence.computed -= drafts + 1;
      if (!this.asynchronous) sequence.drafts = 0;
      return 0;
    }
    this.sampled(sequence);
    const accepted = drafts > 0 ? this.verify(sequence, drafts, flags) : 0;
    if (stale && sequence.dropStale) return 0;
    const discard = this.discards.get(sequence) ?? 0;
    if (drafts > 0 && !stale && !(discard > 0 && this.rules.resetDiscard === 'wholeFrames')) {
      if (sequence.computed > 0) sequence.computed -= drafts - accepted;
      if (sequence.placeholders > 0) sequence.placeholders -= drafts - accepted;
    }
    const generated = 1 + accepted;
    if (discard > 0) {
      if (discard > 1) this.discards.set(sequence, discard - 1);
      else this.discards.delete(sequence);
      return 0;
    }
    return this.append(sequence, generated, stale);
  }

  /** What the model makes of drafts; those of a request just admitted are padding. It does not know what is thrown away later. */
  private verify(sequence: Sequence, drafts: number, flags: number): number {
    const accepted =
      flags & admittedFlag ? 0 : Math.min(this.model.accepted(sequence.index, sequence.output, drafts), drafts);
    this.stats.draftTokens += drafts;
    this.stats.acceptedTokens += accepted;
    return accepted;
  }

  /** Appends what was generated until the request ends; registers blocks that are now known to be complete. */
  private append(sequence: Sequence, generated: number, stale: boolean): number {
    const { rules } = this;
    const hadPlaceholders = sequence.placeholders > 0;
    const wasRunning = sequence.state === 'running';
    let appended = 0;
    let ends = false;
    while (appended < generated && !ends) {
      sequence.known++;
      appended++;
      ends = this.ends(sequence);
    }
    if (ends && !stale && rules.registerAtOutput === 'lessInFlight') sequence.computed -= generated - appended;
    if (hadPlaceholders && !(stale && rules.staleOutput === 'uncounted')) {
      sequence.placeholders -= rules.registerAtOutput === 'lessInFlight' ? generated : appended;
    }
    if (this.speculative && !this.asynchronous) sequence.drafts = this.config.spec?.tokens ?? 0;
    if (wasRunning) {
      if (rules.registerAtOutput === 'lessInFlight') {
        if (!stale && (hadPlaceholders || this.speculative))
          this.kv.register(sequence, sequence.computed - sequence.inFlight);
      } else if (this.asynchronous) this.kv.register(sequence, sequence.computed - sequence.placeholders);
    }
    return ends ? this.finish(sequence) : 0;
  }

  /** The first time the model samples a token for a request, whether the engine keeps it or not. */
  private sampled(sequence: Sequence): void {
    if (sequence.sampled) return;
    sequence.sampled = true;
    this.events.firstToken(sequence);
  }

  private ends(sequence: Sequence): boolean {
    return sequence.known === this.model.endsAt[sequence.index];
  }

  private finish(sequence: Sequence): number {
    if (sequence.state !== 'running') this.scheduler.line.remove(sequence);
    sequence.state = 'finished';
    if (!this.scheduler.connector?.end(sequence)) this.kv.free(sequence);
    sequence.keys = undefined;
    this.events.finished(sequence);
    return 1;
  }

  private dropFinished(): void {
    const { running } = this.scheduler;
    let kept = 0;
    for (let i = 0; i < running.length; i++) {
      const sequence = running[i] as Sequence;
      if (sequence.state !== 'finished') running[kept++] = sequence;
    }
    running.length = kept;
  }
}
