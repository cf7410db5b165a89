// Several engines on the same GPUs, on one clock: whoever's time comes first has its turn; memory that comes free wakes those who wait
// for some; weights come and go (residency.ts), pages too (policies/). What holds at every moment is laws.ts; an engine alone, under a
// static split, runs as `simulate` does, to the bit (law S5).
import { assert } from '../../assert.ts';
import { ElasticPool } from './elastic-pool.ts';
import { Engine } from './engine.ts';
import { Gpus } from './gpus.ts';
import { kvBytesByDevice, type SharedMemory, sharedMemory, virtualBlocks } from './memory.ts';
import { Residency } from './residency.ts';
import type { SharedResult } from './result.ts';
import { SharedStatistics } from './statistics.ts';
import { type SharedRequests, summarizeShared } from './summary.ts';
import type { SharedModel, SharedRun } from './types.ts';
import { VainTries } from './vain-tries.ts';
import { weightsHost } from './weights-host.ts';

const never = Number.POSITIVE_INFINITY;
/** So many moments of the policy or the loader in a row in which no engine gets on: nothing will. */
const patience = 4096;

export interface SharedHooks {
  progress?: (ended: number, total: number) => void;
  /** Called when nothing happens by itself any more, before those who wait are refused for good. */
  stuck?: (run: SharedSimulation) => void;
  /** Called after every turn, for laws. */
  turned?: (run: SharedSimulation, now: number) => void;
}

/** A model that cannot run under this policy, and why. */
export class SharedRefusal extends Error {
  override name = 'SharedRefusal';
}

export function simulateShared(run: SharedRun, hooks: SharedHooks = {}): SharedResult {
  return simulateSharedRequests(run, hooks).result;
}

/** With what became of every request. */
export function simulateSharedRequests(
  run: SharedRun,
  hooks: SharedHooks = {},
): { result: SharedResult; requests: SharedRequests } {
  const simulation = new SharedSimulation(run, hooks);
  simulation.run();
  return summarizeShared(simulation);
}

export class SharedSimulation {
  readonly memory: SharedMemory;
  readonly gpus: Gpus;
  readonly engines: readonly Engine[];
  readonly residency: Residency;
  readonly statistics: SharedStatistics;
  private now = 0;
  private turn = 0;
  private idleMoments = 0;
  private seenFreed = 0;
  private readonly tries = new VainTries();

  constructor(
    readonly setup: SharedRun,
    private readonly hooks: SharedHooks = {},
  ) {
    const models = setup.models.map((model) => withVirtualSpace(setup, model));
    const whole = { ...setup, models };
    this.memory = sharedMemory(whole);
    this.gpus = new Gpus(setup.devices.length);
    this.residency = new Residency(
      models,
      setup.loading,
      weightsHost(setup, models, this.memory, () => this.engines),
    );
    this.engines = models.map(
      (model, index) =>
        new Engine({ model, index, tenant: this.memory.tenants[index] }, this.gpus, {
          ready: (now) => this.beforePass(index, now),
          admits: (now, isDue) => this.admits(index, now, isDue),
        }),
    );
    for (const { model, tenant, paged } of this.engines) {
      if (tenant && !(paged?.kv.pool instanceof ElasticPool))
        throw new SharedRefusal(`${model.id}: its KV cache cannot be handed out in pages`);
    }
    this.statistics = new SharedStatistics(this);
    if (setup.loading?.keepsContext) this.startProcesses(models);
    this.residency.start();
    models.forEach(({ id, weights }, index) => {
      const isHere = weights.place !== 'resident' || setup.loading !== undefined;
      if (!isHere && !this.residency.isReady(index)) throw new SharedRefusal(`${id} has no room beside the others`);
    });
  }

  get models(): readonly SharedModel[] {
    return this.engines.map(({ model }) => model);
  }

