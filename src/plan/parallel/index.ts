// `--auto-parallel`: plans every layout that a number of GPUs allows, ranks those that fit by capacity, by latency and by what ranks
// send to each other, and keeps the others with the engine's own reason. Planning and the speed estimate are handed in.
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import { layerCount } from '../../engines/vllm/stage-layers.ts';
import { smallGib, thousands } from '../../numbers.ts';
import type { PlanRequest } from '../request.ts';
import { communicationOf } from './communication.ts';
import { enumerateLayouts, type LayoutSpace, layoutName } from './enumerate.ts';
import type { Layout, LayoutGoal, LayoutRow, LayoutsPlan, RejectedLayout } from './types.ts';

export interface Shape {
  concurrency: number;
  promptTokens: number;
  outputTokens: number;
}

/** Of one sequence alone, and with others beside it. */
export interface LayoutSpeed {
  ttftSeconds: number;
  tpotSeconds: number;
  loadedTpotSeconds: number;
  decode: { tokensPerSecond: number };
}

export interface AutoParallelInput {
  /** Its layout is replaced by every other one; its GPUs are taken from the front. */
  request: PlanRequest;
  goal: LayoutGoal;
  space: Pick<LayoutSpace, 'gpus' | 'dataParallel' | 'expertParallel' | 'contextParallel' | 'fixed'>;
  plan(request: PlanRequest): VllmPlanned;
  speed(input: { planned: VllmPlanned; request: PlanRequest; shape: Shape }): LayoutSpeed | undefined;
}

export interface AutoParallel extends LayoutsPlan {
  /** The layout of `chosen`. */
  best: Layout | undefined;
}

export function autoParallel(input: AutoParallelInput): AutoParallel {
  const { request, goal, space } = input;
  const first = input.plan(request);
  const experts = first.architecture.forward.moe !== undefined;
  const layers = layerCount({ architecture: first.architecture, spec: request.spec });
  const layouts = enumerateLayouts({ ...space, experts, layers });
  const context = request.context ?? first.plan.kvCache.maxModelLen;
  const shape = shapeOf(request, context);
  const rows: LayoutRow[] = [];
  const rejected: RejectedLayout[] = [];
  const named = new Map<string, Layout>();
  for (const layout of layouts) {
    const asked = { ...request, options: { ...request.options, ...layout } };
    const planned = input.plan(asked);
    const refusal = refusalOf(layoutName(layout), planned);
    if (refusal) rejected.push(refusal);
    else rows.push(rowOf(layout, planned, asked, { context, shape, speed: input.speed }));
    named.set(layoutName(layout), layout);
  }
  const ranked = sorted(rows, goal);
  const names = (by: LayoutGoal): string[] => sorted(rows, by).map(({ layout }) => layout);
  const chosen = ranked[0]?.layout ?? null;
  return {
    best: chosen === null ? undefined : named.get(chosen),
    gpus: space.gpus,
    goal,
    chosen,
    context,
    shape,
    ranked,
    rejected,
    byCapacity: names('capacity'),
    byLatency: sorted(
      rows.filter(({ requestSeconds }) => requestSeconds !== null),
      'latency',
    ).map(({ layout }) => layout),
    byCommunication: names('communication'),
  };
}

/** What latency is judged by: the requirement with a quarter of it written, at most 256 tokens; else a usual chat turn. */
function shapeOf({ context, concurrency = 1 }: PlanRequest, longest: number): Shape {
  const total = Math.min(context ?? 1024 + 256, longest);
  const outputTokens = Math.max(1, Math.min(256, Math.floor(total / 4)));
  return { concurrency, promptTokens: Math.max(1, total - outputTokens), outputTokens };
}

function refusalOf(layout: string, { plan }: VllmPlanned): RejectedLayout | undefined {
  const { verdict, workload } = plan;
  if (!verdict.fits) {
    const { shortfallBytes = 0, reason, engineError } = verdict;
    if (shortfallBytes > 0)
      return { layout, kind: 'memory', reason: `${smallGib(shortfallBytes)} short: ${reason}`, shortfallBytes };
    return { layout, kind: 'engine', reason: engineError ?? reason ?? 'the engine refuses it' };
  }
  if (!workload || workload.fits) return undefined;
  const { context, concurrency, maxConcurrencyAtContext } = workload;
  const held = `holds ${thousands(maxConcurrencyAtContext)} of ${thousands(concurrency)} sequences`;
  return { layout, kind: 'requirement', reason: `${held} of ${thousands(context)} tokens` };
}

function rowOf(
  layout: Layout,
  planned: VllmPlanned,
  request: PlanRequest,
  { context, shape, speed }: { context: number; shape: Shape; speed: AutoParallelInput['speed'] },
): LayoutRow {
  const { plan, resolved, architecture } = planned;
  const { tensorParallelSize: tp, pipelineParallelSize: pp, dataParallelSize: dp } = layout;
  const fast = speed({ planned, request, shape });
  const perToken = shape.concurrency > 1 ? fast?.loadedTpotSeconds : fast?.tpotSeconds;
  return {
    layout: layoutName(layout),
    tp,
    pp,
    dp,
    dcp: layout.decodeContextParallelSize,
    ep: layout.enableExpertParallel,
    gpus: tp * pp * dp,
    kvTokens: plan.kvCache.tokens * dp,
    sequences: planned.sequencesAt(Math.min(context, plan.kvCache.maxModelLen)) * dp,
    headroomBytes: plan.verdict.headroomBytes,
    communication: communicationOf({
      architecture,
      spec: request.spec,
      profile: request.profile,
      options: resolved,
    }),
    ttftSeconds: fast?.ttftSeconds ?? null,
    tpotSeconds: fast?.tpotSeconds ?? null,
    requestSeconds: fast ? fast.ttftSeconds + shape.outputTokens * perToken! : null,
    decodeTokensPerSecond: fast?.decode.tokensPerSecond ?? null,
  };
}

/** Equals are told apart by the other goals, then by fewer GPUs; the order of the list decides nothing. */
function sorted(rows: readonly LayoutRow[], goal: LayoutGoal): LayoutRow[] {
  const order: LayoutGoal[] = [goal, 'capacity', 'latency', 'communication'];
  return [...rows].sort((a, b) => {
    for (const by of order) {
      const difference = costOf(a, by) - costOf(b, by);
      if (Math.abs(difference) > 0 && !Number.isNaN(difference)) return difference;
    }
    return a.gpus - b.gpus || a.layout.localeCompare(b.layout);
  });
}

function costOf(row: LayoutRow, goal: LayoutGoal): number {
  switch (goal) {
    case 'capacity':
      return -row.kvTokens;
    case 'latency':
      return row.requestSeconds ?? Number.MAX_VALUE;
    case 'communication':
      return row.communication.bytesPerToken;
  }
}
