// The weights of every model on the clock of a shared run: absent, loading, ready or leaving; who is loaded next and who goes for it.
// Which requests wait, and what memory there is, the host knows. Laws: loads on one link go one by one, first wanted first, larger
// priority before; whoever waits for room is not overtaken on its GPUs; what is taken is given back once. The behaviours are those of
// ollama (server/sched.go), llama-swap, vLLM's sleep mode and Aegaeon as presets/loading states them with their sources.
import type { LoadingPolicy } from '../../spec/sharing.ts';
import { HostCopies } from './host-copies.ts';
import { LoadLinks } from './load-links.ts';
import {
  absent,
  leaving,
  loading,
  never,
  newResident,
  type ResidencyHost,
  type Resident,
  Rivalry,
  ready,
  unwanted,
} from './rivalry.ts';
import type { SharedModel } from './types.ts';

export type { ResidencyHost };

interface LoadCounters {
  fromHost: number;
  fromDisk: number;
  /** Times that it left, for whatever reason; of these, taken off while it computed. */
  unloads: number;
  switches: number;
  /** Of loading, as far as it was not hidden. */
  seconds: number;
}

export class Residency {
  readonly counters: readonly LoadCounters[];
  private readonly all: readonly Resident[];
  private readonly copies: HostCopies;
  private readonly links: LoadLinks | undefined;
  private readonly rivalry: Rivalry;
  /** Something changed at this time that may let a waiting load start. */
  private retryAt = never;
  private lastAdvance = Number.NEGATIVE_INFINITY;
  private dueAt: number | undefined;

  constructor(
    private readonly models: readonly SharedModel[],
    private readonly policy: LoadingPolicy | undefined,
    private readonly host: ResidencyHost,
  ) {
    this.counters = models.map(() => ({ fromHost: 0, fromDisk: 0, unloads: 0, switches: 0, seconds: 0 }));
    this.all = models.map(({ weights }) => newResident(policy ? weights.preloadAt : []));
    this.copies = new HostCopies(
      models.map(({ devices }, model) => host.weightsBytes(model) * devices.length),
      models.map(({ weights }) => weights.place === 'host'),
      policy?.hostMemoryBytes ?? never,
    );
    this.links = policy && new LoadLinks(models, policy);
    this.rivalry = new Rivalry(models, policy, host, this.all);
  }

  /** Loads what is resident from the start (in order of the models, while there is room); called once at time 0. */
  start(): void {
    this.all.forEach((one, model) => {
      if (this.policy && this.models[model]!.weights.place !== 'resident') return;
      if (this.rivalry.isFull(model) || !this.host.take(model)) {
        one.impossible = !this.policy;
        return;
      }
      one.state = ready;
      Object.assign(one, { turnSince: 0, lastUsed: 0, idleSince: this.host.isIdle(model) ? 0 : never });
      if (!this.policy?.savesWeights) this.copies.keep(model, 0);
    });
    this.dueAt = undefined;
  }

  /** Can compute now. */
  isReady(model: number): boolean {
    return this.all[model]!.state === ready;
  }

  /** Can compute, and takes new requests: one that has to go as soon as it is idle takes none (they `want` it anew). */
  admits(model: number): boolean {
    const one = this.all[model]!;
    return one.state === ready && !one.draining;
  }

  /** It can never be loaded: too large even when nothing else is on its GPUs. */
  impossible(model: number): boolean {
    return this.all[model]!.impossible;
  }

  /** 0 absent, 1 loading, 2 ready, 3 leaving. */
  state(model: number): number {
    return this.all[model]!.state;
  }

  /** A request for a model that is not ready came at `now`, or it is waiting still: remembers it; loads start in advance(). */
  want(model: number, now: number): void {
    const one = this.all[model]!;
    if (!this.policy || one.impossible || one.requested || this.admits(model)) return;
    one.requested = true;
    if (one.state === loading) return;
    one.wantedAt = now;
    if (one.besideSince === never && this.rivalry.computesBeside(model)) one.besideSince = now;
    this.retry(now);
  }

