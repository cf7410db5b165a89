// How often keys were asked for, as far as a bounded table remembers: with a store threshold only blocks seen often enough are
// offloaded. Law: vllm/v1/kv_offload/reuse_manager.py (to 0.21), cpu/manager.py (from 0.22).

export class ReuseCounter {
  /** In order of last sight, oldest first. */
  private readonly counts = new Map<number, number>();

  constructor(
    readonly threshold: number,
    private readonly capacity: number,
  ) {}

  see(key: number): void {
    const { counts } = this;
    const seen = counts.get(key);
    if (seen !== undefined) counts.delete(key);
    else if (counts.size >= this.capacity) counts.delete(counts.keys().next().value as number);
    counts.set(key, (seen ?? 0) + 1);
  }

  /** Every key of a new offer counts once; what the same offer has counted is not pushed out by it. */
  offer(keys: readonly number[]): void {
    const { counts } = this;
    let unprotected = counts.size;
    const known = new Set<number>();
    for (const key of keys) {
      if (!counts.has(key)) continue;
      this.see(key);
      known.add(key);
    }
    unprotected -= known.size;
    for (const key of keys) {
      if (counts.has(key)) continue;
      if (counts.size >= this.capacity) {
        if (unprotected === 0) continue;
        counts.delete(counts.keys().next().value as number);
        unprotected--;
      }
      counts.set(key, 1);
    }
  }

  often(key: number): boolean {
    return (this.counts.get(key) ?? 0) >= this.threshold;
  }
}
