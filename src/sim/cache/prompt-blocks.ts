// The blocks of a workload's prompts as a cache sees them, the partial last one of each included. Where a trace states hash ids,
// blocks are its own; otherwise a block stands for the whole prefix that ends with it, as in the engine's hash chain.
import { inputError } from '../../diagnostics.ts';
import { thousands } from '../../numbers.ts';
import { BlockKeys } from '../paged/block-keys.ts';
import type { SimRequest, TokenRuns, Workload } from '../types.ts';
import { type BlockRefs, blockRefs, blockRefsOfPairs } from './block-refs.ts';

/** References that are replayed at most: a billion tokens in blocks of 16, which take three gigabytes of memory. */
const maxReferences = 2 ** 26;

/** `hashed`: the trace gave one id for every `blockTokens` tokens, equal ids being equal prefixes already. */
export function promptBlocks({ requests }: Workload, blockTokens: number, hashed: boolean): BlockRefs {
  let blocks = 0;
  for (const { promptTokens } of requests) blocks += Math.ceil(promptTokens / blockTokens);
  if (blocks > maxReferences) {
    const limit = thousands(maxReferences);
    throw inputError('VRAM618', `the prompts have ${thousands(blocks)} blocks, above the limit of ${limit}`, {
      hint: 'take fewer requests with --limit, or larger blocks with --block-size',
      path: '--workload',
    });
  }
  return hashed ? hashedBlocks(requests, blockTokens, blocks) : chainedBlocks(requests, blockTokens, blocks);
}

/** A flag for each block that lies within the first `pinTokens` tokens of a prompt. */
export function pinnedBlocks(
  refs: BlockRefs,
  { requests }: Workload,
  blockTokens: number,
  pinTokens: number,
): Uint8Array {
  const pinned = new Uint8Array(refs.distinct);
  let first = 0;
  for (const { promptTokens } of requests) {
    const blocks = Math.ceil(promptTokens / blockTokens);
    const within = Math.min(blocks, Math.floor(pinTokens / blockTokens));
    for (let i = first; i < first + within; i++) pinned[refs.ids[i]!] = 1;
    first += blocks;
  }
  return pinned;
}

/** Blocks with equal ids begin with the same token, and no others do. */
function hashedBlocks(requests: readonly SimRequest[], blockTokens: number, blocks: number): BlockRefs {
  const keys = new Float64Array(blocks);
  let at = 0;
  for (const { prompt, promptTokens } of requests) {
    let run = 0;
    let before = 0;
    for (let position = 0; position < promptTokens; position += blockTokens) {
      while (run < prompt.length && before + lengthAt(prompt, run) <= position) {
        before += lengthAt(prompt, run);
        run += 2;
      }
      keys[at++] = Math.floor((prompt[run]! + position - before) / blockTokens);
    }
  }
  return blockRefs(keys);
}

function lengthAt(runs: TokenRuns, run: number): number {
  return runs[run + 1]! - runs[run]!;
}

function chainedBlocks(requests: readonly SimRequest[], blockTokens: number, blocks: number): BlockRefs {
  const words = new Uint32Array(2 * blocks);
  let at = 0;
  for (const request of requests) {
    const { promptTokens, salt, lora } = request;
    const extra = `${salt ?? ''}/${lora ?? ''}`;
    const keys = new BlockKeys(request, blockTokens, promptTokens, extra);
    const complete = keys.extend(promptTokens);
    for (let block = 0; block < complete; block++) {
      words[at++] = keys.lo[block]!;
      words[at++] = keys.hi[block]!;
    }
    const rest = promptTokens - complete * blockTokens;
    if (rest === 0) continue;
    // The last, partial block: its own tokens behind the chain so far.
    const chain = complete > 0 ? `${keys.lo[complete - 1]},${keys.hi[complete - 1]}` : '';
    const tail = tailOf(request.prompt, promptTokens - rest);
    const last = new BlockKeys({ ...request, prompt: tail, promptTokens: rest }, rest, rest, `${extra}/${chain}`);
    last.extend(rest);
    words[at++] = last.lo[0]!;
    words[at++] = last.hi[0]!;
  }
  return blockRefsOfPairs(words);
}

/** The runs from a position on. */
function tailOf(runs: TokenRuns, from: number): number[] {
  const tail: number[] = [];
  let before = 0;
  for (let run = 0; run < runs.length; run += 2) {
    const end = before + lengthAt(runs, run);
    if (end > from) tail.push(runs[run]! + Math.max(0, from - before), runs[run + 1]!);
    before = end;
  }
  return tail;
}
