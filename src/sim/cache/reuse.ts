// How much of what is asked for was asked for shortly before, over a window of references, and what an adaptive eviction makes of
// it: at 0.6 and above prefixes are kept, at 0.2 and below blocks stream through, in between the least recently used goes.

const keepReuse = 0.6;
const streamReuse = 0.2;
export type AdaptiveMode = 'keep' | 'lru' | 'stream';

export class ReuseWindow {
  /** References remembered: "shortly before" is within four windows. */
  readonly memory: number;
  private readonly outcomes: Uint8Array;
  private seen = 0;
  private again = 0;

  constructor(references: number) {
    this.outcomes = new Uint8Array(references);
    this.memory = 4 * references;
  }

  observe(seenBefore: boolean): void {
    const slot = this.seen++ % this.outcomes.length;
    this.again += (seenBefore ? 1 : 0) - this.outcomes[slot]!;
    this.outcomes[slot] = seenBefore ? 1 : 0;
  }

  get reuse(): number {
    return this.seen === 0 ? 0 : this.again / Math.min(this.seen, this.outcomes.length);
  }

  /** In the first window the order is plain LRU: too little has been seen. */
  get mode(): AdaptiveMode {
    if (this.seen < this.outcomes.length) return 'lru';
    return this.reuse >= keepReuse ? 'keep' : this.reuse <= streamReuse ? 'stream' : 'lru';
  }
}