  /** The model became idle (its last request ended) or busy again at `now`: keep-alive and LRU order count from here. */
  touched(model: number, now: number, idle: boolean): void {
    const one = this.all[model]!;
    one.lastUsed = now;
    if (!idle && one.idleSince < never) one.turnSince = now;
    one.idleSince = idle ? now : never;
    this.dueAt = undefined;
    if (idle) this.memoryFreed(now);
  }

  /** Memory came free at `now`: loads that wait for it are tried again. */
  memoryFreed(now: number): void {
    if (this.all.some(({ wantedAt, draining }) => wantedAt < never || draining)) this.retry(now);
  }

  /** When something happens by itself: a load is done, a keep-alive ends, a preload is due, a quantum ends; Infinity: never. */
  nextTime(): number {
    this.dueAt ??= this.policy ? this.nextDue(this.policy) : never;
    return this.dueAt;
  }

  /** Does what is due at `now` and starts loads that have room (evicting by the policy). Returns models that became ready. */
  advance(now: number): number[] {
    if (!this.policy || (this.nextTime() > now && !this.all.some(waits))) return [];
    const came: number[] = [];
    this.retryAt = never;
    this.lastAdvance = now;
    this.dueAt = undefined;
    this.finish(now, came);
    this.expire(now, this.policy);
    this.preload(now);
    this.startLoads(now, came);
    // Loads and departures that take no time are done at once.
    this.finish(now, came);
    return came;
  }

  private nextDue({ keepAliveSeconds }: LoadingPolicy): number {
    let next = this.retryAt;
    const someWait = this.all.some(waits);
    for (const one of this.all) {
      if (one.state === loading || one.state === leaving) next = Math.min(next, one.endsAt);
      else if (one.state === ready) {
        if (keepAliveSeconds !== null) next = Math.min(next, one.idleSince + keepAliveSeconds);
        const turn = one.turnSince + this.rivalry.quantum;
        if (someWait && turn > this.lastAdvance) next = Math.min(next, turn);
      }
      next = Math.min(next, one.preloads.at(-1) ?? never);
    }
    return next;
  }

  private finish(now: number, came: number[]): void {
    const done = this.all.map((_, model) => model).filter((model) => this.isMoving(model, now));
    for (const model of done.sort((a, b) => this.all[a]!.endsAt - this.all[b]!.endsAt || a - b)) {
      if (this.all[model]!.state === loading) {
        this.becomeReady(model, now);
        came.push(model);
      } else this.leave(model);
    }
  }

  private isMoving(model: number, until: number): boolean {
    const { state, endsAt } = this.all[model]!;
    return (state === loading || state === leaving) && endsAt <= until;
  }

  private becomeReady(model: number, now: number): void {
    const idleSince = this.host.isIdle(model) ? now : never;
    Object.assign(this.all[model]!, {
      ...unwanted,
      state: ready,
      turnSince: now,
      lastUsed: now,
      idleSince,
      kvBytes: 0,
    });
    for (const [other, one] of this.all.entries()) {
      if (one.requested && one.besideSince === never && idleSince === never && this.rivalry.couldFetch(other, model))
        one.besideSince = now;
    }
  }

  private leave(model: number): void {
    this.host.giveBack(model);
    this.all[model]!.state = absent;
  }

  private expire(now: number, { keepAliveSeconds }: LoadingPolicy): void {
    this.all.forEach((one, model) => {
      if (one.state !== ready) return;
      const isOver = keepAliveSeconds !== null && one.idleSince + keepAliveSeconds <= now;
      if (this.host.isIdle(model)) {
        if (isOver || one.draining) this.unload(model, now);
      } else if (isOver) one.idleSince = never;
    });
  }

  private preload(now: number): void {
    this.all.forEach((one) => {
      let isDue = false;
      while ((one.preloads.at(-1) ?? never) <= now) {
        one.preloads.pop();
        isDue = true;
      }
      if (!isDue || one.impossible) return;
      // What is there already counts as used now.
      if (one.state === ready) {
        one.lastUsed = now;
        if (one.idleSince < never) one.idleSince = now;
      } else if (one.state !== loading) one.wantedAt = Math.min(one.wantedAt, now);
    });
  }

