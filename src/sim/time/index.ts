// The step-time model of one server: seconds for the work of a step, with the device's coefficients and how sure they are. An
// estimate by nature: nothing that counts blocks may depend on it. Law: the roofline of time/step.ts.
import { forwardWork } from '../../accounting/work.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import type { StepWork } from '../types.ts';
import { coefficientsOf, isThroughputKnown } from './coefficients.ts';
import { drafterOf } from './drafter.ts';
import { type StepLaw, stepBreakdown } from './step.ts';
import type { StepBreakdown, StepTime, StepTimeInput } from './types.ts';

export { BoundTally, type PhaseBounds } from './bounds.ts';
export type { StepBound, StepBreakdown, StepTime, StepTimeOptions } from './types.ts';

/** Undefined where the GPU's bandwidth is not known: then a step's duration has to be given. */
export function createStepTime(input: StepTimeInput): StepTime | undefined {
  const { spec, architecture, gpu, scheme, options } = input;
  const coefficients = coefficientsOf(gpu, options, scheme, input.node);
  if (!coefficients) return undefined;
  const { dtype, kvCacheDtype, tensorParallelSize, pipelineParallelSize, dataParallelSize } = options;
  const forward = input.forward ?? forwardWork({ spec, architecture, scheme, dtype, kvCacheDtype, tensorParallelSize });
  const hasGraphs = !options.enforceEager && options.cudagraphMode !== 'NONE';
  const largestGraph = hasGraphs ? Math.max(0, ...options.captureSizes) : 0;
  const law: StepLaw = { forward, options, coefficients, largestGraph, drafter: drafterOf(input, forward) };
  const padded = paddedSizes(options.captureSizes, largestGraph);
  const breakdown = (work: Readonly<StepWork>): StepBreakdown => {
    if (work.ranks) return slowestRank(law, work.ranks, padded);
    const tokens = padded(work.tokens);
    if (pipelineParallelSize > 1) return pipelined(law, work, padded);
    return stepBreakdown(law, work, { tokens, batchTokens: tokens });
  };
  return {
    seconds: (work) => breakdown(work).total,
    bound: (work) => breakdown(work).bound,
    breakdown,
    synchronizedRanks: forward.expertLayers > 0 ? dataParallelSize : 1,
    estimate: gpu.stepTime?.fitted ? 'fitted' : 'roofline',
    uncertainty: uncertaintyOf(gpu),
    coefficients,
  };
}

/**
 * Data-parallel ranks that share experts step together: one without requests runs a batch of one token, graphs are used at the size of the
 * largest rank or by none (v1/worker/dp_utils.py coordinate_batch_across_dp, 0.11 to 0.33), and the slowest rank sets the time.
 */
function slowestRank(law: StepLaw, ranks: readonly StepWork[], padded: (tokens: number) => number): StepBreakdown {
  const most = ranks.reduce((max, { tokens }) => Math.max(max, tokens), 1);
  const size = padded(most);
  const isCaptured = most <= law.largestGraph;
  const sizes = ranks.map(({ tokens }) => (isCaptured ? size : Math.max(1, tokens)));
  const batchTokens = sizes.reduce((sum, tokens) => sum + tokens, 0);
  return ranks
    .map((work, i) => stepBreakdown(law, work, { tokens: sizes[i]!, batchTokens }))
    .reduce((slowest, one) => (one.total > slowest.total ? one : slowest));
}

/** CUDA graphs exist for some batch sizes: a step up to the largest runs at the next one. */
function paddedSizes(captured: readonly number[], largest: number): (tokens: number) => number {
  const isSorted = captured.every((size, i) => i === 0 || size >= captured[i - 1]!);
  const sizes = isSorted ? captured : [...captured].sort((a, b) => a - b);
  return (tokens) => {
    if (tokens > largest || tokens <= 0) return tokens;
    let low = 0;
    let high = sizes.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sizes[middle]! < tokens) low = middle + 1;
      else high = middle;
    }
    return sizes[low]!;
  };
}

/**
 * With p stages p batches are in flight, each with a share of the sequences: until every sequence has had its step, the slowest stage
 * has run p times (or the one batch has gone through p stages where there is a single sequence).
 */
function pipelined(law: StepLaw, work: Readonly<StepWork>, padded: (tokens: number) => number): StepBreakdown {
  const stages = law.options.pipelineParallelSize;
  const batches = Math.max(1, Math.min(stages, work.sequences));
  const part: StepWork = {
    tokens: work.tokens / batches,
    sequences: work.sequences / batches,
    prefillTokens: work.prefillTokens / batches,
    prefillSequences: work.prefillSequences / batches,
    decodeContext: work.decodeContext / batches,
    prefillAttention: work.prefillAttention / batches,
    rows: work.rows / batches,
    transferTokens: work.transferTokens / batches,
  };
  const tokens = padded(Math.ceil(part.tokens));
  const one = stepBreakdown(law, part, { tokens, batchTokens: tokens });
  const scaled = Object.fromEntries(
    Object.entries(one).map(([key, value]) => [key, typeof value === 'number' ? value * stages : value]),
  );
  return scaled as unknown as StepBreakdown;
}

function uncertaintyOf(gpu: GpuSpec): string {
  const { stepTime, id } = gpu;
  if (stepTime?.fitted) return `fitted to a measured run on ${id}: +-5 % on its model, +-15 % on others`;
  if (stepTime) return 'roofline estimate with timed kernels, +-15 %';
  return isThroughputKnown(gpu) ? 'roofline estimate, +-25 %' : 'roofline estimate, throughput inferred, +-50 %';
}
