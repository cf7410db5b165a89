// How long weights take to come and go, and what they wait for: each GPU has its own link to the host, one load at a time each way, and
// there is one disk. Not followed: steps that stream weights from the host (cpu-offload-gb) beside a load; neither slows the other.
// Rates are the run's (accounting/link.ts) and the loading behaviour's shares of them; all are estimates.
import type { LoadingPolicy } from '../../spec/sharing.ts';
import type { SharedModel } from './types.ts';

export class LoadLinks {
  /** Until when the links to the GPUs, those from them, and the disk are taken. */
  private readonly inward = new Map<number, number>();
  private readonly outward = new Map<number, number>();
  private disk = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly models: readonly SharedModel[],
    private readonly loading: LoadingPolicy,
  ) {}

  /** Whether a load of this model could start. */
  isFree(model: number, fromDisk: boolean, now: number): boolean {
    const free = this.devices(model).every((device) => (this.inward.get(device) ?? now) <= now);
    return free && (!fromDisk || this.disk <= now);
  }

  /** Seconds of moving the weights in: from disk all GPUs' bytes pass one disk, from the host each GPU's pass its own link. */
  weightSeconds(model: number, bytes: number, fromDisk: boolean): number {
    const { weights } = this.models[model] as SharedModel;
    const link = bytes / this.weightRate(model);
    return fromDisk ? Math.max(link, (bytes * this.devices(model).length) / weights.diskRate) : link;
  }

  /** Seconds of moving KV blocks over the link: nothing but the link bounds them. */
  kvSeconds(model: number, bytes: number): number {
    return bytes === 0 ? 0 : bytes / this.linkRate(model);
  }

  takeInward(model: number, fromDisk: boolean, until: number): void {
    for (const device of this.devices(model)) this.inward.set(device, until);
    if (fromDisk) this.disk = until;
  }

  /** Moves something off the GPUs, after what is on its way already: PCIe carries both ways at once. Returns when it is done. */
  takeOutward(model: number, seconds: number, now: number): number {
    if (seconds === 0) return now;
    const devices = this.devices(model);
    const end = seconds + Math.max(now, ...devices.map((device) => this.outward.get(device) ?? now));
    for (const device of devices) this.outward.set(device, end);
    return end;
  }

  /** What weights for one GPU are moved at; each rank has a loader of its own. */
  private weightRate(model: number): number {
    const { linkShare, loaderRate } = this.loading;
    const link = this.linkRate(model) * linkShare;
    return loaderRate === null ? link : Math.min(link, loaderRate);
  }

  /** The model's rate is that of all its GPUs' links together. */
  private linkRate(model: number): number {
    return (this.models[model] as SharedModel).weights.hostRate / this.devices(model).length;
  }

  private devices(model: number): readonly number[] {
    return (this.models[model] as SharedModel).devices;
  }
}
