// What is known of every model whose weights come and go, and who goes when another needs the room. Nothing here changes the state of a
// model but telling one to finish (draining); what a departure costs is not known here.
import type { LoadingPolicy } from '../../spec/sharing.ts';
import type { SharedModel } from './types.ts';

export interface ResidencyHost {
  /** Takes bytes for weights and the rest of the engine on each of the model's GPUs; false (nothing taken) when the room lacks. */
  take(model: number): boolean;
  /** Gives back weights and every KV page of a model on its GPUs. */
  giveBack(model: number): void;
  /** No unfinished request, those aside that are held back because the model does not admit them. */
  isIdle(model: number): boolean;
  /** KV bytes in use (on one GPU) that have to move out, and back, with a busy model. */
  kvBytes(model: number): number;
  /** Weight bytes on one GPU. */
  weightsBytes(model: number): number;
}

/** States of a model's weights. */
export const absent = 0;
export const loading = 1;
export const ready = 2;
export const leaving = 3;

export const never = Number.POSITIVE_INFINITY;

/** What the residency knows of a model. */
export interface Resident {
  state: number;
  /** When loading or leaving ends. */
  endsAt: number;
  /** Since when it is wanted; Infinity: not. By a request, or by schedule only. */
  wantedAt: number;
  requested: boolean;
  /** Since when others have computed on its GPUs while it was wanted: what a prefetch can hide behind. */
  besideSince: number;
  idleSince: number;
  /** Since when its turn lasts: ready, and requests there. */
  turnSince: number;
  lastUsed: number;
  /** Takes no new requests, so that it can go. */
  draining: boolean;
  impossible: boolean;
  /** KV bytes on one GPU that went out with it. */
  kvBytes: number;
  /** Preloads that are still to come, the next one last. */
  preloads: number[];
}

/** Quanta below any step would switch without computing. */
const leastQuantum = 1e-3;

export const unwanted = { wantedAt: never, requested: false, besideSince: never };

export function newResident(preloadAt: readonly number[]): Resident {
  return {
    ...unwanted,
    state: absent,
    endsAt: never,
    idleSince: never,
    turnSince: Number.NEGATIVE_INFINITY,
    lastUsed: Number.NEGATIVE_INFINITY,
    draining: false,
    impossible: false,
    kvBytes: 0,
    preloads: [...preloadAt].sort((a, b) => b - a),
  };
}

export class Rivalry {
  readonly quantum: number;

  constructor(
    private readonly models: readonly SharedModel[],
    private readonly policy: LoadingPolicy | undefined,
    private readonly host: ResidencyHost,
    private readonly all: readonly Resident[],
  ) {
    this.quantum = policy?.unloads === 'busy' ? Math.max(policy.quantumSeconds ?? 0, leastQuantum) : never;
  }

  /** Whether as many are in memory as may be, wherever this model would be the next. */
  isFull(model: number): boolean {
    const { maxLoaded = null, maxLoadedPerGpu = false } = this.policy ?? {};
    if (maxLoaded === null) return false;
    if (maxLoadedPerGpu) return this.fullGpus(model, maxLoaded).length > 0;
    return this.all.filter(({ state }) => state !== absent).length >= maxLoaded;
  }

  /** Loaded models whose going would help: on the same GPUs, or anywhere where the number is limited. */
  rivals(model: number): number[] {
    const { maxLoaded, maxLoadedPerGpu } = this.policy!;
    const loaded = this.all.map((_, other) => other).filter((other) => this.all[other]!.state !== absent);
    if (maxLoaded === null || !this.isFull(model)) return loaded.filter((other) => this.sharesGpu(model, other));
    if (!maxLoadedPerGpu) return loaded;
    const full = this.fullGpus(model, maxLoaded);
    return loaded.filter((other) => this.models[other]!.devices.some((device) => full.includes(device)));
  }

  /** Who goes: an idle one first; then, token by token, whose turn is over; else somebody may be told to finish. */
  victim(model: number, rivals: readonly number[], now: number): number | undefined {
    const { unloads, drains } = this.policy!;
    if (unloads === 'never') return undefined;
    const there = rivals.filter((other) => this.all[other]!.state === ready);
    const inOrder = unloads === 'idle-fixed' ? there : this.sorted(there, ({ lastUsed }) => lastUsed);
    const idle = inOrder.find((other) => this.host.isIdle(other));
    // A preload disturbs nobody.
    if (idle !== undefined || !this.all[model]!.requested) return idle;
    if (unloads === 'busy') {
      const over = there.filter((other) => this.all[other]!.turnSince + this.quantum <= now);
      const byTurn = this.sorted(over, ({ turnSince }) => turnSince);
      return byTurn.sort((a, b) => this.models[a]!.priority - this.models[b]!.priority)[0];
    }
    if (drains && inOrder.length > 0 && !there.some((other) => this.all[other]!.draining))
      this.all[inOrder[0]!]!.draining = true;
    return undefined;
  }

  /** Requests before schedules, larger priority first, then who came first. */
  waiting(): number[] {
    const waits = ({ state, wantedAt, impossible }: Resident) => state === absent && wantedAt < never && !impossible;
    const all = this.all.map((_, model) => model).filter((model) => waits(this.all[model]!));
    return all.sort((a, b) => {
      const [one, other] = [this.all[a]!, this.all[b]!];
      return (
        Number(other.requested) - Number(one.requested) ||
        this.models[b]!.priority - this.models[a]!.priority ||
        one.wantedAt - other.wantedAt ||
        // Who was taken off for the other, at this very moment.
        one.turnSince - other.turnSince ||
        a - b
      );
    });
  }

  /** Whether another model computes on the GPUs of this one, with room beside it for the weights of this one. */
  computesBeside(model: number): boolean {
    return this.all.some(
      ({ state }, other) => state === ready && this.couldFetch(model, other) && !this.host.isIdle(other),
    );
  }

  /** Whether a model can be fetched while the other computes. */
  couldFetch(model: number, other: number): boolean {
    return this.sharesGpu(model, other) && this.models[other]!.prefetchBytes >= this.host.weightsBytes(model);
  }

  sharesGpu(model: number, other: number): boolean {
    const { devices } = this.models[other]!;
    return model !== other && this.models[model]!.devices.some((device) => devices.includes(device));
  }

  private fullGpus(model: number, maxLoaded: number): number[] {
    const loaded = this.models.filter((_, other) => this.all[other]!.state !== absent);
    return this.models[model]!.devices.filter(
      (device) => loaded.filter(({ devices }) => devices.includes(device)).length >= maxLoaded,
    );
  }

  private sorted(some: readonly number[], key: (one: Resident) => number): number[] {
    return [...some].sort((a, b) => key(this.all[a]!) - key(this.all[b]!) || a - b);
  }
}
