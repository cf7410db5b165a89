// Slots that a drafter writes behind the tokens of the target model. Law: num_lookahead_tokens in vllm/v1/core/sched/scheduler.py
// (0.28 and later: vllm/config/vllm.py).
import type { PagedConfig, PagedRules } from './config.ts';

/** One slot per draft token for EAGLE; for draft models from 0.15, the first release that runs them; none for n-grams. */
export function lookaheadTokens({ spec }: PagedConfig, { draftModelLookahead }: PagedRules): number {
  if (!spec || spec.method === 'ngram') return 0;
  return spec.method === 'draft_model' && !draftModelLookahead ? 0 : spec.tokens;
}
