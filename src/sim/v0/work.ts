// The work of one V0 step, group by group. Tokens found in the cache are not computed; the samples of a prompt are drawn from one
// row of the output head, the beams of a group from a row each.
import { addToWork } from '../step-work.ts';
import type { StepWork } from '../types.ts';
import type { SequenceGroup } from './sequence.ts';

export function addWork(work: StepWork, group: SequenceGroup): void {
  if (!group.prefilling) {
    for (let rows = group.sequences.length; rows > 0; rows--) addToWork(work, group.tokens - 1, 1, true);
    return;
  }
  const chunk = group.chunk - group.chunkCached;
  const before = group.computed + group.chunkCached;
  addToWork(work, before, chunk, before + chunk === group.tokens);
}
