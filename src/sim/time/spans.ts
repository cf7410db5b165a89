// What attention reads when layers look back only so far: from the work of a step, or, where the serving system does not state it
// per span, from the mean context of its sequences.
import type { AttentionWork } from '../../accounting/work.ts';
import type { StepWork } from '../types.ts';

export interface ContextSums {
  decodeContext: number;
  prefillAttention: number;
}

export function contextOf(work: Readonly<StepWork>, group: AttentionWork, spans: readonly number[]): ContextSums {
  const { span } = group;
  if (span === undefined) return work;
  const given = work.spans?.[spans.indexOf(span)];
  return given ?? fromMean(work, span, group.chunked === true);
}

/** Every sequence taken at the mean: context min(mean, span); in a chunked layer, on average half a chunk beyond the first. */
function fromMean(work: Readonly<StepWork>, span: number, chunked: boolean): ContextSums {
  const { decodeContext, prefillAttention, prefillTokens, prefillSequences, sequences } = work;
  const decoding = sequences - prefillSequences;
  const reach = (context: number): number => (context <= span ? context : chunked ? span / 2 : span);
  const decode = decoding > 0 ? decoding * reach(decodeContext / decoding) : 0;
  const prefill = prefillTokens > 0 ? prefillTokens * reach(prefillAttention / prefillTokens) : 0;
  return { decodeContext: decode, prefillAttention: prefill };
}
