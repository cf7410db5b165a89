// Switches that a release turns on or off by itself: chunked prefill, prefix caching and the mamba cache mode that goes with
// it, asynchronous scheduling and the number of batches in flight, speculation.

import type { ModelSpec } from '../../../spec/model.ts';
import type { EngineOptions } from '../../../spec/options.ts';
import type { Profile } from '../profile.ts';
import type { DefaultsRules } from './rules.ts';
import type { ModelTraits } from './traits.ts';

export interface FeatureInput {
  options: EngineOptions;
  spec: ModelSpec;
  traits: ModelTraits;
  profile: Profile<DefaultsRules>;
  engine: 'v0' | 'v1';
  runner: 'v1' | 'v2';
  maxModelLen: number;
}

/**
 * V1: on unless attention looks both ways or the model is an encoder-decoder. V0: only above 32,768 tokens, without images,
 * MLA, windows, speculation and LoRA. vLLM engine/arg_utils.py _set_default_args_v0, config/model.py is_chunked_prefill_supported.
 */
export function resolveChunkedPrefill({ options, traits, engine, maxModelLen }: Omit<FeatureInput, 'runner'>): boolean {
  if (engine === 'v1') {
    const supported = !traits.encoderDecoder && !traits.bidirectional;
    return supported && (options.enableChunkedPrefill ?? true);
  }
  if (options.enableChunkedPrefill !== undefined) return options.enableChunkedPrefill;
  const plain =
    !traits.multimodal &&
    !traits.mla &&
    !traits.slidingWindow &&
    !traits.pooling &&
    !traits.hybrid &&
    !traits.attentionFree;
  return maxModelLen > 32768 && plain && options.speculativeConfig === undefined && options.enableLora !== true;
}

/** On in V1 for decoder-only models; models with recurrent state only from 0.28, attention-free ones never by themselves. */
export function resolvePrefixCaching(input: FeatureInput): boolean {
  const { options, traits, engine, profile } = input;
  if (engine === 'v0') return options.enablePrefixCaching ?? false;
  if (traits.encoderDecoder || traits.bidirectional) return false;
  const stateful = traits.hybrid || traits.attentionFree;
  if (!stateful) return options.enablePrefixCaching ?? true;
  if (options.enablePrefixCaching !== undefined) return options.enablePrefixCaching && stateCanBeCached(input);
  return traits.hybrid && profile['defaults.hybridPrefixCaching'];
}

function stateCanBeCached({ profile, spec }: FeatureInput): boolean {
  const rule = profile['defaults.statePrefixMode'];
  if (rule === 'unsupported') return false;
  return rule !== 'all-only' || profile['defaults.allModeArchitectures'].includes(spec.architecture);
}

/**
 * Without prefix caching none; with it "all" where the model can store a state per block, else "align"; only align from 0.28
 * unless asked. vLLM model_executor/models/config.py MambaModelConfig.
 */
export function resolveMambaMode(input: FeatureInput, prefixCaching: boolean): 'none' | 'align' | 'all' {
  const { options, traits, spec, profile } = input;
  if (!(traits.hybrid || traits.attentionFree) || !prefixCaching) return 'none';
  const rule = profile['defaults.statePrefixMode'];
  const canStoreAll = profile['defaults.allModeArchitectures'].includes(spec.architecture);
  const asked = options.mambaCacheMode;
  if (asked === 'align') return 'align';
  if (asked === 'all') return canStoreAll ? 'all' : 'align';
  if (rule === 'align' || !canStoreAll) return 'align';
  return rule === 'align-with-speculation' && options.speculativeConfig !== undefined ? 'align' : 'all';
}

/** On from 0.14 unless pooling, speculation that cannot be padded, or a pipeline on the first runner. config/vllm.py. */
export function resolveAsyncScheduling({ options, traits, profile, engine, runner }: FeatureInput): boolean {
  if (engine === 'v0') return false;
  if (options.asyncScheduling !== undefined) return options.asyncScheduling;
  if (!profile['defaults.asyncScheduling'] || traits.pooling) return false;
  const pipelineAllowed = runner === 'v2' && profile['defaults.asyncWithPipeline'];
  if (options.pipelineParallelSize > 1 && !pipelineAllowed) return false;
  return runner === 'v2' || speculationKeepsAsync(options);
}

const paddedMethods = /^(eagle|eagle3|mtp|.*_mtp|ngram_gpu|draft_model|dspark|dflash)$/;

function speculationKeepsAsync(options: EngineOptions): boolean {
  const method = options.speculativeConfig?.method;
  if (options.speculativeConfig === undefined) return true;
  return typeof method === 'string' && paddedMethods.test(method);
}

/** Pipeline stages each hold a batch; asynchronous scheduling adds one. config/vllm.py max_concurrent_batches. */
export function concurrentBatches(asyncScheduling: boolean, pipeline: number, runner: 'v1' | 'v2'): number {
  if (!asyncScheduling) return pipeline;
  if (runner === 'v2') return pipeline + 1;
  return pipeline <= 1 ? 2 : pipeline;
}

export function speculativeTokensOf(options: EngineOptions): number {
  const value = options.speculativeConfig?.num_speculative_tokens ?? options.speculativeConfig?.numSpeculativeTokens;
  return typeof value === 'number' ? value : options.speculativeConfig ? 1 : 0;
}
