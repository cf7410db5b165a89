// E: what a multimodal model's encoder leaves alive during the profile run. The dummy items and the encoder's outputs both
// stay until the end. vLLM v1/worker/gpu_model_runner.py profile_run, multimodal/encoder_budget.py; 0.7 and later.
import type { EncoderShape } from '../../../architecture/types.ts';
import type { JsonObject } from '../../../spec/model.ts';
import { divFloor } from '../../../units.ts';
import { dtypeBytes } from '../resolved.ts';
import { allocated } from './blocks.ts';
import type { MemoryInput } from './types.ts';

export interface EncoderBytes {
  /** E: inputs and outputs that stay until the end of the profile run. */
  kept: number;
  /** The encoder's own forward pass: inputs and the widest moment of a block. */
  forward: number;
}

/**
 * Kept: items x (tokens per item x hidden + input values per item) x dtype; items = tokens of a step // tokens per item.
 * Forward: the inputs and, per patch, 4 hidden states (input, position embedding, residual, norm) and the MLP's input and
 * output of the activation, 2 I / tp; an estimate from the vision blocks of Qwen3-VL and SigLIP.
 */
export function encoderBytes(input: MemoryInput): EncoderBytes {
  const { architecture, options, place, profile, spec } = input;
  const encoder = profiledEncoder(input);
  if (!encoder || place.stage > 0) return { kept: 0, forward: 0 };
  const element = dtypeBytes[options.dtype];
  const times = repeats(encoder, options.maxModelLen);
  const tokensPerItem = itemTokens(encoder, options.maxModelLen);
  const values = encoder.inputValuesPerItem * times;
  const budget = Math.max(options.maxNumBatchedTokens, tokensPerItem);
  const rows = Math.min(options.maxNumSeqs, options.maxNumBatchedTokens);
  const items = Math.max(
    1,
    Math.min(divFloor(budget, tokensPerItem), rows * limitOf(options.limitMmPerPrompt, encoder)),
  );
  const outputTokens = profile['memory.encoderPadsToBudget'] ? budget : tokensPerItem;
  const inputs = allocated(items * values * element);
  const outputs = items * allocated(outputTokens * architecture.forward.hiddenSize * element);
  const perPatch = patchBytes(spec.config.vision, options.tensorParallelSize) * element;
  const patches = divFloor(items * values, patchValues(spec.config.vision));
  return { kept: inputs + outputs, forward: encoder.modality === 'audio' ? 0 : inputs + patches * perPatch };
}

/** Values of one patch: channels x patch size squared x frames. */
function patchValues(vision: JsonObject | undefined): number {
  const side = numberOf(vision?.patchSize) ?? 14;
  const channels = numberOf(vision?.numChannels ?? vision?.inChannels ?? vision?.inChans) ?? 3;
  return channels * side * side * (numberOf(vision?.temporalPatchSize) ?? 1);
}

/** Values alive per patch at the widest moment of an encoder block. */
function patchBytes(vision: JsonObject | undefined, tp: number): number {
  const hidden = numberOf(vision?.embedDim) ?? numberOf(vision?.hiddenSize) ?? 0;
  const inner = numberOf(vision?.intermediateSize) ?? hidden * (numberOf(vision?.mlpRatio) ?? 4);
  return 4 * hidden + (2 * inner) / tp;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

/** The modality with the most tokens per item is profiled, unless encoders are off or not profiled by this runner. */
export function profiledEncoder({ architecture, options, profile }: MemoryInput): EncoderShape | undefined {
  const rule = options.runner === 'v2' ? 'memory.encoderProfiledSecondRunner' : 'memory.encoderProfiled';
  if ((options.engine === 'v1' && !profile[rule]) || options.languageModelOnly || options.skipMmProfiling)
    return undefined;
  let widest: EncoderShape | undefined;
  for (const encoder of architecture.encoders ?? []) {
    if (limitOf(options.limitMmPerPrompt, encoder) === 0) continue;
    if (!widest || itemTokens(encoder, options.maxModelLen) > itemTokens(widest, options.maxModelLen)) widest = encoder;
  }
  return widest;
}

function itemTokens(encoder: EncoderShape, maxModelLen: number): number {
  return encoder.tokensPerItem * repeats(encoder, maxModelLen);
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
