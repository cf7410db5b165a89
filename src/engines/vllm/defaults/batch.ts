// How many tokens and sequences a step may hold when the user says nothing (vLLM engine/arg_utils.py get_batch_defaults,
// _set_default_max_num_seqs_and_batched_tokens_args; V0: config.py SchedulerConfig). Values are those of `vllm serve`.
import type { Architecture } from '../../../architecture/types.ts';
import type { GpuSpec } from '../../../spec/gpu.ts';
import type { ModelSpec } from '../../../spec/model.ts';
import type { EngineOptions } from '../../../spec/options.ts';
import { GiB } from '../../../units.ts';
import type { Profile } from '../profile.ts';
import type { BatchTier, DefaultsRules } from './rules.ts';
import type { ModelTraits } from './traits.ts';

export interface BatchInput {
  options: EngineOptions;
  spec: ModelSpec;
  architecture: Architecture;
  gpu: GpuSpec;
  traits: ModelTraits;
  profile: Profile<DefaultsRules>;
  engine: 'v0' | 'v1';
  maxModelLen: number;
  chunkedPrefill: boolean;
}

export interface BatchLimits {
  maxNumBatchedTokens: number;
  maxNumSeqs: number;
  error?: string;
}

export function resolveBatch(input: BatchInput): BatchLimits {
  const limits = input.engine === 'v0' ? batchV0(input) : batchV1(input);
  return { ...limits, ...check(limits, input) };
}

function batchV1(input: BatchInput): BatchLimits {
  const { options, profile, maxModelLen, chunkedPrefill } = input;
  const tier = tierOf(input.gpu, profile);
  const factor = doublesBatch(input) ? 2 : 1;
  let sequences = options.maxNumSeqs ?? factor * tier.sequences;
  let tokens = options.maxNumBatchedTokens ?? factor * tier.batchedTokens;
  if (options.maxNumBatchedTokens === undefined) {
    if (!chunkedPrefill) tokens = Math.max(maxModelLen, tokens);
    tokens = Math.max(tokens, largestPrefixItem(input));
    if (profile['defaults.tokensClippedToSequences']) tokens = Math.min(sequences * maxModelLen, tokens);
  }
  if (options.maxNumSeqs === undefined && profile['defaults.sequencesClippedToTokens']) {
    sequences = Math.min(sequences, tokens);
  }
  return { maxNumBatchedTokens: tokens, maxNumSeqs: sequences };
}

/** V0: 256 sequences; without chunked prefill a whole prompt must fit into a step. vLLM config.py SchedulerConfig. */
function batchV0({ options, traits, profile, maxModelLen, chunkedPrefill }: BatchInput): BatchLimits {
  let tokens = chunkedPrefill ? profile['defaults.v0ChunkedTokens'] : Math.max(maxModelLen, 2048);
  if (traits.pooling) tokens = Math.max(tokens, 32768);
  if (traits.multimodal) tokens = Math.max(tokens, profile['defaults.v0MultimodalTokens']);
  return { maxNumBatchedTokens: options.maxNumBatchedTokens ?? tokens, maxNumSeqs: options.maxNumSeqs ?? 256 };
}

/** --performance-mode throughput doubles what the user leaves open. */
function doublesBatch({ options, profile }: BatchInput): boolean {
  return profile['defaults.performanceModes'] && options.performanceMode === 'throughput';
}

/**
 * Models whose images attend in both directions cannot split an item: a step must hold the largest one (0.22+). Only classes
 * that state their items' tokens raise it: Gemma 4 where its configuration asks for such attention, and a few more.
 */
function largestPrefixItem({ spec, architecture, profile, options }: BatchInput): number {
  if (!profile['defaults.prefixLmRaisesTokens'] || options.languageModelOnly) return 0;
  const listed = profile['defaults.prefixLmModelTypes'].includes(spec.modelType);
  if (!listed && spec.config.useBidirectionalAttention !== 'vision') return 0;
  return Math.max(0, ...(architecture.encoders ?? []).map((encoder) => encoder.tokensPerItem));
}

const names = new WeakMap<GpuSpec, string>();

/** Every name of the device in lower case, as the release's own test would see it. */
function namesOf(gpu: GpuSpec): string {
  let text = names.get(gpu);
  if (text === undefined) {
    text = [gpu.name, ...(gpu.printedNames ?? []), gpu.id].join(' ').toLowerCase();
    names.set(gpu, text);
  }
  return text;
}

function tierOf(gpu: GpuSpec, profile: Profile<DefaultsRules>): BatchTier {
  const name = namesOf(gpu);
  const unreadable = gpu.integrated === true && gpu.vendor === 'nvidia' && profile['defaults.integratedCountsAsSmall'];
  const gib = unreadable ? 0 : gpu.driverTotalBytes / GiB;
  const tiers = profile['defaults.batchTiers'];
  const fits = tiers.find(
    (tier) =>
      gib >= tier.fromGib &&
      !(tier.unlessNameContains && name.includes(tier.unlessNameContains)) &&
      !(tier.unlessCapability && gpu.computeCapability === tier.unlessCapability),
  );
  return fits ?? tiers[tiers.length - 1]!;
}

/** vLLM config/scheduler.py verify_max_model_len. */
function check(limits: BatchLimits, { maxModelLen, chunkedPrefill }: BatchInput): { error?: string } {
  const { maxNumBatchedTokens: tokens, maxNumSeqs: sequences } = limits;
  if (tokens < maxModelLen && !chunkedPrefill) {
    return {
      error:
        `max_num_batched_tokens (${tokens}) is smaller than max_model_len (${maxModelLen}). This effectively limits the ` +
        'maximum sequence length to max_num_batched_tokens and makes vLLM reject longer sequences. Please increase ' +
        'max_num_batched_tokens or decrease max_model_len.',
    };
  }
  if (tokens < sequences) {
    return {
      error: `max_num_batched_tokens (${tokens}) must be greater than or equal to max_num_seqs (${sequences}).`,
    };
  }
  return {};
}
