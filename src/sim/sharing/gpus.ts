// The GPUs' time when several engines compute at once: each is a process of its own, and without MPS the driver gives them the GPU in
// turns (CUDA programming guide, time-slicing). In the gaps of one, where its host works, others compute. So every step goes on at 1/L
// of its speed, L being the sum of the shares of their steps in which the engines on one of its GPUs want it; not faster than alone. An
// engine alone takes exactly the time of its steps.
import type { Device } from '../run/device.ts';

export class Gpus {
  private readonly load: Float64Array;
  private readonly active: SharedDevice[] = [];

  constructor(count: number) {
    this.load = new Float64Array(count);
  }

  /** Engines that compute now, on any GPU. */
  get busy(): number {
    return this.active.length;
  }

  begin(device: SharedDevice): void {
    this.active.push(device);
  }

  end(device: SharedDevice): void {
    const place = this.active.indexOf(device);
    const last = this.active.pop() as SharedDevice;
    if (last !== device) this.active[place] = last;
  }

  /** After engines began or ended at `now`: the ends of all steps that go on faster or slower from here. */
  rebalance(now: number): void {
    const { active, load } = this;
    load.fill(0);
    for (let i = 0; i < active.length; i++) {
      const { gpus, wants } = active[i] as SharedDevice;
      for (let g = 0; g < gpus.length; g++) load[gpus[g] as number]! += wants;
    }
    for (let i = 0; i < active.length; i++) {
      const device = active[i] as SharedDevice;
      let slowness = 1;
      for (let g = 0; g < device.gpus.length; g++)
        if ((load[device.gpus[g] as number] as number) > slowness) slowness = load[device.gpus[g] as number] as number;
      device.go(now, slowness);
    }
  }
}

interface Step {
  seconds: number;
  /** Share of them in which the device computes. */
  demand: number;
}

/** Where the steps of one engine are computed. */
export class SharedDevice implements Device {
  oldestEnd = Number.POSITIVE_INFINITY;
  steps = 0;
  /** Share in which the device computes: of the step that is submitted next, and of the one that is computed now. */
  demand = 1;
  wants = 1;
  /** Steps behind the one that is computed. */
  private readonly behind: Step[] = [];
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
    if (this.steps > 1) this.behind.push({ seconds, demand: this.demand });
    else this.start(now, seconds, this.demand);
  }

  end(): void {
    const at = this.oldestEnd;
    this.steps--;
    this.all.end(this);
    this.oldestEnd = Number.POSITIVE_INFINITY;
    const next = this.behind.shift();
    if (next) this.start(at, next.seconds, next.demand);
  }

  go(now: number, slowness: number): void {
    if (this.slowness === slowness) return;
    if (this.slowness === 0) this.oldestEnd = this.begunAt + this.seconds * slowness;
    else this.oldestEnd = now + ((this.oldestEnd - now) * slowness) / this.slowness;
    this.slowness = slowness;
  }

  private start(at: number, seconds: number, demand: number): void {
    this.begunAt = at;
    this.seconds = seconds;
    this.wants = demand;
    this.slowness = 0;
    this.all.begin(this);
  }
}
