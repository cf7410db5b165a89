// Which models' weights are in host memory: from where a load starts. What was read from disk stays there while there is room, as in a
// page cache or a weight cache; the copy that was used longest ago goes first. Models that are said to be on the host stay there.
export class HostCopies {
  private readonly here: Uint8Array;
  private readonly usedAt: Float64Array;
  private used = 0;

  /** `pinned`: those that are on the host from the start, whether they fit there is for whoever says so. */
  constructor(
    private readonly bytes: readonly number[],
    pinned: readonly boolean[],
    private readonly capacity: number,
  ) {
    this.here = Uint8Array.from(pinned, (is) => (is ? 2 : 0));
    this.usedAt = new Float64Array(bytes.length);
    bytes.forEach((size, model) => {
      if (pinned[model]) this.used += size;
    });
  }

  has(model: number): boolean {
    return this.here[model] !== 0;
  }

  /** The weights were read at `now`: a copy stays where it fits, in place of older ones. */
  keep(model: number, now: number): void {
    this.usedAt[model] = now;
    if (this.has(model)) return;
    const size = this.bytes[model] as number;
    if (size > this.capacity - this.pinnedBytes()) return;
    while (this.used + size > this.capacity) this.dropOldest();
    this.here[model] = 1;
    this.used += size;
  }

  private pinnedBytes(): number {
    let bytes = 0;
    for (let i = 0; i < this.bytes.length; i++) if (this.here[i] === 2) bytes += this.bytes[i] as number;
    return bytes;
  }

  private dropOldest(): void {
    let oldest = -1;
    for (let i = 0; i < this.bytes.length; i++) {
      if (this.here[i] !== 1) continue;
      if (oldest < 0 || (this.usedAt[i] as number) < (this.usedAt[oldest] as number)) oldest = i;
    }
    this.here[oldest] = 0;
    this.used -= this.bytes[oldest] as number;
  }
}
