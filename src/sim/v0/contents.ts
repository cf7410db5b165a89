// Names for what a full block holds: a small integer per (content before, its tokens, salt, adapter), equal exactly when all of them
// are equal. It stands for the hash chain of vllm/core/block/prefix_caching_block.py without its collisions.
import type { SimRequest, TokenRuns } from '../types.ts';

export class ContentNames {
  private readonly names = new Map<string, number>();
  private next = 0;

  constructor(private readonly blockSize: number) {}

  /** Appends the names of the full blocks among a request's first `tokens` tokens, prompt and output. */
  extend(contents: number[], request: SimRequest, tokens: number): void {
    const full = Math.floor(tokens / this.blockSize);
    if (contents.length >= full) return;
    const root = `${request.salt ?? ''}/${request.lora ?? ''}`;
    for (let i = contents.length; i < full; i++) {
      const before = i === 0 ? root : String(contents[i - 1]);
      contents.push(this.name(`${before}:${tokenKey(request, i * this.blockSize, (i + 1) * this.blockSize)}`));
    }
  }

  /** A name nothing else has: a block with tokens that only one sequence of a group generated. */
  fresh(): number {
    return this.next++;
  }

  private name(key: string): number {
    const known = this.names.get(key);
    if (known !== undefined) return known;
    this.names.set(key, this.next);
    return this.next++;
  }
}

/** The tokens [from, to) of a request as text; adjoining runs are merged, so that equal tokens give equal text. */
function tokenKey(request: SimRequest, from: number, to: number): string {
  const runs: number[] = [];
  appendRuns(runs, request.prompt, from, Math.min(to, request.promptTokens));
  if (to > request.promptTokens) {
    const first = Math.max(from, request.promptTokens) - request.promptTokens;
    const last = to - request.promptTokens;
    if (request.output) appendRuns(runs, request.output, first, last);
    else join(runs, request.outputBase + first, request.outputBase + last);
  }
  return runs.join(',');
}

function appendRuns(into: number[], runs: TokenRuns, from: number, to: number): void {
  let at = 0;
  for (let i = 0; i < runs.length && at < to; i += 2) {
    const length = runs[i + 1]! - runs[i]!;
    const start = Math.max(from, at);
    const end = Math.min(to, at + length);
    if (start < end) join(into, runs[i]! + start - at, runs[i]! + end - at);
    at += length;
  }
}

function join(into: number[], from: number, to: number): void {
  if (into.length > 0 && into[into.length - 1] === from) into[into.length - 1] = to;
  else into.push(from, to);
}
