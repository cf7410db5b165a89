// Fills in every option that the user left out, as one vLLM release does on one model and GPU. Knows no memory; the KV cache,
// weights and memory rules read its result.
import type { Architecture } from '../../../architecture/types.ts';
import type { Diagnostic } from '../../../diagnostics.ts';
import type { GpuSpec } from '../../../spec/gpu.ts';
import type { ModelSpec } from '../../../spec/model.ts';
import type { EngineOptions } from '../../../spec/options.ts';
import type { Profile } from '../profile.ts';
import type { ResolvedOptions } from '../resolved.ts';
import { resolveBatch } from './batch.ts';
import { resolveDtype, resolveKvDtype } from './dtype.ts';
import { resolveEngine, resolveRunner } from './engine.ts';
import {
  concurrentBatches,
  resolveAsyncScheduling,
  resolveChunkedPrefill,
  resolveMambaMode,
  resolvePrefixCaching,
  speculativeTokensOf,
} from './features.ts';
import { captureSizes, resolveGraphMode } from './graphs.ts';
import { resolveLength } from './length.ts';
import { loraRefusal } from './lora.ts';
import { parallelRefusal } from './parallel.ts';
import type { DefaultsRules } from './rules.ts';
import { traitsOf } from './traits.ts';

export interface DefaultsInput {
  options: EngineOptions;
  spec: ModelSpec;
  architecture: Architecture;
  gpu: GpuSpec;
  profile: Profile<DefaultsRules>;
}

export interface DefaultsResult {
  resolved: ResolvedOptions;
  diagnostics: Diagnostic[];
  /** What the engine would refuse the start with. */
  error?: string;
}

export function resolveOptions({ options, spec, architecture, gpu, profile }: DefaultsInput): DefaultsResult {
  const quantized =
    options.quantization !== undefined ? options.quantization !== 'none' : spec.quantization !== undefined;
  const traits = traitsOf(spec, architecture, quantized);
  const { dtype, diagnostics, error: dtypeError } = resolveDtype({ options, spec, gpu, traits, profile });
  const length = resolveLength(options, spec, profile);
  const { maxModelLen } = length;
  const engine = resolveEngine({ options, spec, gpu, traits, dtype, profile });
  const runner = resolveRunner({ options, spec, gpu, traits, dtype, profile }, engine);
  const features = { options, spec, traits, profile, engine, runner, maxModelLen };
  const enableChunkedPrefill = resolveChunkedPrefill(features);
  const batch = resolveBatch({
    options,
    spec,
    architecture,
    gpu,
    traits,
    profile,
    engine,
    maxModelLen,
    chunkedPrefill: enableChunkedPrefill,
  });
  const enablePrefixCaching = resolvePrefixCaching(features);
  const asyncScheduling = resolveAsyncScheduling(features);
  const speculativeTokens = speculativeTokensOf(options);
  const graphs = { options, spec, gpu, traits, profile, engine, speculativeTokens, ...batch };
  const { maxNumSeqs, maxNumBatchedTokens } = batch;
  // What the engine decides, over what the user said; a spread of the two would cost more than the rest of this function.
  const resolved: ResolvedOptions = Object.assign({}, options, {
    engine,
    runner,
    dtype,
    maxModelLen,
    autoMaxModelLen: length.auto,
    maxNumSeqs,
    maxNumBatchedTokens,
    gpuMemoryUtilization: options.gpuMemoryUtilization ?? profile['defaults.gpuMemoryUtilization'],
    kvCacheDtype: resolveKvDtype(options, spec, dtype, profile),
    enforceEager: options.enforceEager ?? false,
    cudagraphMode: resolveGraphMode(graphs),
    captureSizes: captureSizes(graphs),
    enablePrefixCaching,
    enableChunkedPrefill,
    asyncScheduling,
    maxConcurrentBatches: concurrentBatches(asyncScheduling, options.pipelineParallelSize, runner),
    mambaCacheMode: resolveMambaMode(features, enablePrefixCaching),
    speculativeTokens,
  });
  if (options.enableLora) Object.assign(resolved, loraDefaults(options, profile));
  const error =
    parallelRefusal(options, spec, architecture, profile) ??
    loraRefusal(options, spec, profile) ??
    dtypeError ??
    length.error ??
    batch.error;
  return { resolved, diagnostics, ...(error ? { error } : {}) };
}

function loraDefaults(options: EngineOptions, profile: Profile<DefaultsRules>): Partial<ResolvedOptions> {
  if (!options.enableLora) return {};
  return {
    maxLoras: options.maxLoras ?? profile['defaults.maxLoras'],
    maxLoraRank: options.maxLoraRank ?? profile['defaults.maxLoraRank'],
  };
}
