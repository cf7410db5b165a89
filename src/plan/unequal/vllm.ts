// Unequal GPUs in one vLLM server. Tensor parallelism gives every GPU of a group the same share, and the cache has as many blocks as the
// poorest GPU can hold (vllm/v1/core/kv_cache_utils.py, minimum over workers), so memory of the larger stays unused. A pipeline can be
// cut by memory instead: VLLM_PP_LAYER_PARTITION (vllm/distributed/utils.py get_pp_indices). Every cut that is offered was planned.
import type { Diagnostic } from '../../diagnostics.ts';
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import { layerCount } from '../../engines/vllm/stage-layers.ts';
import { smallGib, thousands } from '../../numbers.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import type { PlanRequest } from '../request.ts';
import type { Suggestion } from '../types.ts';
import { isUnequal } from './is-unequal.ts';
import { bestShares, proportional, type Worth } from './shares.ts';

export interface UnequalInput {
  request: PlanRequest;
  planned: VllmPlanned;
  plan: (request: PlanRequest) => VllmPlanned;
}

/** A way to use all of them, with the request that it is. */
export interface UnequalWay {
  suggestion: Suggestion;
  request: PlanRequest;
}

const variable = 'VLLM_PP_LAYER_PARTITION';

/** The cut of the pipeline that holds the most tokens, where it holds more than what was asked for. */
export function unequalWay(input: UnequalInput): UnequalWay | undefined {
  const { request, planned } = input;
  const { gpus, options } = request;
  if (!isUnequal(gpus) || options.dataParallelSize > 1 || options.env?.[variable] !== undefined) return undefined;
  const pipeline = options.pipelineParallelSize > 1;
  const tp = pipeline ? options.tensorParallelSize : 1;
  const stages = pipeline ? options.pipelineParallelSize : gpus.length;
  if (stages < 2 || stages * tp > gpus.length) return undefined;
  const found = solvePartition({ ...input, tp, stages });
  if (!found || found.planned.plan.kvCache.tokens <= capacityOf(planned)) return undefined;
  return { suggestion: suggestionOf(input, found, { tp, stages }), request: found.request };
}

interface Partition {
  sizes: number[];
  request: PlanRequest;
  planned: VllmPlanned;
}

/** Undefined where no cut of so many stages works. */
export function solvePartition({
  request,
  planned,
  plan,
  tp,
  stages,
}: UnequalInput & { tp: number; stages: number }): Partition | undefined {
  const layers = layerCount({ architecture: planned.architecture, spec: request.spec });
  if (layers < stages) return undefined;
  const requestOf = (sizes: readonly number[]): PlanRequest => ({
    ...request,
    options: {
      ...request.options,
      tensorParallelSize: tp,
      pipelineParallelSize: stages,
      env: { ...request.options.env, [variable]: sizes.join(',') },
    },
  });
  const worth = (sizes: readonly number[]): Worth => {
    const { plan: cut, ranks } = plan(requestOf(sizes));
    const works = cut.verdict.fits && cut.workload?.fits !== false;
    const rooms = sizes.map((size, stage) => roomOf(ranks, stage) / size);
    return { score: works ? cut.kvCache.tokens : cut.verdict.fits ? cut.kvCache.tokens - 1e12 : -1e15, rooms };
  };
  const memory = Array.from({ length: stages }, (_, stage) =>
    Math.min(...request.gpus.slice(stage * tp, (stage + 1) * tp).map(({ cudaTotalBytes }) => cudaTotalBytes)),
  );
  const { shares, worth: reached } = bestShares({
    total: layers,
    start: proportional(layers, memory, 1),
    least: 1,
    worth,
  });
  if (reached.score < 0) return undefined;
  const best = requestOf(shares);
  return { sizes: shares, request: best, planned: plan(best) };
}

/** What the poorest GPU of a stage has for the cache. */
function roomOf(ranks: VllmPlanned['ranks'], stage: number): number {
  return Math.min(...ranks.filter((rank) => rank.stage === stage).map(({ budget }) => budget.availableBytes));
}

/** Tokens of the plan as it was asked for; a plan that does not work holds none. */
function capacityOf({ plan }: VllmPlanned): number {
  return plan.verdict.fits && plan.workload?.fits !== false ? plan.kvCache.tokens : 0;
}

function suggestionOf(
  { request, planned }: UnequalInput,
  { sizes, planned: cut }: Partition,
  { tp, stages }: { tp: number; stages: number },
): Suggestion {
  const { pipelineParallelSize, tensorParallelSize } = request.options;
  const flag = (name: string, value: number, because: string) => ({ flag: name, value: String(value), because });
  const flags = [
    ...(pipelineParallelSize === stages
      ? []
      : [
          flag(
            '--pipeline-parallel-size',
            stages,
            'one stage a GPU: stages may be unequal, shares of a tensor may not',
          ),
        ]),
    ...(tensorParallelSize === tp ? [] : [flag('--tensor-parallel-size', tp, 'shares would be those of the smallest')]),
  ];
  const environment = { [variable]: sizes.join(',') };
  const words = [...flags.map(({ flag: name, value }) => `${name} ${value}`), `${variable}=${sizes.join(',')}`];
  const before = capacityOf(planned);
  const { kvCache, verdict } = cut.plan;
  return {
    change: `a pipeline cut by memory (${words.join(' ')})`,
    effect: `then ${thousands(kvCache.tokens)} tokens${before > 0 ? ` instead of ${thousands(before)}` : ''}; ${smallGib(verdict.headroomBytes)} to spare`,
    flags,
    environment,
  };
}

/** What tensor parallelism leaves unused on the larger GPUs of a group. */
export function tensorParallelNote({ request, planned }: UnequalInput): Diagnostic[] {
  const { tensorParallelSize: tp } = request.options;
  if (tp < 2 || !isUnequal(request.gpus)) return [];
  const stages = new Map<number, VllmPlanned['ranks'][number][]>();
  for (const rank of planned.ranks) stages.set(rank.stage, [...(stages.get(rank.stage) ?? []), rank]);
  let unused = 0;
  let poorest: GpuSpec | undefined;
  for (const ranks of stages.values()) {
    const least = ranks.reduce((a, b) => (b.budget.availableBytes < a.budget.availableBytes ? b : a));
    for (const { budget } of ranks) unused += Math.max(0, budget.availableBytes - least.budget.availableBytes);
    if (ranks.some(({ gpu }) => gpu.id !== least.gpu.id)) poorest ??= least.gpu;
  }
  if (!poorest || unused <= 0) return [];
  return [
    {
      severity: 'warning',
      code: 'VRAM516',
      message: `tensor parallelism gives every GPU the share of the smallest: ${smallGib(unused)} stay unused beside ${poorest.id}`,
      hint: 'a pipeline can be cut by memory (--pipeline-parallel-size)',
      path: '--tensor-parallel-size',
    },
  ];
}
