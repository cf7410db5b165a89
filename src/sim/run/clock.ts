// The clock: lets requests arrive, asks the serving system for one step after the other, and gives every step its time. It knows
// nothing of blocks; what it sees of a step it hands to observers. With `unit` every step (and every idle or empty call) lasts 1.
// A server alone runs to its end in one go; several on the same GPUs take turns (sharing/), and pause wherever time passes.
import type { RequestListener, ServingSystem, SimRequest, StepWork, Workload } from '../types.ts';
import { Arrivals } from './arrivals.ts';
import { type Device, OwnDevice } from './device.ts';

/** What happens to the server from outside, at a time; `act` runs before the step of that time. */
export interface OutsideEvent {
  at: number;
  act(): void;
}

export interface StepObserver {
  /** Right after a step was scheduled, before its output. */
  scheduled?(time: number, seconds: number): void;
  /** The server had nothing new to do between two times. */
  idle?(from: number, to: number): void;
}

export interface ClockOptions {
  /** Seconds of a step; absent: every step lasts 1. */
  stepSeconds?: (work: Readonly<StepWork>) => number;
  events?: readonly OutsideEvent[];
  observer?: StepObserver;
  /** Called about every `progressEvery` steps with the share of requests done. */
  progress?: (ended: number, total: number) => void;
  progressEvery?: number;
  /** Never pass over steps in which nothing is allocated, admitted or finished; the results are the same. */
  stepByStep?: boolean;
}

/** Of a server that takes turns with others. */
export interface TurnOptions extends ClockOptions {
  /** Where the steps are computed; absent: on a device of the server's own, without pauses. */
  device?: Device;
  /** Asked before every step, at its time: false while the server cannot compute (its weights are elsewhere). */
  ready?: (now: number) => boolean;
  /** False while new requests are held back at the door; `isDue`: there is one. */
  admits?: (now: number, isDue: boolean) => boolean;
}

/** Where a server that shares its device waits. Whoever drives it resumes it with the time; NaN: nothing will happen any more. */
export interface Pause {
  /** device: the oldest step in flight; time: a moment; memory: that memory comes from outside, or that moment. */
  for: 'device' | 'time' | 'memory';
  until: number;
}

/** Times by index of the request; NaN where it never came. */
export interface RequestTimes {
  arrival: Float64Array;
  first: Float64Array;
  finish: Float64Array;
  rejected: Map<number, string>;
  preemptions: Uint32Array;
}

interface ClockTotals {
  steps: number;
  idleSteps: number;
  emptySteps: number;
  scheduledTokens: number;
  scheduledSequences: number;
  finished: number;
  /** When the last output came. */
  endTime: number;
}

/** Calls that schedule nothing and complete nothing, with nothing to come: the server is stuck. */
const maxFruitless = 2000;
/** Such calls in a row after which time passes whatever the transfers say. */
const patience = 64;

export class Clock implements RequestListener {
  readonly times: RequestTimes;
  readonly totals: ClockTotals = {
    steps: 0,
    idleSteps: 0,
    emptySteps: 0,
    scheduledTokens: 0,
    scheduledSequences: 0,
    finished: 0,
    endTime: 0,
  };
  private readonly arrivals: Arrivals;
  private readonly gone = new Set<number>();
  private now = 0;
  /** Time of the step whose output is being processed, and of those in flight. */
  private outputTime = 0;
  private device: Device = new OwnDevice();
  private readonly pause: Pause = { for: 'time', until: 0 };
  /** The time that the server was last told. */
  private told = 0;

  constructor(private readonly workload: Workload) {
    const count = workload.requests.length;
    this.arrivals = new Arrivals(workload);
    this.times = {
      arrival: new Float64Array(count).fill(Number.NaN),
      first: new Float64Array(count).fill(Number.NaN),
      finish: new Float64Array(count).fill(Number.NaN),
      rejected: new Map(),
      preemptions: new Uint32Array(count),
    };
  }

  firstToken(request: number): void {
    this.times.first[request] = this.outputTime;
  }

  finished(request: number): void {
    this.times.finish[request] = this.outputTime;
    this.totals.finished++;
    this.totals.endTime = this.outputTime;
    this.arrivals.ended(request, this.outputTime);
  }

  rejected(request: number, reason: string): void {
    this.times.rejected.set(request, reason);
    this.arrivals.ended(request, this.now);
  }

