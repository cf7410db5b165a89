// The GPUs' time when several engines compute at once: each is a process of its own, and without MPS the driver gives them the GPU in
// turns (CUDA programming guide, time-slicing). As if every step went on at 1/k of its speed while k engines compute on one of its GPUs.
// An engine alone takes exactly the time of its steps.
import type { Device } from '../run/device.ts';

export class Gpus {
  private readonly computing: Int32Array;
  private readonly active: SharedDevice[] = [];

  constructor(count: number) {
    this.computing = new Int32Array(count);
  }

  /** Engines that compute now, on any GPU. */
  get busy(): number {
    return this.active.length;
  }

  begin(device: SharedDevice): void {
    for (const gpu of device.gpus) this.computing[gpu]!++;
    this.active.push(device);
  }

  end(device: SharedDevice): void {
    for (const gpu of device.gpus) this.computing[gpu]!--;
    const place = this.active.indexOf(device);
    const last = this.active.pop() as SharedDevice;
    if (last !== device) this.active[place] = last;
  }

  /** After engines began or ended at `now`: the ends of all steps that go on faster or slower from here. */
  rebalance(now: number): void {
    for (let i = 0; i < this.active.length; i++) {
      const device = this.active[i] as SharedDevice;
      let share = 1;
      for (let g = 0; g < device.gpus.length; g++) {
        const engines = this.computing[device.gpus[g] as number] as number;
        if (engines > share) share = engines;
      }
      device.go(now, share);
    }
  }
}

/** Where the steps of one engine are computed. */
export class SharedDevice implements Device {
  oldestEnd = Number.POSITIVE_INFINITY;
  steps = 0;
  /** Steps behind the one that is computed. */
  private readonly behind: number[] = [];
  /** By how much the step computed now is slower than alone; 0: not known yet. */
  private slowness = 0;
  private begunAt = 0;
  private seconds = 0;

  constructor(
    private readonly all: Gpus,
    readonly gpus: readonly number[],
  ) {}

  submit(now: number, seconds: number): void {
    this.steps++;
    if (this.steps > 1) this.behind.push(seconds);
    else this.start(now, seconds);
  }

  end(): void {
    const at = this.oldestEnd;
    this.steps--;
    this.all.end(this);
    this.oldestEnd = Number.POSITIVE_INFINITY;
    if (this.steps > 0) this.start(at, this.behind.shift() as number);
  }

  go(now: number, slowness: number): void {
    if (this.slowness === slowness) return;
    if (this.slowness === 0) this.oldestEnd = this.begunAt + this.seconds * slowness;
    else this.oldestEnd = now + ((this.oldestEnd - now) * slowness) / this.slowness;
    this.slowness = slowness;
  }

  private start(at: number, seconds: number): void {
    this.begunAt = at;
    this.seconds = seconds;
    this.slowness = 0;
    this.all.begin(this);
  }
}