  private startLoads(now: number, came: number[]): void {
    const blocked = new Set<number>();
    // Under a limit for all GPUs together, who waits keeps all that come later from loading.
    const limitsAll = this.policy!.maxLoaded !== null && !this.policy!.maxLoadedPerGpu;
    for (const model of this.rivalry.waiting()) {
      const { devices } = this.models[model]!;
      const isNext = !devices.some((device) => blocked.has(device)) && !(limitsAll && blocked.size > 0);
      const fromDisk = !this.copies.has(model);
      if (isNext && this.links!.isFree(model, fromDisk, now) && this.makeRoom(model, now)) {
        this.load(model, fromDisk, now);
      } else if (this.all[model]!.requested && !this.all[model]!.impossible) {
        for (const device of devices) blocked.add(device);
      }
    }
    if (!this.all.some(({ requested, state }) => requested && state !== ready)) this.undrain(came);
  }

  /** Takes the model's memory, after those have gone that the policy lets go; false: it has to wait. */
  private makeRoom(model: number, now: number): boolean {
    for (;;) {
      const full = this.rivalry.isFull(model);
      if (!full && this.host.take(model)) return true;
      const rivals = this.rivalry.rivals(model);
      if (!full && rivals.length === 0) {
        Object.assign(this.all[model]!, { ...unwanted, impossible: true });
        return false;
      }
      // One at a time: what is leaving may be enough.
      if (rivals.some((other) => this.all[other]!.state === leaving)) return false;
      const victim = this.rivalry.victim(model, rivals, now);
      if (victim === undefined) return false;
      this.unload(victim, now);
      if (this.all[victim]!.state === leaving) return false;
    }
  }

  /** The model goes: KV blocks that requests still need move out before the memory is free, and weights where nobody else has them. */
  private unload(model: number, now: number): void {
    const one = this.all[model]!;
    const counters = this.counters[model]!;
    counters.unloads++;
    const isBusy = !this.host.isIdle(model);
    if (isBusy) {
      counters.switches++;
      one.kvBytes = this.host.kvBytes(model);
      const besideSince = this.rivalry.computesBeside(model) ? now : never;
      Object.assign(one, { requested: true, wantedAt: now, besideSince });
    }
    const { savesWeights, unloadSeconds } = this.policy!;
    if (savesWeights) this.copies.keep(model, now);
    const saved = savesWeights && this.copies.has(model) ? this.host.weightsBytes(model) : 0;
    const seconds = this.links!.weightSeconds(model, saved, false) + this.links!.kvSeconds(model, one.kvBytes);
    one.endsAt = this.links!.takeOutward(model, seconds, now) + unloadSeconds;
    Object.assign(one, { state: leaving, draining: false, idleSince: never });
    if (one.endsAt <= now) this.leave(model);
  }

  private load(model: number, fromDisk: boolean, now: number): void {
    const one = this.all[model]!;
    const counters = this.counters[model]!;
    const { startSeconds, prefetch, savesWeights } = this.policy!;
    const moving = this.links!.weightSeconds(model, this.host.weightsBytes(model), fromDisk);
    const hidden = one.besideSince === never ? 0 : Math.min(prefetch * moving, now - one.besideSince);
    const started = fromDisk ? startSeconds.disk : startSeconds.host;
    const seconds = started + moving - hidden + this.links!.kvSeconds(model, one.kvBytes);
    Object.assign(one, { state: loading, endsAt: now + seconds, wantedAt: never });
    this.links!.takeInward(model, fromDisk, one.endsAt);
    if (fromDisk) counters.fromDisk++;
    else counters.fromHost++;
    counters.seconds += seconds;
    if (!fromDisk || !savesWeights) this.copies.keep(model, now);
  }

  /** Nobody waits for room any more: who was to go stays, and takes what was held back. */
  private undrain(came: number[]): void {
    this.all.forEach((one, model) => {
      if (!one.draining) return;
      if (one.requested) came.push(model);
      Object.assign(one, { ...unwanted, draining: false });
    });
  }

  private retry(now: number): void {
    this.retryAt = now;
    this.dueAt = undefined;
  }
}

/** Requests wait for its load to start. */
function waits({ requested, state }: Resident): boolean {
  return requested && state === absent;
}