  preempted(request: number): void {
    this.times.preemptions[request] = (this.times.preemptions[request] as number) + 1;
  }

  /** Runs until every request has ended. */
  run(system: ServingSystem, options: ClockOptions = {}): void {
    // Alone it never pauses.
    this.turns(system, options).next();
  }

  /** The same, turn by turn: pauses wherever time passes, if the device is shared. */
  *turns(system: ServingSystem, options: TurnOptions): Generator<Pause, void, number> {
    const { events = [], observer, stepSeconds, progress, progressEvery = 4096, ready, admits } = options;
    const unit = stepSeconds === undefined;
    const shared = options.device !== undefined;
    if (options.device) this.device = options.device;
    const { totals, arrivals, device } = this;
    let nextEvent = 0;
    let fruitless = 0;
    for (;;) {
      if (!unit) this.tell(system);
      const holdsBack = admits !== undefined && !admits(this.now, arrivals.nextTime(system.unfinished) <= this.now);
      if (!holdsBack) this.admit(system);
      for (; nextEvent < events.length && (events[nextEvent] as OutsideEvent).at <= this.now; nextEvent++)
        (events[nextEvent] as OutsideEvent).act();
      if (system.unfinished === 0 && device.steps === 0 && system.busy !== true) {
        if (!arrivals.pending) break;
        if (holdsBack && arrivals.nextTime(0) <= this.now) {
          const at = yield this.until('memory', Number.POSITIVE_INFINITY);
          if (Number.isNaN(at)) break;
          observer?.idle?.(this.now, at);
          this.now = at;
          continue;
        }
        if (shared) yield this.until('time', Math.max(this.now, arrivals.nextTime(0)));
        this.idle(unit, events[nextEvent]?.at ?? Number.POSITIVE_INFINITY, observer);
        continue;
      }
      const isReady = ready === undefined || ready(this.now);
      const scheduled = isReady && system.schedule();
      if (scheduled) {
        const { work } = system;
        device.submit(this.now, unit ? 0 : (work.seconds ?? stepSeconds(work)));
        totals.steps++;
        totals.scheduledTokens += work.tokens;
        totals.scheduledSequences += work.sequences;
      } else totals.emptySteps++;
      // Nothing changes until the output of the oldest step; at once if the next step is to be scheduled before that.
      const waits = device.steps > 0 && !(scheduled && device.steps < (system.stepsAhead ?? 1));
      if (shared && waits) yield this.until('device', Number.POSITIVE_INFINITY);
      const seconds = unit ? 1 : waits ? Math.max(0, device.oldestEnd - this.now) : 0;
      if (scheduled) observer?.scheduled?.(this.now, seconds);
      else if (!unit && seconds > 0) observer?.idle?.(this.now, this.now + seconds);
      const completed = this.complete(system);
      if (unit) this.now++;
      else if (completed) this.now = Math.max(this.now, this.outputTime);
      if (scheduled && !options.stepByStep && nextEvent >= events.length) this.skipQuietSteps(system, options);
      fruitless = scheduled || completed ? 0 : fruitless + 1;
      if (fruitless > 0) {
        // A transfer on its way is a time to go on at, like alone.
        const isMoving = Number.isFinite(system.nextArrival ?? Number.POSITIVE_INFINITY);
        if (shared && !isMoving && (system.mayGrow === true || !isReady)) {
          fruitless = 0;
          const next = arrivals.nextTime(system.unfinished);
          // Who is held back at the door brings nothing on.
          const isHeld = holdsBack && next <= this.now;
          const at = yield this.until('memory', isHeld ? Number.POSITIVE_INFINITY : Math.max(this.now, next));
          if (Number.isNaN(at)) {
            if (system.giveUp?.() !== true) break;
            continue;
          }
          if (at > this.now) observer?.idle?.(this.now, at);
          this.now = at;
          continue;
        }
        const from = this.now;
        if (!this.moveOn(system, { unit, fruitless, eventsLeft: nextEvent < events.length })) break;
        if (shared && this.now > from) yield this.until('time', this.now);
      }
      if (progress && totals.steps % progressEvery === 0)
        progress(totals.finished + this.times.rejected.size, this.workload.requests.length);
    }
    this.rejectLeftOvers();
  }

  private until(what: Pause['for'], time: number): Pause {
    this.pause.for = what;
    this.pause.until = time;
    return this.pause;
  }

