// The ways out of a plan that does not fit, kind by kind, each from its mildest candidate to its most drastic. They propose; what
// holds is found out by planning (suggest.ts).
import type { GpuSpec } from '../spec/gpu.ts';
import type { EngineOptions } from '../spec/options.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';
import type { PlanRequest } from './request.ts';
import type { FlagSuggestion, Plan } from './types.ts';

export interface Alternatives {
  /** Schemes that this engine release and GPU can run on a 16-bit checkpoint of the model, the mildest first. */
  schemes: readonly QuantizationScheme[];
  /** Other GPUs, any order. */
  gpus: readonly GpuSpec[];
  /** Whether fp8 KV exists in this release on this GPU. */
  fp8Kv: boolean;
  maxModelLen: number;
  maxNumSeqs: number;
  maxNumBatchedTokens: number;
}

export interface Candidate {
  change: string;
  request: PlanRequest;
  flags: FlagSuggestion[];
  /** Worth showing with shorter sequences when it is not enough by itself. */
  mayShorten?: boolean;
}

export type Planner = (request: PlanRequest) => Plan;

/** Below this a shorter length is no way out, unless the requirement is shorter still. */
export const usefulLength = 2048;

/** A kind of change yields its candidates from mild to drastic. */
export type Kind = (request: PlanRequest, alternatives: Alternatives, plan: Planner) => Iterable<Candidate>;

/** The kinds, the cheapest first. */
export const otherSettings: readonly Kind[] = [
  cacheAsProfiled,
  shorterSequences,
  fp8KvCache,
  fewerSequences,
  withoutGraphs,
  moreOfTheGpu,
];
export const otherWeights: readonly Kind[] = [quantizedTo(8), quantizedTo(4), moreGpus, fourBitOnMoreGpus, biggerGpu];

/** Nothing but what every way out begins with. */
export function* asItIs(request: PlanRequest): Iterable<Candidate> {
  yield { change: 'less of the GPU', request, flags: [] };
}

/** A cache of a given size may be smaller than need be. */
function* cacheAsProfiled(request: PlanRequest): Iterable<Candidate> {
  const { numGpuBlocksOverride, kvCacheMemoryBytes } = request.options;
  if (numGpuBlocksOverride === undefined && kvCacheMemoryBytes === undefined) return;
  const flag = numGpuBlocksOverride === undefined ? '--kv-cache-memory-bytes' : '--num-gpu-blocks-override';
  yield {
    change: `the KV cache that profiling finds room for (without ${flag})`,
    request: withOptions(request, { numGpuBlocksOverride: undefined, kvCacheMemoryBytes: undefined }),
    flags: [],
  };
}

export function* shorterSequences(
  request: PlanRequest,
  { maxModelLen }: Alternatives,
  plan: Planner,
): Iterable<Candidate> {
  if (works(plan(request))) return;
  const length = longestLength(request, maxModelLen, plan);
  if (length === undefined) return;
  yield {
    change: 'shorter sequences',
    request: withOptions(request, { maxModelLen: length }),
    flags: [lengthFlag(length, 'the longest that fits')],
  };
}

export function lengthFlag(length: number, because: string): FlagSuggestion {
  return { flag: '--max-model-len', value: String(length), because };
}

/**
 * The longest sequences that fit. Every probe is a whole plan, because batches, buffers and tables move with the length; the
 * capacity at a length that fits says where to look, so that few are needed.
 */
function longestLength(request: PlanRequest, maxModelLen: number, plan: Planner): number | undefined {
  const at = (length: number): Plan => plan(withOptions(request, { maxModelLen: length }));
  const least = Math.max(request.context ?? usefulLength, 1);
  if (least >= maxModelLen) return undefined;
  const first = at(least);
  if (!works(first)) return undefined;
  let [low, high] = [least, maxModelLen];
  let guess = Math.floor(first.kvCache.maxConcurrency * least);
  for (let step = 16; high - low > 1; step *= 4) {
    const length = Math.min(Math.max(guess, low + 1), high - 1);
    const fits = works(at(length));
    if (fits) low = length;
    else high = length;
    // Steps away from the guess until it is enclosed, then halve.
    const enclosed = low > least && high < maxModelLen;
    guess = enclosed ? Math.floor((low + high) / 2) : fits ? length + step : length - step;
  }
  return low;
}

function* fp8KvCache(request: PlanRequest, { fp8Kv }: Alternatives): Iterable<Candidate> {
  if (!fp8Kv || (request.options.kvCacheDtype ?? 'auto') !== 'auto') return;
  yield {
    change: 'FP8 KV cache',
    request: withOptions(request, { kvCacheDtype: 'fp8' }),
    flags: [{ flag: '--kv-cache-dtype', value: 'fp8', because: 'half the bytes a token' }],
  };
}

function* fewerSequences(request: PlanRequest, { maxNumSeqs, maxNumBatchedTokens }: Alternatives): Iterable<Candidate> {
  for (const seqs of [256, 128, 64, 32, 16, 8]) {
    if (seqs >= maxNumSeqs || seqs < (request.concurrency ?? 1)) continue;
    const tokens = Math.max(Math.min(maxNumBatchedTokens, 2048), seqs);
    const flags = [{ flag: '--max-num-seqs', value: String(seqs), because: 'fewer logits to sample at once' }];
    if (tokens < maxNumBatchedTokens)
      flags.push({ flag: '--max-num-batched-tokens', value: String(tokens), because: 'smaller activation peak' });
    yield {
      change: 'smaller batches',
      request: withOptions(request, { maxNumSeqs: seqs, maxNumBatchedTokens: tokens }),
      flags,
    };
  }
}

