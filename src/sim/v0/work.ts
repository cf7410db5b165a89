// The work of one V0 step, group by group. Tokens found in the cache are not computed; the samples of a prompt are drawn from one
// row of the output head, the beams of a group from a row each.
import type { StepWork } from '../types.ts';
import type { SequenceGroup } from './sequence.ts';

export function emptyWork(): StepWork {
  return {
    tokens: 0,
    sequences: 0,
    prefillTokens: 0,
    prefillSequences: 0,
    decodeContext: 0,
    prefillAttention: 0,
    rows: 0,
    transferTokens: 0,
  };
}

export function addWork(work: StepWork, group: SequenceGroup): void {
  if (!group.prefilling) {
    const { length } = group.sequences;
    work.tokens += length;
    work.sequences += length;
    work.decodeContext += length * group.tokens;
    work.rows += length;
    return;
  }
  const chunk = group.chunk - group.chunkCached;
  const before = group.computed + group.chunkCached;
  const ends = before + chunk === group.tokens;
  work.tokens += chunk;
  work.sequences++;
  if (ends) work.rows++;
  if (chunk === 1 && ends) {
    work.decodeContext += group.tokens;
    return;
  }
  work.prefillTokens += chunk;
  work.prefillSequences++;
  work.prefillAttention += chunk * before + (chunk * chunk) / 2;
}
