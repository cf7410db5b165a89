// `vram plan --auto-parallel` and `--placement`: a bundle of its own, loaded when asked for. Planning is handed in, so that what a
// command has worked out already is not worked out again.
import { inputError } from '../diagnostics.ts';
import { type FlagEntry, flagIndex } from '../engines/vllm/flags.ts';
import type { VllmPlanned } from '../engines/vllm/plan.ts';
import { autoParallel } from '../plan/parallel/index.ts';
import type { Layout, LayoutGoal, LayoutsPlan } from '../plan/parallel/types.ts';
import { layoutGoals } from '../plan/parallel/types.ts';
import type { PlacementPlan } from '../plan/placement/types.ts';
import { vllmPlacement } from '../plan/placement/vllm.ts';
import type { PlanRequest } from '../plan/request.ts';
import { estimateSpeed } from '../plan/speed/index.ts';
import type { EngineOptions } from '../spec/options.ts';

export { layoutsText } from '../render/layouts.ts';
export { placementText } from '../render/placement.ts';

/** More would take minutes: layouts grow with the divisors of every number up to it. */
const mostGpus = 64;

export interface LayoutChoice {
  request: PlanRequest;
  given: Partial<EngineOptions>;
  layouts: LayoutsPlan;
}

export interface ChoiceInput {
  request: PlanRequest;
  /** GPUs that were named. */
  count: number;
  given: Partial<EngineOptions>;
  /** As written after --auto-parallel; true: nothing was. */
  goal: string | true;
  flags: readonly FlagEntry[];
  plan(request: PlanRequest): VllmPlanned;
}

/** The request with the best layout in it; as it was where none fits. */
export function chooseLayout({ request, count, given, goal, flags, plan }: ChoiceInput): LayoutChoice {
  const asked = goalOf(goal);
  if (count > mostGpus) {
    throw inputError(
      'VRAM147',
      `--auto-parallel looks through layouts of at most ${mostGpus} GPUs, ${count} are given`,
      {
        hint: 'name fewer GPUs, or state the layout with --tp, --pp and --dp',
        path: '--auto-parallel',
      },
    );
  }
  const index = flagIndex(flags, request.release);
  const { best, ...layouts } = autoParallel({
    request,
    goal: asked,
    space: {
      gpus: count,
      dataParallel: index.has('--data-parallel-size'),
      expertParallel: index.has('--enable-expert-parallel'),
      contextParallel: index.has('--decode-context-parallel-size'),
      fixed: fixedSizes(given),
    },
    plan,
    speed: estimateSpeed,
  });
  if (!best) return { request, given, layouts };
  return {
    request: { ...request, options: { ...request.options, ...best } },
    given: { ...given, ...best },
    layouts,
  };
}

export function placementPlan(
  request: PlanRequest,
  plan: (request: PlanRequest) => VllmPlanned,
  expand: (spec: PlanRequest['spec']) => VllmPlanned['architecture'],
): PlacementPlan {
  return { ranks: vllmPlacement({ request, planned: plan(request) }, expand) };
}

function goalOf(goal: string | true): LayoutGoal {
  if (goal === true) return 'capacity';
  const found = layoutGoals.find((name) => name === goal);
  if (found) return found;
  throw inputError('VRAM148', `--auto-parallel ranks by ${layoutGoals.join(', ')}, not by "${goal}"`, {
    hint: 'e.g. --auto-parallel=latency',
    path: '--auto-parallel',
  });
}

/** Sizes of the layout that the user states stay. */
function fixedSizes(given: Partial<EngineOptions>): Partial<Layout> {
  const keys = [
    'tensorParallelSize',
    'pipelineParallelSize',
    'dataParallelSize',
    'decodeContextParallelSize',
    'enableExpertParallel',
  ] as const;
  return Object.fromEntries(keys.flatMap((key) => (given[key] === undefined ? [] : [[key, given[key]]])));
}
