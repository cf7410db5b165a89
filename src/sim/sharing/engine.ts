// One engine among several: its clock, its memory, its place on the GPUs, and what it noted of its waits. It does what the run (run.ts)
// tells it, one turn at a time.
import type { PagedSystem } from '../paged/system.ts';
import type { Pause } from '../run/clock.ts';
import { type BegunRun, beginRun, type RunOutcome } from '../simulate.ts';
import { type Gpus, SharedDevice } from './gpus.ts';
import type { Tenant } from './tenant.ts';
import type { SharedModel } from './types.ts';

const never = Number.POSITIVE_INFINITY;

interface EngineHooks {
  ready(now: number): boolean;
  admits(now: number, isDue: boolean): boolean;
}

interface EngineSetup {
  model: SharedModel;
  /** Its place among the models of the run. */
  index: number;
  /** Absent where its memory is a slice. */
  tenant: Tenant | undefined;
}

export class Engine {
  readonly model: SharedModel;
  readonly index: number;
  readonly tenant: Tenant | undefined;
  readonly begun: BegunRun;
  readonly device: SharedDevice;
  /** When each request was first admitted; NaN: never. */
  readonly admittedAt: Float64Array;
  pause: Pause = { for: 'time', until: 0 };
  isDone = false;
  /** Order of the turns: who had one last goes last among equals. */
  lastTurn = 0;
  /** Counter of freed memory when it last looked for some. */
  seenFreed = -1;
  /** Memory freed by anybody, and its own pages, when a request last gave everything back without finding what it needs. */
  outgrownAt = { freed: -1, mapped: -1 };
  /** Its scheduler was asked in its last turn. */
  looked = false;
  refusals = { count: 0, seconds: 0 };
  /** Since when its queue's head finds no memory; NaN: it does not wait for any. */
  refusedSince = Number.NaN;
  /** Seconds of its last step, as it took alone. */
  stepSeconds = 0;
  paged: PagedSystem | undefined;
  private readonly turns: Generator<Pause, void, number>;
  private now = 0;

  constructor({ model, index, tenant }: EngineSetup, gpus: Gpus, hooks: EngineHooks) {
    this.model = model;
    this.index = index;
    this.tenant = tenant;
    const { run, devices } = model;
    this.admittedAt = new Float64Array(run.workload.requests.length).fill(Number.NaN);
    this.device = new SharedDevice(gpus, devices);
    this.begun = beginRun(run, {
      shared: {
        ...(tenant ? { makePool: () => tenant.pool } : {}),
        made: (system) => {
          this.paged = system;
        },
        admitted: (request) => {
          if (Number.isNaN(this.admittedAt[request])) this.admittedAt[request] = this.now;
        },
      },
    });
    if (tenant) tenant.system = this.paged;
    const { clock, system, options, stepTime } = this.begun;
    const alone = stepTime ? stepTime.seconds.bind(stepTime) : () => 1;
    this.turns = clock.turns(system, {
      ...options,
      stepByStep: true,
      device: this.device,
      ready: (now) => {
        this.now = now;
        this.looked = hooks.ready(now);
        // Steps in flight end all the same.
        if (!this.looked) this.paged?.passOver();
        return this.looked;
      },
      admits: (now, isDue) => hooks.admits(now, isDue),
      stepSeconds: (work) => {
        this.stepSeconds = alone(work);
        // What mapping took comes on top, and is the host's time; nothing without pages.
        const owed = tenant ? tenant.settle() : 0;
        const seconds = this.stepSeconds + owed;
        const share = stepTime?.deviceShare?.() ?? 1;
        this.device.demand = owed > 0 ? (share * this.stepSeconds) / seconds : share;
        return seconds;
      },
    });
  }

  get isIdle(): boolean {
    return this.begun.system.unfinished === 0;
  }

  /** It goes on when memory, or its weights, come. */
  get waitsForMemory(): boolean {
    return !this.isDone && this.pause.for === 'memory';
  }

  /** Blocks that requests hold. */
  get usedBlocks(): number {
    return this.paged ? this.paged.kv.pool.used : 0;
  }

  /** When it goes on by itself. */
  get nextTime(): number {
    const { pause } = this;
    if (this.isDone) return never;
    if (pause.for === 'device') return this.device.oldestEnd;
    return pause.for === 'memory' ? Math.min(pause.until, this.tenant?.retryAt ?? never) : pause.until;
  }

  /** Goes on at `now` until time has to pass again; NaN: nothing will change for it any more. */
  turn(now: number): void {
    if (this.tenant) this.tenant.retryAt = never;
    this.looked = false;
    const { value, done } = this.turns.next(now);
    this.isDone = done === true;
    if (value) this.pause = value;
  }

  /** Notes whether the head of its queue found no memory in its last pass. */
  noteRefusal(now: number, isRefused: boolean): void {
    const waits = !Number.isNaN(this.refusedSince);
    if (isRefused === waits) return;
    if (isRefused) {
      this.refusals.count++;
      this.refusedSince = now;
    } else {
      this.refusals.seconds += now - this.refusedSince;
      this.refusedSince = Number.NaN;
    }
  }

  end(): RunOutcome {
    return this.begun.end();
  }
}
