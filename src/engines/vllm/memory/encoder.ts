// E: what a multimodal model's encoder leaves alive during the profile run. The dummy items and the encoder's outputs both
// stay until the end. vLLM v1/worker/gpu_model_runner.py profile_run, multimodal/encoder_budget.py; 0.7 and later.
import type { EncoderShape } from '../../../architecture/types.ts';
import type { JsonObject } from '../../../spec/model.ts';
import { divFloor } from '../../../units.ts';
import { dtypeBytes } from '../resolved.ts';
import { allocated } from './blocks.ts';
import type { MemoryInput } from './types.ts';

/** items x (tokens per item x hidden + input values per item) x dtype; items = tokens of a step // tokens per item. */
export function encoderBytes(input: MemoryInput): number {
  const { architecture, options, place } = input;
  const encoder = profiledEncoder(input);
  if (!encoder || place.stage > 0) return 0;
  const element = dtypeBytes[options.dtype];
  const tokensPerItem = encoder.tokensPerItem * repeats(encoder, options.maxModelLen);
  const values = encoder.inputValuesPerItem * repeats(encoder, options.maxModelLen);
  const budget = Math.max(options.maxNumBatchedTokens, tokensPerItem);
  const rows = Math.min(options.maxNumSeqs, options.maxNumBatchedTokens);
  const items = Math.max(
    1,
    Math.min(divFloor(budget, tokensPerItem), rows * limitOf(options.limitMmPerPrompt, encoder)),
  );
  const hidden = architecture.forward.hiddenSize;
  return allocated(items * values * element) + items * allocated(tokensPerItem * hidden * element);
}

/** The modality with the most tokens per item is profiled, unless encoders are off or not profiled by this runner. */
function profiledEncoder({ architecture, options, profile }: MemoryInput): EncoderShape | undefined {
  const rule = options.runner === 'v2' ? 'memory.encoderProfiledSecondRunner' : 'memory.encoderProfiled';
  if (!profile[rule] || options.languageModelOnly || options.skipMmProfiling) return undefined;
  let widest: EncoderShape | undefined;
  for (const encoder of architecture.encoders ?? []) {
    if (limitOf(options.limitMmPerPrompt, encoder) === 0) continue;
    if (!widest || encoder.tokensPerItem > widest.tokensPerItem) widest = encoder;
  }
  return widest;
}

function repeats(encoder: EncoderShape, maxModelLen: number): number {
  if (!encoder.repeatToLength) return 1;
  return Math.max(1, Math.min(encoder.repeatToLength, divFloor(maxModelLen, encoder.tokensPerItem)));
}

/** Items of a modality that one prompt may hold; vLLM allows 999 since 0.10 and 1 before, which no budget tells apart. */
function limitOf(limits: JsonObject | undefined, encoder: EncoderShape): number {
  const limit = limits?.[encoder.modality];
  if (typeof limit === 'number') return limit;
  if (typeof limit === 'object' && limit !== null && !Array.isArray(limit) && typeof limit.count === 'number') {
    return limit.count;
  }
  return 999;
}
