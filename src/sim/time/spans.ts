// What attention reads when layers look back only so far. A step's work states sums over its sequences; every sequence is taken at
// their mean, which reads a little too much where contexts differ and the window lies between them.
import type { AttentionWork } from '../../accounting/work.ts';
import type { StepWork } from '../types.ts';

interface ContextSums {
  decodeContext: number;
  prefillAttention: number;
}

/** Context min(mean, span); in a chunked layer beyond its first chunk, half a chunk on average. */
export function contextOf(work: Readonly<StepWork>, { span, chunked }: AttentionWork): ContextSums {
  if (span === undefined) return work;
  const { decodeContext, prefillAttention, prefillTokens, prefillSequences, sequences } = work;
  const decoding = sequences - prefillSequences;
  const reach = (context: number): number => (context <= span ? context : chunked ? span / 2 : span);
  return {
    decodeContext: decoding > 0 ? decoding * reach(decodeContext / decoding) : 0,
    prefillAttention: prefillTokens > 0 ? prefillTokens * reach(prefillAttention / prefillTokens) : 0,
  };
}
