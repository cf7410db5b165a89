// The allocator view of a pool: for each GPU that several models share, what each allocator makes of their turnover, and up to which
// share of the GPU no load is refused. Engines with a process each never come to this; it is the question of a process that loads and
// unloads models itself, and of whether that one needs a buffer of its own.
import type { AllocatorKind } from '../../sim/cuda-allocator/index.ts';
import { sum } from '../../units.ts';
import { type AllocatorModel, type AllocatorRequest, type AllocatorView, allocatorView } from './allocator.ts';
import { allocatorModel, kvTensors } from './allocator-model.ts';
import { defaultSchedule } from './allocator-schedule.ts';
import { type Needs, needsOf, needsOn } from './needs.ts';
import { releaseUtilization } from './split.ts';
import type { PoolInput } from './types.ts';

const leastPercent = 70;

export interface AllocatorGpu {
  gpu: number;
  name: string;
  /** What the process may allocate: what CUDA reports less one context. */
  deviceBytes: number;
  /** Models in memory at once at most, and the share of deviceBytes that any so many of them fill with weights, KV cache and one step. */
  maxLoaded: number;
  share: number;
  models: { id: string; tensors: number; weightsBytes: number; kvBytes: number; stepBytes: number }[];
  /** Length of the schedule, and how often a model is loaded in it. */
  events: number;
  loads: number;
  allocators: AllocatorResult[];
  /** expandable_segments:True against the default: less reserved at the peak, fewer refusals, more KV cache a model where both can be filled. */
  expandableSaves: { peakReservedBytes: number; failures: number; kvBytes: number | null };
}

export type AllocatorResult = Omit<AllocatorView, 'moments'> & {
  /**
   * Up to which share, in steps of 1 % from 70 %, the schedule is served without a refusal, and the KV cache of one model at it;
   * null: not even at 70 %.
   */
  usable: { share: number; kvBytes: number } | null;
};

/** GPUs with one model on them are left out: nothing comes or goes there; so are models that the release refuses. */
export function poolAllocators(input: PoolInput): AllocatorGpu[] {
  const { needs } = needsOf(input);
  return input.gpus.flatMap((gpu, index) => {
    const here = needsOn(needs, index).filter((one) => isLoadable(one.needs));
    if (here.length < 2) return [];
    const subject = subjectOf(input, index, here);
    const share = input.utilization ?? releaseUtilization(here.map((one) => one.needs));
    const maxLoaded = mostAtOnce(subject, share);
    const at = turnover(subject, share, maxLoaded);
    const allocators = allocatorView(at).map(({ moments: _, ...view }) => ({
      ...view,
      usable: usableShare(subject, view.kind, maxLoaded),
    }));
    return [
      {
        gpu: index,
        name: gpu.name,
        deviceBytes: subject.deviceBytes,
        maxLoaded,
        share,
        models: at.models.map((model) => ({
          id: model.id,
          tensors: model.tensors.length,
          weightsBytes: weightBytes(model),
          kvBytes: sum(model.kvTensors),
          stepBytes: stepBytes(model),
        })),
        events: at.schedule.length,
        loads: at.schedule.filter(({ kind }) => kind === 'load').length,
        allocators,
        expandableSaves: saves(allocators),
      },
    ];
  });
}

function saves(results: readonly AllocatorResult[]): AllocatorGpu['expandableSaves'] {
  const [caching, expandable] = (['caching', 'expandable'] as const).map(
    (kind) => results.find((one) => one.kind === kind)!,
  );
  return {
    peakReservedBytes: caching!.peakReservedBytes - expandable!.peakReservedBytes,
    failures: caching!.failures.length - expandable!.failures.length,
    kvBytes: caching!.usable && expandable!.usable ? expandable!.usable.kvBytes - caching!.usable.kvBytes : null,
  };
}

/** The release has no weights to show of a model that it refuses. */
function isLoadable({ alone }: Needs): boolean {
  return alone.plan.devices.some(({ weights }) => weights.tensorBytes > 0);
}

interface Subject {
  deviceBytes: number;
  /** Models without a KV cache, and what makes one of so many bytes. */
  members: { model: AllocatorModel; cacheOf: (bytes: number) => number[] }[];
  atOnce: number;
}

function subjectOf({ gpus, atOnce }: PoolInput, index: number, here: ReturnType<typeof needsOn>): Subject {
  const contexts = here.map(({ here: { contextBytes } }) => contextBytes);
  return {
    deviceBytes: Math.max(0, Math.floor(gpus[index]!.cudaTotalBytes - Math.max(...contexts))),
    members: here.map(({ needs }) => memberOf(needs, index)),
    atOnce: Math.max(1, Math.min(atOnce ?? here.length - 1, here.length - 1)),
  };
}

function memberOf({ member, alone }: Needs, index: number): Subject['members'][number] {
  const rank = Math.max(0, member.devices.indexOf(index));
  const { id, request } = member;
  return {
    model: allocatorModel({ id, request, planned: alone, kvBytes: 0, rank }),
    cacheOf: (bytes) => kvTensors(alone, bytes, rank),
  };
}

/** As many models at once as leave room for a KV cache. */
function mostAtOnce(subject: Subject, share: number): number {
  let count = subject.atOnce;
  while (count > 1 && roomBytes(subject, share, count) <= 0) count--;
  return count;
}

/** Every model gets the same KV memory, so that any `maxLoaded` of them stay within the share. */
function turnover(subject: Subject, share: number, maxLoaded: number): AllocatorRequest {
  const { members, deviceBytes } = subject;
  const kvBytes = Math.max(0, Math.floor(roomBytes(subject, share, maxLoaded) / maxLoaded));
  const models = members.map(({ model, cacheOf }) => ({ ...model, kvTensors: cacheOf(kvBytes) }));
  return { deviceBytes, models, schedule: defaultSchedule({ models, deviceBytes, maxLoaded }) };
}

/** What the largest `count` models and a step leave of the share. */
function roomBytes({ members, deviceBytes }: Subject, share: number, count: number): number {
  const weights = members.map(({ model }) => weightBytes(model)).sort((a, b) => b - a);
  return share * deviceBytes - Math.max(...members.map(({ model }) => stepBytes(model))) - sum(weights.slice(0, count));
}

function weightBytes({ tensors }: AllocatorModel): number {
  return sum(tensors.map(({ bytes }) => bytes));
}

function stepBytes({ steps }: AllocatorModel): number {
  return Math.max(0, ...steps.map((step) => sum(step)));
}

/** Whether a load is refused hangs on how pieces happen to lie, so a share counts only where every smaller one is served too. */
function usableShare(subject: Subject, kind: AllocatorKind, maxLoaded: number): AllocatorResult['usable'] {
  let usable: AllocatorResult['usable'] = null;
  for (let percent = leastPercent; percent <= 100; percent++) {
    const at = turnover(subject, percent / 100, maxLoaded);
    const [view] = allocatorView(at, [kind]);
    if (view!.failures.length > 0) break;
    usable = { share: percent / 100, kvBytes: Math.min(...at.models.map((model) => sum(model.kvTensors))) };
  }
  return usable;
}
