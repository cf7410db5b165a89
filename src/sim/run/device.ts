// Where the steps of a server are computed, one after the other: when each ends. Alone on its device a step takes its own time;
// what several servers on the same device do to each other is sharing/'s.

export interface Device {
  /** Steps in flight. */
  readonly steps: number;
  /** When the oldest of them ends. */
  readonly oldestEnd: number;
  /** A step of so many seconds, scheduled at `now`; it begins when those before it have ended. */
  submit(now: number, seconds: number): void;
  /** The oldest step has ended. */
  end(): void;
}

export class OwnDevice implements Device {
  private readonly ends: number[] = [];
  /** When the device is done with all steps in flight. */
  private free = 0;

  get steps(): number {
    return this.ends.length;
  }

  get oldestEnd(): number {
    return this.ends[0] as number;
  }

  submit(now: number, seconds: number): void {
    this.free = Math.max(now, this.free) + seconds;
    this.ends.push(this.free);
  }

  end(): void {
    this.ends.shift();
  }
}
