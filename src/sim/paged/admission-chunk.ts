// How much of a waiting request goes into the step that admits it. Law: the WAITING phase of schedule() in
// vllm/v1/core/sched/scheduler.py; padding of a last token to the width of speculative decodes from 0.25.
import type { PagedConfig, PagedRules } from './config.ts';
import type { Sequence } from './sequence.ts';

/** Cuts a prefill chunk to where a Mamba state has to be kept (align mode). */
export type ChunkSplit = (sequence: Sequence, tokens: number, hitTokens: number) => number;

export interface Admission {
  sequence: Sequence;
  /** Tokens of the prompt found in the cache. */
  hit: number;
  /** Tokens left in the step. */
  room: number;
  /** long_prefill_token_threshold as it acts in this step; 0: none. */
  threshold: number;
  /** A running prefill is in the step; a running request of any kind is. */
  prefillScheduled: boolean;
  besideRunning: boolean;
}

export type AdmissionChunk = { tokens: number; padding: number } | 'skip' | 'stop';

export function admissionChunk(
  admission: Admission,
  config: PagedConfig,
  rules: PagedRules,
  split: ChunkSplit | undefined,
): AdmissionChunk {
  const { sequence, hit, room, threshold } = admission;
  const draftTokens = config.spec?.tokens ?? 0;
  let tokens = sequence.known - hit;
  let padding = 0;
  if (tokens === 1 && draftTokens > 0 && paddingApplies(admission, rules)) {
    const padded = 1 + draftTokens;
    const strict = rules.padDrafts === 'besideDecodes';
    const fits = hit + padded + (strict ? 0 : 1) <= config.maxModelLen;
    if (strict ? padded > room || !fits : fits && padded > room) return 'stop';
    if (fits) {
      tokens = padded;
      padding = draftTokens;
    }
  }
  if (threshold > 0 && tokens > threshold) tokens = threshold;
  if (!config.chunkedPrefill && tokens > room && rules.unchunkedPrompt !== 'cut') return rules.unchunkedPrompt;
  tokens = Math.min(tokens, room);
  if (split) {
    tokens = split(sequence, tokens, hit);
    if (tokens === 0) return 'stop';
    if (padding > 0 && tokens !== 1 + padding && rules.padDrafts !== 'besideDecodes') return { tokens: 1, padding: 0 };
  }
  return { tokens, padding };
}

/** A request with one token left is padded to the width of the decodes it joins, so that their graph serves it too. */
function paddingApplies({ hit, prefillScheduled, besideRunning }: Admission, { padDrafts }: PagedRules): boolean {
  switch (padDrafts) {
    case 'never':
      return false;
    case 'decodesIfRoom':
      return !prefillScheduled && (besideRunning || hit > 0);
    default:
      return !prefillScheduled && besideRunning;
  }
}
