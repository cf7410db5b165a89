// Prompts given as ids of blocks of g tokens (Mooncake 512, Bailian 16): equal ids are equal blocks. An id h below 2^40/g is
// the token run [h*g, h*g+g), so ids can be read back from the tokens; any other id is numbered in order of appearance.
import type { TokenRuns } from '../types.ts';
import { appendRun } from './builder.ts';
import { hashedEnd, hashedFrom, statedEnd } from './token-space.ts';

export class HashBlocks {
  readonly #numbered = new Map<number | string, number>();
  /** What blocks hold that were first seen where a conversation goes on: tokens of its earlier turns. */
  readonly #contents = new Map<number, TokenRuns>();

  constructor(readonly blockTokens: number) {}

  /** The first `tokens` tokens of the blocks; fewer where the blocks do not cover them. */
  prompt(ids: readonly (number | string)[], tokens: number): number[] {
    const runs: number[] = [];
    let left = tokens;
    for (let at = 0; at < ids.length && left > 0; at++) {
      const length = Math.min(this.blockTokens, left);
      const start = this.startOf(ids[at]!);
      const content = this.#contents.get(start);
      if (content) appendSlice(runs, content, 0, length);
      else appendRun(runs, start, start + length);
      left -= length;
    }
    return runs;
  }

  /**
   * Says that a prompt of these blocks begins with `earlier` (an earlier prompt and its answer). Blocks that were complete in
   * the earlier prompt keep their own tokens; those seen for the first time take the earlier tokens that they cover.
   */
  begins(ids: readonly (number | string)[], known: number, earlier: TokenRuns, earlierTokens: number): void {
    const size = this.blockTokens;
    for (let at = Math.floor(known / size); at < ids.length && at * size < earlierTokens; at++) {
      const start = this.startOf(ids[at]!);
      if (this.#contents.has(start)) continue;
      const runs: number[] = [];
      const end = Math.min((at + 1) * size, earlierTokens);
      appendSlice(runs, earlier, at * size, end);
      const own = end - at * size;
      appendRun(runs, start + own, start + size);
      this.#contents.set(start, runs);
    }
  }

  /** First token of a block. */
  startOf(id: number | string): number {
    const { blockTokens } = this;
    if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && (id + 1) * blockTokens <= statedEnd) {
      return id * blockTokens;
    }
    let place = this.#numbered.get(id);
    if (place === undefined) {
      place = hashedFrom + this.#numbered.size * blockTokens;
      if (place + blockTokens > hashedEnd) throw new RangeError('more hash ids than can be numbered');
      this.#numbered.set(id, place);
    }
    return place;
  }
}

/** Tokens [from, to) of a token list. */
function appendSlice(into: number[], runs: TokenRuns, from: number, to: number): void {
  let position = 0;
  for (let at = 0; at < runs.length && position < to; at += 2) {
    const start = runs[at]!;
    const length = runs[at + 1]! - start;
    const first = Math.max(from - position, 0);
    const last = Math.min(to - position, length);
    if (first < last) appendRun(into, start + first, start + last);
    position += length;
  }
}
