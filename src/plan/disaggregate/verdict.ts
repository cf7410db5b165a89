// Whether servers of two kinds are worth it, in one sentence. They are not there for throughput (vLLM's docs say so) but to take prompts
// out of the steps that decode; so they pay where answers come faster and the first token does not wait much longer.
import type { ServingFigures } from './types.ts';

/** Differences below are noise beside the uncertainty of the estimates. */
const noise = 0.05;

/** bottleneck: what cannot keep up first where they are apart. */
export function verdictOf(
  apart: ServingFigures,
  together: ServingFigures,
  bottleneck: string,
): { pays: boolean; because: string } {
  if (apart.tpotSeconds === null || apart.ttftSeconds === null)
    return { pays: false, because: `${bottleneck} cannot sustain this rate` };
  if (together.tpotSeconds === null || together.ttftSeconds === null)
    return { pays: true, because: 'servers that do both cannot sustain this rate' };
  const tokens = 1 - apart.tpotSeconds / together.tpotSeconds;
  const first = apart.ttftSeconds / together.ttftSeconds - 1;
  if (tokens < noise) return { pays: false, because: `answers are not faster (${percent(-tokens)} between tokens)` };
  if (first > noise && first > tokens)
    return { pays: false, because: `${percent(-tokens)} between tokens, but ${percent(first)} until the first` };
  return { pays: true, because: `${percent(-tokens)} between tokens, ${percent(first)} until the first` };
}

function percent(change: number): string {
  return `${change > 0 ? '+' : ''}${Math.round(100 * change)} %`;
}