function* withoutGraphs(request: PlanRequest): Iterable<Candidate> {
  if (request.options.enforceEager) return;
  yield {
    change: 'no CUDA graphs, slower decoding',
    request: withOptions(request, { enforceEager: true }),
    flags: [{ flag: '--enforce-eager', value: null, because: 'frees the graphs' }],
  };
}

function* moreOfTheGpu(request: PlanRequest): Iterable<Candidate> {
  for (const utilization of [0.95, 0.97]) {
    if (request.freeMemoryBytes || utilization <= (request.options.gpuMemoryUtilization ?? 0.92)) continue;
    yield {
      change: 'more of the GPU, nothing else may use it',
      request: withOptions(request, { gpuMemoryUtilization: utilization }),
      flags: [{ flag: '--gpu-memory-utilization', value: String(utilization), because: 'less left unused' }],
    };
  }
}

/** For a start that is refused although memory would do. */
export function* otherTensorParallel(request: PlanRequest): Iterable<Candidate> {
  const { tensorParallelSize, pipelineParallelSize, dataParallelSize } = request.options;
  for (const tp of [8, 4, 2, 1].sort((a, b) => Math.abs(a - tensorParallelSize) - Math.abs(b - tensorParallelSize))) {
    if (tp === tensorParallelSize) continue;
    yield {
      change: `${tp * pipelineParallelSize * dataParallelSize} x ${request.gpus[0]!.name}`,
      request: { ...withOptions(request, { tensorParallelSize: tp }), gpus: request.gpus.slice(0, 1) },
      flags: [{ flag: '--tensor-parallel-size', value: String(tp), because: 'a size that the model divides by' }],
    };
  }
}

function quantizedTo(bits: number) {
  return function* (request: PlanRequest, { schemes }: Alternatives): Iterable<Candidate> {
    if (request.scheme !== undefined) return;
    for (const scheme of schemes.filter((candidate) => candidate.bits === bits)) {
      yield {
        change: scheme.online
          ? 'quantized while loading'
          : `${bits === 8 ? 'an' : 'a'} ${bits}-bit checkpoint of this model: ${scheme.id}`,
        request: { ...withOptions(request, { quantization: scheme.id }), scheme },
        flags: scheme.online
          ? [{ flag: '--quantization', value: scheme.method, because: 'half the bytes of the weights' }]
          : [],
        mayShorten: true,
      };
    }
  };
}

function* moreGpus(request: PlanRequest): Iterable<Candidate> {
  const { tensorParallelSize, pipelineParallelSize, dataParallelSize } = request.options;
  const gpu = request.gpus[0]!;
  for (const tp of [2, 4, 8]) {
    if (tp <= tensorParallelSize) continue;
    const flags = [{ flag: '--tensor-parallel-size', value: String(tp), because: 'splits weights and KV heads' }];
    yield {
      change: `${tp * pipelineParallelSize * dataParallelSize} x ${gpu.name}`,
      request: { ...withOptions(request, { tensorParallelSize: tp }), gpus: [gpu] },
      flags,
      mayShorten: true,
    };
  }
}

/** Both at once, where neither the 16-bit model on these GPUs nor the 4-bit one on this layout will do. */
function* fourBitOnMoreGpus(request: PlanRequest, alternatives: Alternatives, plan: Planner): Iterable<Candidate> {
  for (const { change, request: quantized } of quantizedTo(4)(request, alternatives)) {
    const short = plan(withOptions(quantized, { maxModelLen: Math.max(request.context ?? usefulLength, 1) }));
    if (works(short)) return;
    for (const candidate of moreGpus(quantized))
      yield { ...candidate, change: `${candidate.change} with ${change.replace(' of this model', '')}` };
  }
}

/** The smallest of the same maker that holds it, is no slower to read and comes in that number. */
function* biggerGpu(request: PlanRequest, { gpus }: Alternatives): Iterable<Candidate> {
  const own = request.gpus[0]!;
  const { pipelineParallelSize: pp, tensorParallelSize: tp, dataParallelSize: dp } = request.options;
  const bigger = gpus
    .filter((gpu) => gpu.cudaTotalBytes > 1.05 * own.cudaTotalBytes && gpu.vendor === own.vendor)
    .filter((gpu) => (gpu.bandwidthBytesPerSecond ?? Infinity) >= (own.bandwidthBytesPerSecond ?? 0))
    .filter((gpu) => (gpu.maxGpusPerNode ?? tp) >= tp)
    .sort((a, b) => a.cudaTotalBytes - b.cudaTotalBytes || a.id.localeCompare(b.id));
  const count = pp * tp * dp > 1 ? `${pp * tp * dp} x ` : '';
  for (const gpu of bigger)
    yield {
      change: `a bigger GPU: ${count}${gpu.name}`,
      request: { ...request, gpus: [gpu], freeMemoryBytes: undefined },
      flags: [],
    };
}

export function withOptions(request: PlanRequest, options: Partial<EngineOptions>): PlanRequest {
  return { ...request, options: { ...request.options, ...options } };
}

export function works({ verdict, workload }: Plan): boolean {
  return verdict.fits && workload?.fits !== false;
}