  /** KV bytes of all GPUs when every model is in memory; a static split's slices. 0 where they are not in memory at once. */
  get poolBytes(): number {
    const { policy, devices } = this.setup;
    if (policy.kind === 'static') {
      if (Math.min(...kvBytesByDevice(devices, this.models, 'counted')) < 0) return 0;
      return this.models.reduce((sum, { sliceBytes, devices: own }) => sum + sliceBytes * own.length, 0);
    }
    const left = kvBytesByDevice(devices, this.models);
    return left.some((bytes) => bytes <= 0) ? 0 : left.reduce((sum, bytes) => sum + bytes, 0);
  }

  run(): void {
    const { engines, residency, statistics } = this;
    for (;;) {
      const next = this.nextEngine();
      const at = next?.nextTime ?? never;
      const { sharing } = this.memory;
      const due = Math.min(residency.nextTime(), sharing?.nextTime?.() ?? never);
      if (engines.every(({ isDone }) => isDone)) break;
      // At the same time an arrival goes first: it keeps its model from being unloaded.
      if (due < at && this.idleMoments < patience) {
        this.moveTo(due);
        this.idleMoments++;
        // What has been due for a while (a turn that was over before anybody waited) happens now, not then.
        if (residency.nextTime() <= due) this.wake(residency.advance(this.now));
        if ((sharing?.nextTime?.() ?? never) <= due) {
          const { freed } = this.memory.ledger;
          sharing?.act?.(this.now);
          // Pages that idle models give back one by one bring on those who wait for them.
          if (this.memory.ledger.freed > freed) this.idleMoments = 0;
          this.wakeWaiting();
        }
      } else if (next && at < never) {
        // Time that passes for an engine's own sake is no moment in vain.
        if (at > this.now) this.idleMoments = 0;
        this.moveTo(at);
        this.take(next);
      } else if (!this.letOneTry()) this.giveUp();
      this.wakeFreed();
    }
    statistics.end(this.now);
  }

  /** Whose time is first; at the same time higher priority, then whose last turn is longest ago. */
  private nextEngine(): Engine | undefined {
    let next: Engine | undefined;
    let at = never;
    for (const engine of this.engines) {
      if (engine.isDone) continue;
      const time = engine.nextTime;
      if (time > at || time === never) continue;
      if (time === at && next && !goesBefore(engine, next)) continue;
      next = engine;
      at = time;
    }
    return next;
  }

  private moveTo(time: number): void {
    this.statistics.pass(this.now, time);
    this.now = Math.max(this.now, time);
  }

  private take(engine: Engine, isStuck = false): void {
    const { now } = this;
    const { index, tenant } = engine;
    engine.seenFreed = this.memory.ledger.freed;
    const steps = engine.begun.clock.totals.steps;
    const wasIdle = engine.isIdle;
    engine.turn(isStuck ? Number.NaN : now);
    engine.lastTurn = ++this.turn;
    const isStep = engine.begun.clock.totals.steps > steps;
    if (isStep) this.idleMoments = 0;
    const isReady = this.residency.isReady(index);
    engine.noteRefusal(now, isReady && (engine.paged?.scheduler.refused ?? 0) > 0 && !engine.isDone);
    if (tenant) {
      if (isReady) this.memory.sharing?.afterStep?.(tenant, now);
      // A pass without a step that mapped a page is worth another when the page is there.
      if (engine.pause.for === 'memory' && tenant.retryAt < never) tenant.retryAt = now + tenant.settle();
      if (engine.looked) {
        tenant.noteDenied();
        this.noteTry(engine, isStep);
      }
    }
    const isIdle = engine.isIdle;
    if (isIdle !== wasIdle || (isIdle && isReady)) {
      this.residency.touched(index, now, isIdle);
      if (isIdle && tenant && isReady) this.memory.sharing?.idle?.(tenant, now, engine.stepSeconds);
    }
    this.gpus.rebalance(now);
    this.hooks.turned?.(this, now);
    if (this.hooks.progress && this.turn % 65536 === 0) this.tellProgress();
  }

  /** Notes a request that found too little memory. Who preempted others to go on alone looks again with what they gave back. */
  private noteTry(engine: Engine, isStep: boolean): void {
    const { freed } = this.memory.ledger;
    this.tries.note(engine, isStep, freed);
    if (engine.paged?.scheduler.preempted && engine.pause.for === 'memory' && !this.tries.isVain(engine, freed))
      engine.pause.until = this.now;
  }

