// Names of blocks by content: a chain over complete blocks, so that a key stands for the whole prefix that ends with its block.
// Law: vllm/v1/core/kv_cache_utils.py (hash_block_tokens): H_i = hash(H_{i-1}, tokens of block i, extra keys), LoRA in every
// block, the cache salt in the first. Here a key is 64 bits in two int32, mixed over the maximal runs of consecutive token ids
// of a block: a token list has exactly one such decomposition, so equal tokens give equal keys however a prompt was written.
import type { TokenRuns } from '../types.ts';

/** The tokens of one request: the prompt, then what is generated; read front to back. */
export interface TokenSource {
  readonly prompt: TokenRuns;
  readonly promptTokens: number;
  /** Generated token k is outputBase + k, or the k-th token of `output` where a workload states it. */
  readonly outputBase: number;
  readonly output?: TokenRuns;
}

const twoTo32 = 2 ** 32;

/** The keys of one request's complete blocks, computed when asked for. */
export class BlockKeys {
  lo: Int32Array;
  hi: Int32Array;
  /** Keys computed so far. */
  count = 0;
  /** Where the next block starts: the current run's next token, its end, and the position of the run after it. */
  private from = 0;
  private to = 0;
  private nextRun = 0;
  private runs: TokenRuns;
  private readonly outputRuns: TokenRuns;
  private readonly seedLo: number;
  private readonly seedHi: number;

  constructor(
    source: TokenSource,
    private readonly blockSize: number,
    capacityTokens: number,
    /** Salt and LoRA: a different chain for different extra keys. */
    extra: string,
    /** Tokens after a block that its key covers too (EAGLE from 0.33); 0 otherwise. */
    private readonly lookahead = 0,
  ) {
    this.runs = source.prompt;
    this.outputRuns = source.output ?? [source.outputBase, Number.MAX_SAFE_INTEGER];
    const capacity = Math.max(1, Math.ceil(capacityTokens / blockSize));
    this.lo = new Int32Array(capacity);
    this.hi = new Int32Array(capacity);
    let lo = 0x2545f491;
    let hi = 0x6c078965;
    for (let i = 0; i < extra.length; i++) {
      lo = mixLo(lo, extra.charCodeAt(i) + 1);
      hi = mixHi(hi, lo, extra.charCodeAt(i) + 1);
    }
    this.seedLo = lo;
    this.seedHi = hi;
  }

  /** Computes the keys of all blocks complete within the first `tokens` tokens; returns how many there are. */
  extend(tokens: number): number {
    const complete = Math.floor((tokens - this.lookahead) / this.blockSize);
    if (complete > this.count) this.compute(complete);
    return Math.max(0, Math.min(this.count, complete));
  }

  private compute(blocks: number): void {
    if (blocks > this.lo.length) this.grow(blocks);
    const { blockSize, lookahead, lo: los, hi: his } = this;
    let { from, to, nextRun, runs } = this;
    let lo = this.count === 0 ? this.seedLo : (los[this.count - 1] as number);
    let hi = this.count === 0 ? this.seedHi : (his[this.count - 1] as number);
    for (let block = this.count; block < blocks; block++) {
      // The stretch of consecutive tokens that is not hashed yet: adjacent runs that continue each other are one run.
      let start = 0;
      let length = 0;
      for (let left = blockSize; left > 0; ) {
        if (from === to) {
          if (nextRun >= runs.length) {
            runs = this.outputRuns;
            nextRun = 0;
          }
          from = runs[nextRun] as number;
          to = runs[nextRun + 1] as number;
          nextRun += 2;
        }
        if (from !== start + length) {
          if (length > 0) {
            lo = mixLo(lo, stretchLo(start, length));
            hi = mixHi(hi, lo, stretchHi(start, length));
          }
          start = from;
          length = 0;
        }
        const taken = to - from < left ? to - from : left;
        length += taken;
        from += taken;
        left -= taken;
      }
      lo = mixLo(lo, stretchLo(start, length));
      hi = mixHi(hi, lo, stretchHi(start, length));
      if (lookahead > 0) {
        const next = from === to ? this.startOf(runs, nextRun) : from;
        lo = mixLo(lo, next | 0);
        hi = mixHi(hi, lo, (next | 0) + Math.imul(Math.floor(next / twoTo32) + 1, 0x165667b1));
      }
      los[block] = lo;
      his[block] = hi;
    }
    this.from = from;
    this.to = to;
    this.nextRun = nextRun;
    this.runs = runs;
    this.count = blocks;
  }

  /** First token of the run at `index`, or of what is generated after the last run; NaN past the end. */
  private startOf(runs: TokenRuns, index: number): number {
    if (index < runs.length) return runs[index] as number;
    return runs === this.outputRuns ? Number.NaN : (this.outputRuns[0] ?? Number.NaN);
  }

  private grow(blocks: number): void {
    const capacity = Math.max(blocks, this.lo.length * 2);
    const lo = new Int32Array(capacity);
    const hi = new Int32Array(capacity);
    lo.set(this.lo);
    hi.set(this.hi);
    this.lo = lo;
    this.hi = hi;
  }
}

function stretchLo(start: number, length: number): number {
  return (start | 0) ^ Math.imul(length, 0x9e3779b1);
}

function stretchHi(start: number, length: number): number {
  const high = start >= twoTo32 ? Math.floor(start / twoTo32) : 0;
  return (start | 0) + Math.imul(high + 1, 0x27d4eb2f) + length;
}

function mixLo(h: number, value: number): number {
  let k = Math.imul(value, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  let x = h ^ Math.imul(k, 0x1b873593);
  x = (x << 13) | (x >>> 19);
  return (Math.imul(x, 5) + 0xe6546b64) | 0;
}

function mixHi(h: number, other: number, value: number): number {
  let x = Math.imul(h ^ (value | 0), 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x + other, 0xc2b2ae35);
  return x ^ (x >>> 16);
}
