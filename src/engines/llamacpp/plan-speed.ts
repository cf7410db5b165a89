// The speed of a planned load for a number of sequences and a prompt: the estimate of speed.ts in the words of a plan.
import type { SpeedEstimate, SpeedFigure } from '../../plan/types.ts';
import type { LlamaHparams } from './hparams.ts';
import type { LlamaLoad } from './load.ts';
import type { LlamaRequest } from './request.ts';
import { estimateSpeed, type SpeedRules } from './speed.ts';
import { workOfLoad } from './speed-work.ts';

export interface LlamaSpeedShape {
  /** Tokens in the cache of each sequence while it decodes. */
  seen: number;
  sequences: number;
  promptTokens: number;
}

/** Undefined where a GPU's bandwidth is not known. */
export function llamaSpeed(
  { request, hparams, load }: { request: LlamaRequest; hparams: LlamaHparams; load: LlamaLoad },
  { seen, sequences, promptTokens }: LlamaSpeedShape,
): SpeedEstimate | undefined {
  const { context, placement } = load;
  const found = estimateSpeed({
    work: workOfLoad({ model: request.model, hparams, load }, seen),
    gpus: request.gpus,
    rules: request.rules.speed as SpeedRules,
    sequences,
    promptTokens,
    ubatch: context.nUbatch,
    opOffload: context.opOffload,
    pipeline: placement.full && placement.devices > 1,
  });
  if (!found) return undefined;
  const figure = ({ tokensPerSecond, low, high, bound }: typeof found.decode): SpeedFigure => ({
    tokensPerSecond,
    lowTokensPerSecond: low,
    highTokensPerSecond: high,
    bound,
  });
  return {
    decode: figure(found.decode),
    prefill: figure(found.prefill),
    sequences,
    context: seen,
    promptTokens,
    assumptions: [...found.assumptions, ...(load.draft ? ['tokens one by one, none of them drafted'] : [])],
  };
}
