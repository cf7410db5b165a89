// CUDA-graph mode and the batch sizes that are captured (vLLM config/vllm.py _set_cudagraph_sizes, config/compilation.py;
// V0: worker/model_runner.py _BATCH_SIZES_TO_CAPTURE).
import type { GpuSpec } from '../../../spec/gpu.ts';
import type { ModelSpec } from '../../../spec/model.ts';
import type { EngineOptions } from '../../../spec/options.ts';
import type { Profile } from '../profile.ts';
import type { ResolvedOptions } from '../resolved.ts';
import { capabilityOf } from './dtype.ts';
import type { DefaultsRules } from './rules.ts';
import type { ModelTraits } from './traits.ts';

export interface GraphInput {
  options: EngineOptions;
  spec: ModelSpec;
  gpu: GpuSpec;
  traits: ModelTraits;
  profile: Profile<DefaultsRules>;
  engine: 'v0' | 'v1';
  maxNumSeqs: number;
  maxNumBatchedTokens: number;
  speculativeTokens: number;
}

export function resolveGraphMode(input: GraphInput): ResolvedOptions['cudagraphMode'] {
  const { options, traits, profile, engine } = input;
  if (options.enforceEager) return 'NONE';
  if (engine === 'v0') return 'FULL_DECODE_ONLY';
  const stated = statedMode(options.compilationConfig);
  if (stated) return stated;
  if (traits.pooling || traits.encoderDecoder) return 'PIECEWISE';
  return traits.hybrid ? profile['defaults.hybridCudagraphMode'] : profile['defaults.cudagraphMode'];
}

/** 1, 2, 4, then multiples of 8, from 256 on of the release's step, up to the largest size. */
export function captureSizes(input: GraphInput): readonly number[] {
  const { options, profile, engine, maxNumBatchedTokens } = input;
  if (options.enforceEager || statedMode(options.compilationConfig) === 'NONE') return [];
  const listed = options.cudagraphCaptureSizes ?? options.compilationConfig?.cudagraph_capture_sizes;
  if (Array.isArray(listed)) {
    return [...new Set(listed.map(Number))].filter((size) => size <= maxNumBatchedTokens).sort((a, b) => a - b);
  }
  if (engine === 'v0') return v0Sizes(input.maxNumSeqs);
  const rule = profile['defaults.captureSizes'];
  const max = Math.min(largestSize(input), rule.kind === 'fixed' ? Number.POSITIVE_INFINITY : maxNumBatchedTokens);
  const fine = profile['defaults.performanceModes'] && options.performanceMode === 'interactivity';
  const sizes = steppedSizes(max, rule.stepAbove256, fine ? finestUpTo : 0);
  const adds = rule.includesBatchedTokens && maxNumBatchedTokens <= max && !sizes.includes(maxNumBatchedTokens);
  return adds ? [...sizes, maxNumBatchedTokens] : sizes;
}

const stepped = new Map<string, readonly number[]>();

/** --performance-mode interactivity captures every size up to this. */
const finestUpTo = 32;

/** Few lists serve all plans of a sweep. */
function steppedSizes(max: number, stepAbove256: number, everyUpTo: number): readonly number[] {
  const key = `${max}/${stepAbove256}/${everyUpTo}`;
  let known = stepped.get(key);
  if (!known) {
    const first = everyUpTo > 0 ? Array.from({ length: everyUpTo }, (_, i) => i + 1) : [1, 2, 4];
    const sizes = first.filter((size) => size <= max);
    for (let size = 8; size <= max && size < 256; size += 8) if (size > everyUpTo) sizes.push(size);
    for (let size = 256; size <= max; size += stepAbove256) sizes.push(size);
    known = sizes;
    stepped.set(key, known);
  }
  return known;
}

/** cudagraph_mode of --compilation-config, or its switches before 0.10.1 (vllm/config/compilation.py). */
function statedMode(config: EngineOptions['compilationConfig']): ResolvedOptions['cudagraphMode'] | undefined {
  if (!config) return undefined;
  const named = String(config.cudagraph_mode ?? '').toUpperCase();
  const mode = graphModes.find((known) => known === named);
  if (mode) return mode;
  if (config.use_cudagraph === false) return 'NONE';
  return config.full_cuda_graph === true ? 'FULL' : undefined;
}

const graphModes = ['NONE', 'PIECEWISE', 'FULL', 'FULL_DECODE_ONLY', 'FULL_AND_PIECEWISE'] as const;

function largestSize({ options, spec, gpu, profile, maxNumSeqs, speculativeTokens }: GraphInput): number {
  const rule = profile['defaults.captureSizes'];
  const stated = options.maxCudagraphCaptureSize ?? options.compilationConfig?.max_cudagraph_capture_size;
  if (typeof stated === 'number') return stated;
  const wider = profile['defaults.widerCapture'].find((entry) => entry.architecture === spec.architecture);
  if (wider) return wider.max;
  const ceiling = Math.floor(capabilityOf(gpu)) === 10 ? rule.blackwellCeiling : rule.ceiling;
  if (rule.kind === 'fixed') return ceiling;
  return Math.min(maxNumSeqs * 2 * (rule.speculation ? 1 + speculativeTokens : 1), ceiling);
}

/** V0 captures decode batches up to the first size that covers max_num_seqs. */
function v0Sizes(maxNumSeqs: number): number[] {
  const sizes: number[] = [];
  for (const size of [1, 2, 4]) {
    sizes.push(size);
    if (size >= maxNumSeqs) return sizes;
  }
  for (let size = 8; size <= 8192; size += 8) {
    sizes.push(size);
    if (size >= maxNumSeqs) break;
  }
  return sizes;
}
