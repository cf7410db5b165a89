// One line of a comparison: everything but the GPU, the options that all lines share, and what `plan` is asked for a line and a GPU of it.
import type { ResolvedModel } from '../load/model.ts';
import type { PriceOverrides } from '../plan/price.ts';
import type { PlanRequest } from '../plan/request.ts';
import type { EngineEntry, GpuEntry } from './compare-lists.ts';
import type { PlanArguments } from './plan-request.ts';

/** One line of combinations: everything but the GPU. */
export interface CompareLine {
  model: string;
  engine: EngineEntry;
  quantization: string | undefined;
  kvCacheDtype: string | undefined;
  tp: number;
  pp: number;
  dp: number;
  context: number | undefined;
  concurrency: number | undefined;
  /** No layout is asked for: a box is used whole, by tensor parallelism. */
  whole?: boolean;
  /** Of the GPUs, those from one position to before another; absent: all. */
  only?: { from: number; to: number };
}

export interface CompareSetup {
  /** Options that all combinations share. */
  args: PlanArguments;
  gpus: readonly GpuEntry[];
  prices: PriceOverrides | undefined;
  /** Tokens of the answer within the context; the rest is the prompt. */
  outputTokens: number | undefined;
}

/** The line as the words of `plan`, without the GPU; the model was resolved once for all of them. */
export function argumentsOf(line: CompareLine, shared: PlanArguments, resolvedModel: ResolvedModel): PlanArguments {
  const { model, engine, quantization, kvCacheDtype, tp, pp, dp, context, concurrency } = line;
  const layout = { tensorParallelSize: tp, pipelineParallelSize: pp, dataParallelSize: dp };
  return {
    ...shared,
    given: {
      ...shared.given,
      ...(quantization === undefined ? {} : { quantization }),
      ...(kvCacheDtype === undefined ? {} : { kvCacheDtype }),
      // llama.cpp has no layouts: it is told its GPUs.
      ...(engine.id === 'vllm' ? layout : {}),
    },
    model,
    resolvedModel,
    engine: engine.ref,
    ...(context === undefined ? {} : { context }),
    ...(concurrency === undefined ? {} : { concurrency }),
  };
}

/** The plan of a resolved line on one of the GPUs. */
export function requestOn(base: Omit<PlanRequest, 'gpus'>, { gpus, nodes }: GpuEntry): PlanRequest {
  return { ...base, gpus, ...(nodes.length > 0 ? { nodes } : {}) };
}

/** A box is used whole where no layout is asked for. */
export function withLayoutFor(line: CompareLine, { count }: Pick<GpuEntry, 'count'>): CompareLine {
  return line.whole ? { ...line, whole: false, tp: count ?? 1 } : line;
}
