// What the end of a forward pass does to V0's sequence groups: computed tokens, a token for each sequence, forks of samples and
// beams, discarded beams, finished groups. The only part that reads when a request really ends. Law: vllm/engine/output_processor/
// single_step.py up to 0.6.2 (fork the new children first, then free what was not selected).
import { assert } from '../../assert.ts';
import type { BeamSearch } from './beams.ts';
import type { BlockManager } from './block-manager.ts';
import type { Sequence, SequenceGroup } from './sequence.ts';

export interface OutputEvents {
  firstToken(group: SequenceGroup): void;
  finished(group: SequenceGroup): void;
}

export class OutputProcessor {
  constructor(
    private readonly blocks: BlockManager,
    private readonly beams: BeamSearch,
    private readonly maxModelLen: number,
    private readonly events: OutputEvents,
  ) {}

  /** True when the group is finished and has given back its blocks. */
  process(group: SequenceGroup): boolean {
    const { chunk } = group;
    group.chunk = 0;
    if (group.prefilling) {
      group.computed += chunk;
      if (group.computed < group.tokens) return false;
      group.prefilling = false;
    }
    group.generated++;
    if (group.generated === 1) this.events.firstToken(group);
    const done = group.generated >= group.request.outputTokens || group.tokens + 1 >= this.maxModelLen;
    if (done) {
      for (const sequence of group.sequences) this.blocks.free(sequence);
      this.events.finished(group);
      return true;
    }
    if (group.beam) this.continueBeams(group);
    else while (group.sequences.length < group.width) group.sequences.push(this.blocks.fork(group.first));
    for (const sequence of group.sequences) sequence.tokens++;
    return false;
  }

  private continueBeams(group: SequenceGroup): void {
    const old = group.sequences.slice();
    const next = this.beams.survivors(group.scores ?? new Float64Array(old.length), group.width, group.generated - 1);
    const children: Sequence[] = [];
    const continued = new Uint8Array(old.length);
    for (const parent of next.parents) {
      const sequence = old[parent];
      assert(sequence, 'a beam continues one that does not exist');
      if (continued[parent]) children.push(this.blocks.fork(sequence));
      else {
        continued[parent] = 1;
        children.push(sequence);
      }
    }
    for (let i = 0; i < old.length; i++) if (!continued[i]) this.blocks.free(old[i]!);
    group.sequences.splice(0, group.sequences.length, ...children);
    group.scores = next.scores;
  }
}
