// V0's scheduler: which sequence groups one step runs, and who is preempted. Prefills first, then decodes, swapped groups before
// waiting ones; or decodes first with chunked prefill. It never reads when a request will end. Law: vllm/core/scheduler.py, 0.6.6
// to 0.10.2 (_schedule_default, _schedule_chunked_prefill, _schedule_running, _schedule_swapped, _schedule_prefills, _preempt).
import { Deque } from '../deque.ts';
import type { BlockManager } from './block-manager.ts';
import { Budget } from './budget.ts';
import {
  countPartialPrefills,
  cutChunk,
  isLong,
  mayStart,
  type NewTokens,
  newTokens,
  type PartialPrefills,
} from './chunks.ts';
import type { ResolvedV0Config } from './config.ts';
import { Progress } from './progress.ts';
import type { SequenceGroup } from './sequence.ts';

interface SchedulerEvents {
  preempted(group: SequenceGroup, kind: 'recompute' | 'swap', computedTokens: number): void;
  swapped(blocks: number): void;
  /** Left the queues without finishing: it can never run. */
  rejected(group: SequenceGroup, reason: string): void;
}

export class V0Scheduler {
  readonly waiting = new Deque<SequenceGroup>();
  readonly swapped = new Deque<SequenceGroup>();
  running = new Deque<SequenceGroup>();
  /** What the last call scheduled, in the order their output is processed. */
  scheduled: SequenceGroup[] = [];
  private readonly recomputed: SequenceGroup[] = [];
  private readonly swappedOut: SequenceGroup[] = [];
  private calls = 0;
  private readonly progress: Progress;

  constructor(
    private readonly config: ResolvedV0Config,
    private readonly blocks: BlockManager,
    private readonly events: SchedulerEvents,
  ) {
    this.progress = new Progress(config.maxModelLen);
  }

  add(group: SequenceGroup): void {
    this.waiting.push(group);
  }

  /** False when nothing could be scheduled. */
  schedule(): boolean {
    for (;;) {
      const before = this.waiting.length + this.swapped.length + this.running.length;
      const moved = this.config.chunkedPrefill ? this.chunkedStep() : this.prefillFirstStep();
      if (this.scheduled.length > 0) break;
      const after = this.waiting.length + this.swapped.length + this.running.length;
      // A call that only preempted or rejected is followed at once by another: there is nothing to run in between.
      if (moved || after < before) continue;
      if (!this.rejectStuck()) return false;
    }
    this.calls++;
    this.progress.scheduled(this.scheduled);
    for (const group of this.scheduled) for (const sequence of group.sequences) sequence.lastAccess = this.calls;
    this.blocks.markComputed();
    return true;
  }

  /** Takes finished groups out of the running queue. */
  dropFinished(isFinished: (group: SequenceGroup) => boolean): void {
    const left = new Deque<SequenceGroup>();
    for (const group of this.running) if (!isFinished(group)) left.push(group);
    this.running = left;
  }

  /** True when a group was preempted. */
  private prefillFirstStep(): boolean {
    const budget = new Budget(this.config.maxNumBatchedTokens, this.config.maxNumSeqs);
    for (const group of this.running) budget.sequences += group.width;
    const prefills = this.swapped.length === 0 ? this.schedulePrefills(budget, null) : [];
    if (prefills.length > 0) {
      for (const group of prefills) this.running.push(group);
      this.scheduled = prefills;
      return false;
    }
    const forced = this.config.policy === 'priority' ? this.preemptLowerPriority(budget) : 0;
    const { decodes, preempted } = this.scheduleRunning(budget, null);
    const back = preempted === 0 ? this.scheduleSwapped(budget) : [];
    this.requeuePreempted();
    for (const group of decodes) this.running.push(group);
    for (const group of back) this.running.push(group);
    this.scheduled = [...decodes, ...back];
    return preempted + forced > 0;
  }

