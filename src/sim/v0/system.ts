// The V0 engine as a serving system: queues and block tables below, the workload's requests above, and the sums that a clock asks
// for. It keeps no time.
//
// Numbered law, besides those of block-pool.ts:
//   V6 no request is lost: added = waiting + running + swapped + finished + rejected.
import { assert } from '../../assert.ts';
import { clearWork, emptyWork, zeroCounters } from '../step-work.ts';
import type {
  MemoryShares,
  QueueState,
  RequestListener,
  ServingSystem,
  SimRequest,
  StepWork,
  Workload,
} from '../types.ts';
import { BeamSearch } from './beams.ts';
import { BlockManager } from './block-manager.ts';
import type { ResolvedV0Config } from './config.ts';
import { OutputProcessor } from './outputs.ts';
import { V0Scheduler } from './scheduler.ts';
import { SequenceGroup } from './sequence.ts';
import { addWork } from './work.ts';

export class V0System implements ServingSystem {
  readonly poolTokens: number;
  readonly usableBlocks: number;
  readonly blockSize: number;
  readonly work: StepWork = emptyWork();
  readonly counters = zeroCounters();
  readonly blocks: BlockManager;
  readonly scheduler: V0Scheduler;
  unfinished = 0;
  private readonly outputs: OutputProcessor;
  /** Groups of a request that have not finished; several when its samples are requests of their own. */
  private readonly openGroups: Int32Array;
  private readonly firstTokenSeen: Uint8Array;
  private readonly rejectedRequests: Uint8Array;
  private groups = 0;

  constructor(
    private readonly workload: Workload,
    private readonly config: ResolvedV0Config,
    private readonly listener: RequestListener,
  ) {
    this.blockSize = config.blockSize;
    this.usableBlocks = config.numBlocks;
    this.poolTokens = config.numBlocks * config.blockSize;
    const requests = workload.requests.length;
    this.openGroups = new Int32Array(requests);
    this.firstTokenSeen = new Uint8Array(requests);
    this.rejectedRequests = new Uint8Array(requests);
    this.blocks = new BlockManager(config);
    this.scheduler = new V0Scheduler(config, this.blocks, {
      preempted: (group, kind, computed) => this.onPreempted(group, kind, computed),
      swapped: (blocks) => this.onSwapped(blocks),
      rejected: (group, reason) => this.onRejected(group, reason),
    });
    const beams = new BeamSearch(config.beamPerplexity, config.seed);
    this.outputs = new OutputProcessor(this.blocks, beams, config.maxModelLen, {
      firstToken: (group) => this.onFirstToken(group),
      finished: (group) => this.onFinished(group),
    });
  }

  add(index: number): void {
    const request = this.workload.requests[index];
    assert(request, 'a request that the workload does not have');
    this.unfinished++;
    const { width, beam, copies } = this.shapeOf(request);
    const reason = this.reasonNever(request, width);
    if (reason !== null) {
      this.unfinished--;
      this.listener.rejected(index, reason);
      return;
    }
    this.openGroups[index] = copies;
    for (let i = 0; i < copies; i++) {
      this.scheduler.add(new SequenceGroup(index, request, this.groups++, { width, beam }));
    }
  }

  schedule(): boolean {
    clearWork(this.work);
    if (!this.scheduler.schedule()) return false;
    for (const group of this.scheduler.scheduled) {
      addWork(this.work, group);
      if (group.prefilling && group.computed === 0 && this.config.prefixCaching) this.countLookup(group);
    }
    const { gpu } = this.blocks;
    this.counters.copies = this.blocks.copies;
    this.counters.evictions = gpu.evictions;
    this.counters.sharedBlocksPeak = gpu.sharedPeak;
    this.counters.savedBlockSteps += gpu.holders - gpu.held;
    this.counters.unsharedBlockSteps += gpu.holders;
    return true;
  }

  complete(): boolean {
    const finished = new Set<SequenceGroup>();
    for (const group of this.scheduler.scheduled) if (this.outputs.process(group)) finished.add(group);
    this.scheduler.scheduled = [];
    if (finished.size > 0) this.scheduler.dropFinished((group) => finished.has(group));
    return true;
  }

  /** Reserved: slots of a prompt whose chunks are still to be computed. A shared block counts once. */
  memory(into: MemoryShares): void {
    const { gpu } = this.blocks;
    let reserved = 0;
    if (this.config.chunkedPrefill) {
      for (const group of this.scheduler.running) {
        if (group.prefilling) reserved += Math.max(0, group.first.slots - group.computed - group.chunk);
      }
    }
    into.tokenStates = gpu.tokens - reserved;
    into.reserved = reserved;
    into.internal = gpu.held * this.blockSize - gpu.tokens;
    into.external = 0;
    into.free = this.poolTokens - gpu.held * this.blockSize;
  }

  queues(into: QueueState): void {
    into.running = this.scheduler.running.length;
    into.waiting = this.scheduler.waiting.length;
    into.swapped = this.scheduler.swapped.length;
    into.usedBlocks = this.blocks.gpu.held;
    into.cachedBlocks = this.blocks.gpu.cached;
  }

  private shapeOf(request: SimRequest): { width: number; beam: boolean; copies: number } {
    const { samples = 1, beamWidth = 1 } = request;
    if (beamWidth > 1) return { width: beamWidth, beam: true, copies: 1 };
    if (this.config.sequenceGroups) return { width: samples, beam: false, copies: 1 };
    return { width: 1, beam: false, copies: samples };
  }

  private reasonNever(request: SimRequest, width: number): string | null {
    const { maxModelLen, maxNumSeqs } = this.config;
    if (request.promptTokens < 1) return 'empty prompt';
    if (request.promptTokens > maxModelLen) return `longer than ${maxModelLen} tokens`;
    if (width > maxNumSeqs) return `more sequences than ${maxNumSeqs}`;
    return null;
  }

  private countLookup(group: SequenceGroup): void {
    this.counters.queriedTokens += group.tokens;
    this.counters.hitTokens += group.chunkCached;
    this.counters.queriedBlocks += Math.floor(group.tokens / this.blockSize);
    this.counters.hitBlocks += Math.max(0, group.cachedTokens) / this.blockSize;
  }

  private onPreempted(group: SequenceGroup, kind: 'recompute' | 'swap', computedTokens: number): void {
    if (kind === 'swap') this.counters.swapPreemptions++;
    else {
      this.counters.preemptions++;
      this.counters.preemptedComputedTokens += computedTokens;
    }
    this.listener.preempted?.(group.index, computedTokens, kind);
  }

  private onSwapped(blocks: number): void {
    this.counters.swappedBlocks += blocks;
    this.work.transferTokens += blocks * this.blockSize;
  }

  private onFirstToken(group: SequenceGroup): void {
    if (this.firstTokenSeen[group.index]) return;
    this.firstTokenSeen[group.index] = 1;
    this.listener.firstToken(group.index);
  }

  private onFinished(group: SequenceGroup): void {
    this.close(group, null);
  }

  private onRejected(group: SequenceGroup, reason: string): void {
    this.close(group, reason);
  }

  /** A request ends with the last of its groups; it counts as rejected when one of them was. */
  private close(group: SequenceGroup, reason: string | null): void {
    const { index } = group;
    const open = --this.openGroups[index]!;
    assert(open >= 0, 'V6: a request ended twice');
    if (reason !== null && !this.rejectedRequests[index]) {
      this.rejectedRequests[index] = 1;
      this.listener.rejected(index, reason);
    }
    if (open > 0) return;
    this.unfinished--;
    if (!this.rejectedRequests[index]) this.listener.finished(index);
  }
}