  /** How much time has passed since it was last told. */
  private tell(system: ServingSystem): void {
    system.elapse?.(this.now - this.told);
    this.told = this.now;
  }

  /** What the server still holds when nothing can move it on is reported, not forgotten. */
  private rejectLeftOvers(): void {
    const { arrival, finish, rejected } = this.times;
    if (this.totals.finished + rejected.size === arrival.length) return;
    for (let i = 0; i < arrival.length; i++)
      if (
        !Number.isNaN(arrival[i] as number) &&
        Number.isNaN(finish[i] as number) &&
        !rejected.has(i) &&
        !this.gone.has(i)
      )
        rejected.set(i, 'the server makes no progress with it');
  }

  /** Aborted from outside: it neither finishes nor is it refused. */
  aborted(request: number): void {
    this.gone.add(request);
    this.arrivals.ended(request, this.now);
  }

  /**
   * Decode steps in which no block is taken or registered, nobody ends and nobody can be admitted: the system only counts them.
   * Their times are added one by one, so that the sums are the same to the last bit as without passing over them.
   */
  private skipQuietSteps(system: ServingSystem, { stepSeconds, observer }: ClockOptions): void {
    const { totals } = this;
    let steps = system.quietSteps?.() ?? 0;
    if (steps <= 0) return;
    const next = this.arrivals.nextTime(system.unfinished);
    for (; steps > 0 && this.now < next; steps--) {
      system.skipStep?.();
      const { work } = system;
      const seconds = stepSeconds ? stepSeconds(work) : 1;
      totals.steps++;
      totals.scheduledTokens += work.tokens;
      totals.scheduledSequences += work.sequences;
      const end = this.now + seconds;
      observer?.scheduled?.(this.now, end - this.now);
      this.now = end;
    }
  }

  private complete(system: ServingSystem): boolean {
    const { device } = this;
    this.outputTime = device.steps > 0 ? device.oldestEnd : this.now;
    const completed = system.complete();
    if (completed) device.end();
    return completed;
  }

  private admit(system: ServingSystem): void {
    for (;;) {
      const request = this.arrivals.take(this.now, system.unfinished);
      if (request < 0) return;
      const { arrival, after } = this.workload.requests[request] as SimRequest;
      const open = this.workload.concurrency === undefined ? Math.max(arrival, 0) : this.now;
      this.times.arrival[request] = after === undefined ? open : this.arrivals.turnTime;
      system.add(request);
    }
  }

  /** Nothing to do until the next arrival, or what happens from outside before it; in units as many as that takes. */
  private idle(unit: boolean, nextEvent: number, observer: StepObserver | undefined): void {
    if (unit) {
      const units = Math.ceil(Math.min(this.arrivals.nextTime(0), nextEvent) - this.now);
      const steps = Number.isFinite(units) ? Math.max(1, units) : 1;
      this.totals.idleSteps += steps;
      observer?.idle?.(this.now, this.now + steps);
      this.now += steps;
      return;
    }
    const next = Math.max(this.now, this.arrivals.nextTime(0));
    observer?.idle?.(this.now, next);
    this.now = next;
  }

  /** A call that did nothing: time goes to the end of a transfer or to the next arrival; without one, after many tries, what is left can never run. */
  private moveOn(
    system: ServingSystem,
    { unit, fruitless, eventsLeft }: { unit: boolean; fruitless: number; eventsLeft: boolean },
  ): boolean {
    const arrival = unit ? Number.POSITIVE_INFINITY : (system.nextArrival ?? Number.POSITIVE_INFINITY);
    if (Number.isFinite(arrival)) {
      // Transfers without duration may follow each other for ever while another is on its way: the engine asks again a moment later.
      const moment = fruitless < patience ? 0 : 1e-3 * 2 ** Math.floor(fruitless / patience);
      this.now = Math.min(
        this.now + Math.max(arrival, moment),
        Math.max(this.now, this.arrivals.nextTime(system.unfinished)),
      );
      return fruitless <= maxFruitless || eventsLeft;
    }
    if (system.unfinished === 0) return true;
    if (!unit && !eventsLeft) {
      const next = this.arrivals.nextTime(system.unfinished);
      if (Number.isFinite(next)) this.now = Math.max(this.now, next);
    }
    return fruitless <= maxFruitless || eventsLeft;
  }
}