  private chunkedStep(): boolean {
    const budget = new Budget(this.config.maxNumBatchedTokens, this.config.maxNumSeqs);
    const partial = countPartialPrefills(this.running, this.waiting, this.config);
    const { decodes, chunks, preempted } = this.scheduleRunning(budget, partial);
    const back = preempted === 0 ? this.scheduleSwapped(budget) : [];
    const prefills = this.schedulePrefills(budget, partial);
    this.requeuePreempted();
    const backDecodes = back.filter((group) => !group.prefilling);
    const backPrefills = back.filter((group) => group.prefilling);
    const order = this.config.finishingPrefillsFirst ? finishingFirst(chunks) : chunks;
    for (const group of [...backDecodes, ...backPrefills, ...decodes, ...order, ...prefills]) this.running.push(group);
    this.scheduled = [...prefills, ...chunks, ...backPrefills, ...decodes, ...backDecodes];
    return preempted > 0;
  }

  /** Every running group gets its next token (or chunk); while one does not fit, the last of the queue is preempted. */
  private scheduleRunning(budget: Budget, partial: PartialPrefills | null) {
    const decodes: SequenceGroup[] = [];
    const chunks: SequenceGroup[] = [];
    let preempted = 0;
    for (let group = this.running.first(); group; group = this.running.first()) {
      const tokens = this.runningTokens(group, budget, partial);
      if (tokens === 0) break;
      this.running.shift();
      let runs = this.blocks.canAppend(group);
      while (!runs) {
        const victim: SequenceGroup = this.running.pop() ?? group;
        preempted++;
        const kind = this.preempt(victim);
        if (kind === 'recompute') this.recomputed.push(victim);
        else if (kind === 'swap') this.swappedOut.push(victim);
        if (victim === group) break;
        runs = this.blocks.canAppend(group);
      }
      if (!runs) continue;
      this.blocks.append(group);
      group.chunk = group.prefilling ? tokens : 1;
      group.chunkCached = 0;
      (group.prefilling ? chunks : decodes).push(group);
      budget.add(tokens, partial ? group.width : 0);
    }
    return { decodes, chunks, preempted };
  }

  /** Preempted groups enter their queues at the end of the call: what was waiting before them had its turn first. */
  private requeuePreempted(): void {
    for (const group of this.recomputed) this.waiting.unshift(group);
    for (const group of this.swappedOut) this.swapped.push(group);
    this.recomputed.length = 0;
    this.swappedOut.length = 0;
  }

  private runningTokens(group: SequenceGroup, budget: Budget, partial: PartialPrefills | null): number {
    const { uncached } = newTokens(group, -1);
    if (!partial || group.sequences.length > 1) return uncached;
    return cutChunk(uncached, budget, this.config, partial);
  }

  /** Swapped groups come back in order while their blocks and the watermark fit. */
  private scheduleSwapped(budget: Budget): SequenceGroup[] {
    const back: SequenceGroup[] = [];
    for (let group = this.swapped.first(); group; group = this.swapped.first()) {
      const status = this.blocks.canSwapIn(group);
      if (status === 'later') break;
      if (status === 'never') {
        this.swapped.shift();
        this.reject(group, 'longer than the whole pool');
        continue;
      }
      const { uncached } = newTokens(group, -1);
      if (!budget.fits(uncached, group.width)) break;
      this.swapped.shift();
      this.events.swapped(this.blocks.swapIn(group));
      this.blocks.append(group);
      group.chunk = group.prefilling ? uncached : 1;
      group.chunkCached = 0;
      back.push(group);
      budget.add(uncached, group.width);
    }
    return back;
  }

  /** Waiting groups start in order while tokens, sequences, blocks and the watermark allow; the first that does not fit stops it. */
  private schedulePrefills(budget: Budget, partial: PartialPrefills | null): SequenceGroup[] {
    const started: SequenceGroup[] = [];
    const skipped: SequenceGroup[] = [];
    if (budget.tokensLeft === 0) return started;
    for (let group = this.waiting.first(); group; group = this.waiting.first()) {
      if (partial && !mayStart(group, partial, this.config)) {
        skipped.push(this.waiting.shift()!);
        continue;
      }
      // Looked up before anything is asked for: a remembered hit can be of blocks that are gone when the group starts.
      const fresh = this.waitingTokens(group, budget, partial);
      const limit = this.promptLimit();
      const status = group.tokens > limit ? 'never' : this.blocks.canAllocate(group);
      if (status === 'never') {
        this.waiting.shift();
        this.reject(group, group.tokens > limit ? `longer than ${limit} tokens` : 'longer than the whole pool');
        continue;
      }
      if (status === 'later') break;
      if (fresh.uncached <= 0 || !budget.fits(fresh.uncached, group.width)) break;
      this.waiting.shift();
      if (partial && isLong(group, this.config)) partial.long++;
      this.blocks.allocate(group);
      group.chunk = fresh.uncached + fresh.cached;
      group.chunkCached = fresh.cached;
      started.push(group);
      budget.add(fresh.uncached, group.width);
    }
    for (let i = skipped.length - 1; i >= 0; i--) this.waiting.unshift(skipped[i]!);
    return started;
  }

