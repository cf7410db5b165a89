// Which prefixes stay findable where window and Mamba groups keep only some of them: those a later request is likely to come back to
// (the end of a prompt, the end of a shared prefix), and one every so many tokens. Law: prefix_cache_retention_interval;
// replay_boundaries in vllm/v1/core/kv_cache_coordinator.py and cache_blocks in single_type_kv_cache_manager.py, vLLM 0.23 and later.
import type { Sequence } from './sequence.ts';

/**
 * `prompt`: the end of the prompt (0.23 to 0.25); `promptAndShared`: and that of a prefix shared with others (0.26); `replays`: under
 * EAGLE one block less, for the prompt sent again and for the prompt extended (0.30); `replaysAndBefore`: and a block before a shared
 * prefix (0.33).
 */
export type RetainedBoundaries = 'prompt' | 'promptAndShared' | 'replays' | 'replaysAndBefore';

export interface RetentionQuery {
  rule: RetainedBoundaries;
  /** Block size of the scheduler; whether EAGLE drops blocks. */
  schedulerBlock: number;
  dropLast: boolean;
}

/** Tokens at which a prefix is kept. `before`: a block's length where this group drops one under EAGLE, 0 otherwise. */
export function retainedBoundaries(
  { rule, schedulerBlock: block, dropLast }: RetentionQuery,
  { prompt, sharedPrefixBoundary }: Sequence,
  before: number,
): number[] {
  const boundaries: number[] = [];
  if (!dropLast || rule === 'prompt' || rule === 'promptAndShared') boundaries.push(prompt - 1);
  else for (const end of [prompt - 1, prompt]) boundaries.push(Math.max(end - (end % block) - block, 0));
  if (rule === 'prompt' || sharedPrefixBoundary === 0) return boundaries;
  boundaries.push(sharedPrefixBoundary);
  if (rule === 'replaysAndBefore' && before > 0) boundaries.push(sharedPrefixBoundary - before);
  return boundaries;
}
