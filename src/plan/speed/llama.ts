// The speed of a planned llama.cpp run in the words of a deployment. The figures are the engine's own estimate (engines/llamacpp/speed),
// asked again for the load in question; llama.cpp's server decodes all slots in one batch and prefills between them.
import type { LlamaPlanned } from '../../engines/llamacpp/plan.ts';
import { llamaSpeed } from '../../engines/llamacpp/plan-speed.ts';
import type { LlamaRequest } from '../../engines/llamacpp/request.ts';
import type { SpeedFigure } from '../types.ts';
import type { DeploymentSpeed, SpeedShape } from './types.ts';

/** Undefined where a GPU's bandwidth is not known or nothing was loaded. */
export function estimateLlamaSpeed(input: {
  planned: LlamaPlanned;
  request: LlamaRequest;
  shape: SpeedShape;
}): DeploymentSpeed | undefined {
  const { planned, request, shape } = input;
  const { load } = planned;
  if (load.refusal !== undefined) return undefined;
  const { promptTokens, outputTokens } = shape;
  const sequences = Math.min(shape.concurrency, load.context.nSeqMax);
  const seen = promptTokens + outputTokens / 2;
  const of = (count: number) =>
    llamaSpeed({ request, hparams: planned.hparams, load }, { seen, sequences: count, promptTokens });
  const many = of(sequences);
  const alone = sequences === 1 ? many : of(1);
  if (!many || !alone) return undefined;
  const { decode, prefill } = many;
  const output = (of: 'tokensPerSecond' | 'lowTokensPerSecond' | 'highTokensPerSecond'): number =>
    outputTokens / (promptTokens / prefill[of] + Math.max(0, outputTokens - 1) / decode[of]);
  const assumptions = [...many.assumptions];
  if (sequences < shape.concurrency) assumptions.push(`${sequences} of ${shape.concurrency} sequences run at once`);
  return {
    decode,
    prefill,
    tpotSeconds: 1 / alone.decode.tokensPerSecond,
    ttftSeconds: promptTokens / alone.prefill.tokensPerSecond,
    outputTokensPerSecond: output('tokensPerSecond'),
    lowOutputTokensPerSecond: output('lowTokensPerSecond'),
    highOutputTokensPerSecond: output('highTokensPerSecond'),
    loadedTpotSeconds: sequences / output('tokensPerSecond'),
    runningSequences: sequences,
    estimate: 'roofline',
    uncertaintyShare: Math.max(spread(decode), spread(prefill)),
    assumptions,
  };
}

/** Its own range is not symmetric: the wider side. */
function spread({ tokensPerSecond, lowTokensPerSecond, highTokensPerSecond }: SpeedFigure): number {
  return Math.max(1 - lowTokensPerSecond / tokensPerSecond, highTokensPerSecond / tokensPerSecond - 1);
}
