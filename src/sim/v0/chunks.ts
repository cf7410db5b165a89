// How many tokens of a group one scheduling call computes. Law: vllm/core/scheduler.py, 0.6.6 to 0.10.2: _get_num_new_uncached_and_
// cached_tokens, _chunk_new_tokens_to_schedule, PartialPrefillMetadata.
import type { Budget } from './budget.ts';
import type { ResolvedV0Config } from './config.ts';
import type { SequenceGroup } from './sequence.ts';

export interface NewTokens {
  uncached: number;
  cached: number;
}

/** Prefills under way, counted once per call; without chunked prefill there are none. */
export interface PartialPrefills {
  /** Prefills the budget is divided among. */
  schedulable: number;
  /** Long ones running. */
  long: number;
}

/** `cachedTokens`: the hit length of a waiting group, -1 where no lookup applies. */
export function newTokens(group: SequenceGroup, cachedTokens: number): NewTokens {
  if (!group.prefilling) return { uncached: group.sequences.length, cached: 0 };
  const all = group.tokens - group.computed;
  const cached = Math.max(0, cachedTokens - group.computed);
  // A prompt found in full still computes its last token.
  if (cached > 0 && cached === all) return { uncached: 1, cached: cached - 1 };
  return { uncached: all - cached, cached };
}

/**
 * The chunk that fits: the smaller of what is left of the budget and the budget's share of one prefill; with prefix caching both are
 * cut to whole blocks first.
 */
export function cutChunk(
  tokens: number,
  budget: Budget,
  config: ResolvedV0Config,
  { schedulable }: PartialPrefills,
): number {
  const slot = schedulable > 0 ? Math.floor(budget.maxTokens / schedulable) : budget.maxTokens;
  let left = budget.tokensLeft;
  if (config.prefixCaching) left = Math.floor(Math.min(left, slot) / config.blockSize) * config.blockSize;
  // The samples of a group are never cut and can overdraw the budget.
  return Math.max(0, Math.min(tokens, left, slot));
}

export function countPartialPrefills(
  running: Iterable<SequenceGroup>,
  waiting: Iterable<SequenceGroup>,
  config: ResolvedV0Config,
): PartialPrefills {
  let prefills = 0;
  let long = 0;
  let waitingLong = 0;
  for (const group of running) {
    if (!group.prefilling) continue;
    prefills++;
    if (isLong(group, config)) long++;
  }
  for (const group of waiting) {
    if (prefills >= config.maxNumPartialPrefills) break;
    if (isLong(group, config)) {
      if (long + waitingLong >= config.maxLongPartialPrefills) continue;
      waitingLong++;
    }
    prefills++;
  }
  return { schedulable: Math.min(prefills, config.maxNumPartialPrefills), long };
}

/** A long prefill waits while as many long ones run as may, when several prefills may run at all. */
export function mayStart(group: SequenceGroup, partial: PartialPrefills, config: ResolvedV0Config): boolean {
  return !(isLong(group, config) && partial.long >= config.maxLongPartialPrefills && config.maxNumPartialPrefills > 1);
}

export function isLong(group: SequenceGroup, config: ResolvedV0Config): boolean {
  return group.tokens - group.computed > config.longPrefillTokenThreshold;
}
