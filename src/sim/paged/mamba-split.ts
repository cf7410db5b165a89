// Where a prefill chunk may end when Mamba states are cached at block boundaries (mamba_cache_mode align): a state that others can
// start from exists only where a chunk ends, so chunks end on multiples of the block size, and once at the last boundary of the prompt.
// Law: Scheduler._mamba_block_aligned_split in vllm/v1/core/sched/scheduler.py.
import type { PagedConfig, PagedRules } from './config.ts';
import type { KvManager } from './kv-manager.ts';
import { mambaTail } from './partial-tail.ts';
import type { Sequence } from './sequence.ts';

/** How the split is made: see the rule scheduler.mambaSplit. */
export const mambaSplits = ['none', 'prompt', 'known', 'knownAndShared', 'stops', 'wholeStops', 'hitStops'] as const;
export type MambaSplit = (typeof mambaSplits)[number];

export interface SplitQuery {
  rule: MambaSplit;
  /** Smallest block size of the groups, and whether EAGLE drops the last block of a hit. */
  blockSize: number;
  dropLast: boolean;
  /** Tokens after a block that its key covers. */
  keyLookahead: number;
  /** Largest chunk the scheduler would make of a lone request. */
  maxChunk: number;
  prompt: number;
  known: number;
  /** Computed tokens, with the hit of an admission; tokens wanted. */
  start: number;
  tokens: number;
  /** Prefix that another group has cached further than this request could use: its length past the hit, and its end. */
  uncached: number;
  sharedEnd: number;
  /** Last boundary of the prompt inside a block where a state is kept, 0 if states are kept at block boundaries only. */
  tail: number;
}

/** The tokens to schedule, 0 if the next boundary is out of reach. Decoding is never split. */
export function splitAtBoundary(query: SplitQuery): number {
  const { rule, prompt, known, start, tokens } = query;
  const prefillEnd = Math.max(prompt, known - 1);
  const prefill = rule === 'prompt' ? known === prompt : start < prefillEnd;
  if (!prefill || rule === 'none') return tokens;
  if (rule === 'prompt' || rule === 'known' || rule === 'knownAndShared') return roundedChunk(query);
  return chunkToStop(query, prefillEnd);
}

/** The split for one engine; undefined where no group needs it. */
export function mambaSplitter(
  config: PagedConfig,
  rules: PagedRules,
  { dropsLast: dropLast, keyLookahead, partialHits, hashBlockSize: keySize, schedulerBlockSize }: KvManager,
): ((sequence: Sequence, tokens: number, hitTokens: number) => number) | undefined {
  const aligned = config.mambaCacheMode === 'align' && config.groups.some(({ type }) => type === 'mamba');
  if (!aligned || rules.mambaSplit === 'none') return undefined;
  const threshold = config.longPrefillTokenThreshold;
  const maxChunk = threshold > 0 ? Math.min(threshold, config.maxNumBatchedTokens) : config.maxNumBatchedTokens;
  // 0.26 and 0.27 stop there even where no hit can end inside a block.
  const stopsInside = partialHits || (rules.partialHits === 'always' && keySize < schedulerBlockSize);
  const blockSize = Math.min(...config.groups.map((group) => group.blockSize ?? config.blockSize));
  return ({ prompt, known, computed, sharedPrefixBoundary }, tokens, hitTokens) =>
    splitAtBoundary({
      rule: rules.mambaSplit,
      blockSize,
      dropLast,
      keyLookahead,
      maxChunk,
      prompt,
      known,
      start: computed + hitTokens,
      tokens,
      uncached: computed === 0 && sharedPrefixBoundary > 0 ? sharedPrefixBoundary - hitTokens : 0,
      sharedEnd: sharedPrefixBoundary,
      tail: stopsInside
        ? mambaTail({ rule: rules.partialTail, prompt, keySize, flagged: dropLast, dropLast, keyLookahead })
        : 0,
    });
}

/** vLLM 0.15 to 0.25: whole blocks, the last boundary exactly. */
function roundedChunk({ rule, blockSize, dropLast, prompt, known, start, tokens, uncached }: SplitQuery): number {
  const last = lastBoundary(rule === 'prompt' ? prompt : known, blockSize, dropLast);
  const end = start + tokens;
  let chunk = tokens;
  if (end < last) chunk -= chunk % blockSize;
  else if (start < last && last < end) chunk = last - start;
  if (rule === 'knownAndShared' && uncached >= blockSize && chunk > uncached) chunk = uncached - (uncached % blockSize);
  return chunk;
}

/** vLLM 0.26 and later: the nearest of the next block boundary, the last useful one and where a shared prefix ends. */
function chunkToStop(query: SplitQuery, prefillEnd: number): number {
  const { rule, blockSize, dropLast, prompt, known, start, maxChunk, keyLookahead, sharedEnd, tail } = query;
  // From 0.32 a boundary counts only if a later request could hit it: one token has to be left to compute.
  const reach = rule === 'hitStops' && !dropLast ? known - Math.max(1, keyLookahead) : known;
  const last = lastBoundary(reach, blockSize, dropLast);
  let end = start + query.tokens;
  const aligned = end - (end % blockSize);
  if (rule === 'stops' ? end < last : end < prefillEnd && (aligned > start || blockSize <= maxChunk)) end = aligned;
  const next = start - (start % blockSize) + blockSize;
  let stop = end;
  if (start % blockSize !== 0 && (rule !== 'stops' || next <= last) && next < stop) stop = next;
  if (start < last && last < stop) stop = last;
  if (last < tail && tail < prompt && start < tail && tail < stop) stop = tail;
  if (start < sharedEnd && sharedEnd < end) {
    const shared = start + Math.floor((sharedEnd - start) / blockSize) * blockSize;
    if (start < shared && shared < stop) stop = shared;
  }
  return Math.max(stop - start, 0);
}

function lastBoundary(tokens: number, blockSize: number, dropLast: boolean): number {
  const last = tokens - (tokens % blockSize);
  return dropLast ? Math.max(last - blockSize, 0) : last;
}
