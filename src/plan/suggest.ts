// Ways out when a plan does not fit, from the least to the most costly change; of each kind the mildest that works. Each is
// planned before it is shown; what does not fit either is not suggested.
import { smallGib, thousands, times } from '../numbers.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { EngineOptions } from '../spec/options.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';
import type { PlanRequest } from './request.ts';
import { type FlagSuggestion, nothingLoaded, type Plan, type Suggestion } from './types.ts';

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

interface Candidate {
  change: string;
  request: PlanRequest;
  flags: FlagSuggestion[];
  /** Worth showing with shorter sequences when it is not enough by itself. */
  mayShorten?: boolean;
}

type Planner = (request: PlanRequest) => Plan;

/** Below this a shorter length is no way out, unless the requirement is shorter still. */
const usefulLength = 2048;

export function suggest(request: PlanRequest, alternatives: Alternatives, plan: Planner): Suggestion[] {
  const suggestions: Suggestion[] = [];
  const start = withinFreeMemory(request, plan(request));
  for (const kind of kindsFor(plan(start.request), start)) {
    for (const candidate of kind(start.request, alternatives, plan)) {
      const found = tried({ ...candidate, flags: [...start.flags, ...candidate.flags] }, alternatives, plan);
      if (!found) continue;
      suggestions.push(found);
      break;
    }
  }
  return suggestions;
}

/** Where other processes hold memory, every way out begins with a utilization that what is free can honour. */
function withinFreeMemory(request: PlanRequest, { devices }: Plan): Pick<Candidate, 'request' | 'flags'> {
  const free = Math.min(...(request.freeMemoryBytes ?? []));
  const { totalBytes, budgetBytes } = devices[0]!;
  const utilization = Math.floor((100 * free) / totalBytes) / 100;
  if (free >= budgetBytes || utilization <= 0) return { request, flags: [] };
  return {
    request: withOptions(request, { gpuMemoryUtilization: utilization }),
    flags: [{ flag: '--gpu-memory-utilization', value: String(utilization), because: 'no more than is free' }],
  };
}

/** What is worth trying: where the weights alone are too large, no setting of the cache or the batch helps. */
function kindsFor(planned: Plan, start: Pick<Candidate, 'flags'>): readonly Kind[] {
  const { verdict, workload } = planned;
  if (nothingLoaded(planned)) return [otherTensorParallel];
  const lacksMemory =
    !verdict.capacityFits || workload?.fits === false || /out ?of ?memory/i.test(verdict.engineError ?? '');
  if (start.flags.length > 0 && !weightsTooLarge(planned)) return [asItIs, ...otherSettings, ...otherWeights];
  if (!lacksMemory) return [shorterSequences, otherTensorParallel];
  return weightsTooLarge(planned) ? otherWeights : [...otherSettings, ...otherWeights];
}

function weightsTooLarge({ devices }: Plan): boolean {
  return devices.some(({ weights, totalBytes }) => weights.loadedBytes >= totalBytes);
}

/** The candidate as it is, else with sequences short enough to make it fit. */
function tried(candidate: Candidate, { maxModelLen }: Alternatives, plan: Planner): Suggestion | undefined {
  const planned = plan(candidate.request);
  if (works(planned)) return { change: written(candidate), effect: effectOf(planned), flags: candidate.flags };
  if (!candidate.mayShorten || weightsTooLarge(planned)) return undefined;
  const length = readableLength(candidate.request, maxModelLen, plan);
  if (length === undefined) return undefined;
  const shorter: Candidate = {
    ...candidate,
    request: withOptions(candidate.request, { maxModelLen: length }),
    flags: [...candidate.flags, lengthFlag(length, 'a length that fits')],
  };
  return { change: written(shorter), effect: effectOf(plan(shorter.request)), flags: shorter.flags };
}

/** A round length that fits, close to the longest. */
function readableLength(request: PlanRequest, maxModelLen: number, plan: Planner): number | undefined {
  const least = Math.max(request.context ?? usefulLength, 1);
  if (least >= maxModelLen) return undefined;
  const first = plan(withOptions(request, { maxModelLen: least }));
  if (!works(first)) return undefined;
  const capacity = Math.min(first.kvCache.maxConcurrency * least, maxModelLen - 1);
  for (const share of [0.99, 0.9, 0.75]) {
    const length = Math.floor((capacity * share) / 256) * 256;
    if (length > least && works(plan(withOptions(request, { maxModelLen: length })))) return length;
  }
  return least;
}

function works({ verdict, workload }: Plan): boolean {
  return verdict.fits && workload?.fits !== false;
}

function written({ change, flags }: Candidate): string {
  const words = flags.map(({ flag, value }) => (value === null ? flag : `${flag} ${value}`)).join(' ');
  return words === '' ? change : `${change} (${words})`;
}

function effectOf({ kvCache, verdict, workload }: Plan): string {
  const capacity = `${thousands(kvCache.tokens)} tokens`;
  if (workload) {
    const most = `${thousands(workload.maxConcurrencyAtContext)} sequences of ${thousands(workload.context)}`;
    return `then ${capacity}, ${most}; ${smallGib(verdict.headroomBytes)} to spare`;
  }
  const sequences = `${times(kvCache.maxConcurrency)} sequences of ${thousands(kvCache.maxModelLen)}`;
  return `then ${capacity}, ${sequences}; ${smallGib(verdict.headroomBytes)} to spare`;
}

/** A kind of change yields its candidates from mild to drastic. */
type Kind = (request: PlanRequest, alternatives: Alternatives, plan: Planner) => Iterable<Candidate>;

/** The kinds, the cheapest first. */
const otherSettings: readonly Kind[] = [
  cacheAsProfiled,
  shorterSequences,
  fp8KvCache,
  fewerSequences,
  withoutGraphs,
  moreOfTheGpu,
];
const otherWeights: readonly Kind[] = [quantizedTo(8), quantizedTo(4), moreGpus, fourBitOnMoreGpus, biggerGpu];

/** Nothing but what every way out begins with. */
function* asItIs(request: PlanRequest): Iterable<Candidate> {
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

function* shorterSequences(request: PlanRequest, { maxModelLen }: Alternatives, plan: Planner): Iterable<Candidate> {
  if (works(plan(request))) return;
  const length = longestLength(request, maxModelLen, plan);
  if (length === undefined) return;
  yield {
    change: 'shorter sequences',
    request: withOptions(request, { maxModelLen: length }),
    flags: [lengthFlag(length, 'the longest that fits')],
  };
}

function lengthFlag(length: number, because: string): FlagSuggestion {
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
function* otherTensorParallel(request: PlanRequest): Iterable<Candidate> {
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

function withOptions(request: PlanRequest, options: Partial<EngineOptions>): PlanRequest {
  return { ...request, options: { ...request.options, ...options } };
}
