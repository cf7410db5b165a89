// A way that transfers take one after the other: PCIe in one direction, or a disk. A transfer lasts as long as its blocks need at
// the link's rate; how time passes is told from outside.

/** What is due within so much is due: sums of times are not exact. */
const microsecond = 1e-6;

export class Link<Job> {
  private readonly queue: { job: Job; seconds: number }[] = [];

  /** Seconds a block takes; 0: whatever is on its way arrives when time passes at all. */
  constructor(
    private readonly blockSeconds: number,
    private readonly arrive: (job: Job) => void,
  ) {}

  get length(): number {
    return this.queue.length;
  }

  /** Seconds until the next arrival; Infinity when nothing is on its way. */
  get next(): number {
    return this.queue[0]?.seconds ?? Number.POSITIVE_INFINITY;
  }

  send(job: Job, blocks: number): void {
    this.queue.push({ job, seconds: blocks * this.blockSeconds });
  }

  /** What is due within `seconds` arrives; what an arrival sends begins after them. */
  pass(seconds: number): void {
    let left = seconds;
    for (let waiting = this.queue.length; waiting > 0; waiting--) {
      const head = this.queue[0] as { job: Job; seconds: number };
      if (head.seconds - left > microsecond) {
        head.seconds -= left;
        return;
      }
      left = Math.max(0, left - head.seconds);
      this.queue.shift();
      this.arrive(head.job);
    }
  }
}