  private waitingTokens(group: SequenceGroup, budget: Budget, partial: PartialPrefills | null): NewTokens {
    if (group.cachedTokens < 0 || !this.config.rememberHits) group.cachedTokens = this.blocks.cachedTokens(group);
    const fresh = newTokens(group, group.cachedTokens);
    if (partial) fresh.uncached = cutChunk(fresh.uncached, budget, this.config, partial);
    return fresh;
  }

  private promptLimit(): number {
    const { chunkedPrefill, maxModelLen, maxNumBatchedTokens } = this.config;
    return chunkedPrefill ? maxModelLen : Math.min(maxModelLen, maxNumBatchedTokens);
  }

  /** Running groups of a lower priority than the head of the queue give way until it fits. Returns how many did. */
  private preemptLowerPriority(budget: Budget): number {
    this.running.sort(byPriority);
    // The head is that of the order left by the call before: what has arrived since counts from the next call on.
    const head = this.waiting.first();
    let forced = 0;
    for (let victim = this.running.last(); head && victim; victim = this.running.last()) {
      if (byPriority(victim, head) <= 0) break;
      const { uncached } = this.waitingTokens(head, budget, null);
      if (this.blocks.canAllocate(head) === 'ok' && budget.fits(uncached, head.width)) break;
      this.running.pop();
      budget.sequences -= victim.width;
      const kind = this.preempt(victim);
      if (kind === 'recompute') this.waiting.unshift(victim);
      else if (kind === 'swap') this.swapped.push(victim);
      forced++;
    }
    this.waiting.sort(byPriority);
    return forced;
  }

  /** A group of one sequence forgets its blocks and computes again; one of several goes to the CPU, with all its blocks or not at all. */
  private preempt(group: SequenceGroup): 'recompute' | 'swap' | 'rejected' {
    if (this.progress.inVain(group)) {
      this.reject(group, 'longer than the whole pool');
      return 'rejected';
    }
    const { preemption } = this.config;
    const several = group.sequences.length > 1;
    const swap = preemption === 'swap' || several || (preemption === 'auto' && group.width > 1);
    const computed = group.prefilling ? group.computed : group.tokens - 1;
    if (!swap) {
      this.events.preempted(group, 'recompute', computed);
      this.release(group);
      group.computed = 0;
      group.prefilling = true;
      return 'recompute';
    }
    if (!this.blocks.canSwapOut(group)) {
      this.reject(group, 'no room in the CPU swap space');
      return 'rejected';
    }
    this.events.preempted(group, 'swap', computed);
    this.events.swapped(this.blocks.swapOut(group));
    return 'swap';
  }

  /**
   * Nothing can be scheduled though groups are there: what heads the queue can never run (V0 would wait for ever). The known case
   * is a swapped group that cannot come back because the watermark stays free even on an empty server.
   */
  private rejectStuck(): boolean {
    const group = this.running.shift() ?? this.swapped.shift() ?? this.waiting.shift();
    if (!group) return false;
    this.reject(group, 'does not fit an empty server');
    return true;
  }

  private reject(group: SequenceGroup, reason: string): void {
    this.release(group);
    this.events.rejected(group, reason);
  }

  private release(group: SequenceGroup): void {
    if (group.swapped) this.blocks.freeSwapped(group);
    else for (const sequence of group.sequences) this.blocks.free(sequence);
    group.cachedTokens = -1;
  }
}

function byPriority(a: SequenceGroup, b: SequenceGroup): number {
  return a.priority - b.priority || a.order - b.order;
}

function finishingFirst(chunks: readonly SequenceGroup[]): SequenceGroup[] {
  const ends = (group: SequenceGroup) => group.computed + group.chunk >= group.tokens;
  return [...chunks.filter(ends), ...chunks.filter((group) => !ends(group))];
}
