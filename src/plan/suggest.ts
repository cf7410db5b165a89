// Ways out when a plan does not fit, ranked from the least to the most costly change. Each is planned before it is shown; what
// does not fit either is not suggested.
import { gib, thousands, times } from '../numbers.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { EngineOptions } from '../spec/options.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';
import type { PlanRequest } from './request.ts';
import type { FlagSuggestion, Plan, Suggestion } from './types.ts';

export interface Alternatives {
  /** Schemes that this engine release and GPU can run on a 16-bit checkpoint of the model. */
  schemes: readonly QuantizationScheme[];
  /** Other GPUs, any order. */
  gpus: readonly GpuSpec[];
  /** The longest max_model_len the engine estimates for this pool; 0 when nothing fits. */
  estimatedMaxLen: number;
  /** Whether fp8 KV exists in this release on this GPU. */
  fp8Kv: boolean;
  maxNumSeqs: number;
  maxNumBatchedTokens: number;
}

interface Candidate {
  change: string;
  request: PlanRequest;
  flags: FlagSuggestion[];
}

export function suggest(
  request: PlanRequest,
  alternatives: Alternatives,
  plan: (request: PlanRequest) => Plan,
  limit = 5,
): Suggestion[] {
  const suggestions: Suggestion[] = [];
  const seenGpu = { done: false };
  for (const candidate of candidates(request, alternatives)) {
    if (suggestions.length >= limit) break;
    const biggerGpu = candidate.request.gpus !== request.gpus;
    if (biggerGpu && seenGpu.done) continue;
    const planned = plan(candidate.request);
    if (!planned.verdict.fits || planned.workload?.fits === false) continue;
    if (biggerGpu) seenGpu.done = true;
    suggestions.push({ change: candidate.change, effect: effectOf(planned), flags: candidate.flags });
  }
  return suggestions;
}

function effectOf({ kvCache, verdict }: Plan): string {
  return `fits with ${thousands(kvCache.tokens)} tokens, ${times(kvCache.maxConcurrency)} sequences of ${thousands(kvCache.maxModelLen)}; ${gib(verdict.headroomBytes)} headroom`;
}

function* candidates(request: PlanRequest, alternatives: Alternatives): Generator<Candidate> {
  const { options } = request;
  const { estimatedMaxLen, fp8Kv, maxNumSeqs, maxNumBatchedTokens, schemes, gpus } = alternatives;
  if (estimatedMaxLen >= 1024 || (estimatedMaxLen > 0 && estimatedMaxLen >= (request.context ?? 1))) {
    yield withOption(
      request,
      'shorter sequences',
      'maxModelLen',
      readableLength(estimatedMaxLen),
      'the longest that fits this pool',
    );
  }
  if (fp8Kv && options.kvCacheDtype === undefined) {
    yield withOption(request, 'FP8 KV cache', 'kvCacheDtype', 'fp8', 'halves the KV cache');
  }
  for (const seqs of [256, 64, 16]) {
    if (seqs < maxNumSeqs && seqs >= (request.concurrency ?? 1)) {
      const tokens = Math.min(maxNumBatchedTokens, 2048);
      yield withOptions(request, 'smaller batches', [
        ['maxNumSeqs', seqs, 'fewer logits to sample at once'],
        ['maxNumBatchedTokens', Math.max(tokens, seqs), 'smaller activation peak'],
      ]);
    }
  }
  if (!options.enforceEager)
    yield withOption(request, 'no CUDA graphs', 'enforceEager', true, 'frees the graphs; decoding is slower');
  const utilization = Math.min(0.95, (options.gpuMemoryUtilization ?? 0.9) + 0.05);
  if (utilization > (options.gpuMemoryUtilization ?? 0.9)) {
    yield withOption(
      request,
      'more of the GPU',
      'gpuMemoryUtilization',
      Number(utilization.toFixed(2)),
      'nothing else may use this GPU',
    );
  }
  if (request.scheme === undefined) for (const scheme of schemes) yield quantized(request, scheme);
  for (const tp of [2, 4, 8]) {
    if (tp > options.tensorParallelSize) {
      yield {
        ...withOption(
          request,
          `${tp * options.pipelineParallelSize} x ${request.gpus[0]!.name}`,
          'tensorParallelSize',
          tp,
          'splits weights and KV heads',
        ),
      };
    }
  }
  const total = request.gpus[0]!.cudaTotalBytes;
  const bigger = gpus
    .filter((gpu) => gpu.cudaTotalBytes > total && gpu.vendor === 'nvidia')
    .sort((a, b) => a.cudaTotalBytes - b.cudaTotalBytes);
  for (const gpu of bigger)
    yield {
      change: `a bigger GPU: ${gpu.name}`,
      request: { ...request, gpus: [gpu], freeMemoryBytes: undefined },
      flags: [],
    };
}

function withOption(
  request: PlanRequest,
  change: string,
  key: keyof EngineOptions,
  value: unknown,
  because: string,
): Candidate {
  return withOptions(request, change, [[key, value, because]]);
}

function withOptions(
  request: PlanRequest,
  change: string,
  changes: readonly (readonly [keyof EngineOptions, unknown, string])[],
): Candidate {
  const flags = changes.map(([key, value, because]) => ({
    flag: flagName(key),
    value: value === true ? null : String(value),
    because,
  }));
  const written = flags.map(({ flag, value }) => (value === null ? flag : `${flag} ${value}`)).join(' ');
  return {
    change: `${change} (${written})`,
    request: {
      ...request,
      options: { ...request.options, ...Object.fromEntries(changes.map(([key, value]) => [key, value])) },
    },
    flags,
  };
}

function quantized(request: PlanRequest, scheme: QuantizationScheme): Candidate {
  const flags = scheme.online ? [{ flag: '--quantization', value: scheme.id, because: 'quantized while loading' }] : [];
  return {
    change: scheme.online
      ? `quantized while loading (--quantization ${scheme.id})`
      : `a ${scheme.name ?? scheme.id} checkpoint of this model`,
    request: { ...request, scheme, options: { ...request.options, quantization: scheme.id } },
    flags,
  };
}

function flagName(key: keyof EngineOptions): string {
  return `--${key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
}

/** Down to a multiple of 256 where that costs little: people remember such lengths. */
function readableLength(tokens: number): number {
  const rounded = Math.floor(tokens / 256) * 256;
  return rounded >= 1024 ? rounded : tokens;
}
