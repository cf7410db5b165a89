// LightLLM's estimate of the peak: requests are looked at in the order in which they will end, the one with the most left first; when
// the i-th of them ends, it and everybody before it have grown by what it had left, and everybody behind it has gone. Law:
// lightllm/server/router/req_queue/continues_batch/impl.py (ModelTC/lightllm fc72ffa).

/** Slots a request holds with its next token, and tokens it may still generate. */
export interface TokenNeed {
  readonly present: number;
  readonly left: number;
}

/** Output tokens added to every estimate, for what asynchronous scheduling sees late (ADDED_OUTPUT_LEN in core/objs/req.py). */
export const addedOutput = 6;

const shift = 2 ** 24;

export class PeakEstimate {
  private readonly needs: number[] = [];

  /** Room for a request: its need packed into one number that sorts by what is left. */
  add({ present, left }: TokenNeed): void {
    this.needs.push(left * shift + present);
  }

  get size(): number {
    return this.needs.length;
  }

  /** max over i of left_i x i + sum of present_1..i, by what is left, most first. */
  peak(): number {
    const sorted = Float64Array.from(this.needs).sort();
    let present = 0;
    let peak = 0;
    for (let i = sorted.length - 1, count = 1; i >= 0; i--, count++) {
      const need = sorted[i]!;
      const left = Math.floor(need / shift);
      present += need - left * shift;
      peak = Math.max(peak, left * count + present);
    }
    return peak;
  }
}