  /** Before a pass of a model's scheduler: are the weights here, and what does the policy want. */
  private beforePass(index: number, now: number): boolean {
    if (!this.residency.isReady(index)) {
      this.residency.want(index, now);
      return false;
    }
    const tenant = this.memory.tenants[index];
    if (tenant) this.memory.sharing?.beforeStep?.(tenant, now);
    return !this.tries.isVain(this.engines[index] as Engine, this.memory.ledger.freed);
  }

  /** A model that is to go as soon as it is idle takes no new requests; they want it back. */
  private admits(index: number, now: number, isDue: boolean): boolean {
    const { residency } = this;
    if (!residency.isReady(index) || residency.admits(index)) return true;
    if (isDue) residency.want(index, now);
    return false;
  }

  /** Engines that have become able to compute go on at once. */
  private wake(models: readonly number[]): void {
    for (const index of models) {
      const engine = this.engines[index] as Engine;
      if (engine.pause.for === 'memory') engine.pause.until = this.now;
      engine.seenFreed = this.memory.ledger.freed;
    }
  }

  private wakeWaiting(): void {
    for (const engine of this.engines) if (engine.waitsForMemory) engine.pause.until = this.now;
  }

  /** Memory came free: everybody who waits for some looks again, and so do loads. */
  private wakeFreed(): void {
    const { freed } = this.memory.ledger;
    if (freed === this.seenFreed) return;
    this.seenFreed = freed;
    this.residency.memoryFreed(this.now);
    for (let i = 0; i < this.engines.length; i++) {
      const engine = this.engines[i] as Engine;
      if (!engine.waitsForMemory || engine.seenFreed === freed) continue;
      engine.seenFreed = freed;
      if (this.residency.isReady(i)) engine.pause.until = this.now;
    }
  }

  /** Those who only took memory from each other go one by one. */
  private letOneTry(): boolean {
    const waiting = this.engines.filter(({ waitsForMemory, index }) => waitsForMemory && this.residency.isReady(index));
    const next = this.tries.next(waiting.sort((a, b) => (goesBefore(a, b) ? -1 : 1)));
    if (next) next.pause.until = this.now;
    return next !== undefined;
  }

  /** Nothing will happen by itself any more: those who still wait are told so. */
  private giveUp(): void {
    this.hooks.stuck?.(this);
    const waiting = this.engines.filter(({ waitsForMemory }) => waitsForMemory);
    assert(waiting.length > 0, 'an engine waits for a time that never comes');
    for (const engine of waiting) this.take(engine, true);
  }

  private tellProgress(): void {
    let ended = 0;
    let total = 0;
    for (const { begun } of this.engines) {
      ended += begun.clock.totals.finished + begun.clock.times.rejected.size;
      total += begun.workload.requests.length;
    }
    this.hooks.progress?.(ended, total);
  }

  /** Processes that live while their weights are elsewhere are there from the start. */
  private startProcesses(models: readonly SharedModel[]): void {
    for (const { id, devices, contextBytes } of models)
      if (!this.memory.ledger.take(devices, contextBytes))
        throw new SharedRefusal(`${id}: no room for its CUDA context`);
  }
}

function goesBefore(one: Engine, other: Engine): boolean {
  if (one.model.priority !== other.model.priority) return one.model.priority > other.model.priority;
  return one.lastTurn < other.lastTurn;
}

/** The pool is as large as whole pages of the virtual space make it. */
function withVirtualSpace({ policy }: SharedRun, model: SharedModel): SharedModel {
  if (policy.kind === 'static') return model;
  const { run } = model;
  const { setup } = run;
  // MuxServe has no prefix cache.
  const prefixCaching = setup.paged.prefixCaching && policy.kind !== 'muxserve';
  const paged = { ...setup.paged, numBlocks: virtualBlocks(policy, model), prefixCaching };
  return { ...model, run: { ...run, setup: { ...setup, paged } } };
}
