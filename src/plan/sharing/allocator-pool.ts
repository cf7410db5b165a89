// The allocator view of a pool: for each GPU that several models share, what each allocator makes of their turnover, and up to which
// share of the GPU no load is refused. Engines with a process each never come to this; it is the question of a process that loads and
// unloads models itself, and of whether that one needs a buffer of its own.
import type { AllocatorKind } from '../../sim/cuda-allocator/index.ts';
import { sum } from '../../units.ts';
import { type AllocatorModel, type AllocatorView, allocatorView } from './allocator.ts';
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
}

export type AllocatorResult = Omit<AllocatorView, 'moments'> & {
  /**
   * Up to which share, in steps of 1 % from 70 %, the schedule is served without a refusal, and the KV cache of one model at it;
   * null: not even at 70 %.
   */
  usable: { share: number; kvBytes: number } | null;
};

/** GPUs with one model on them are left out: nothing comes or goes there. */
export function poolAllocators(input: PoolInput): AllocatorGpu[] {
  const { needs } = needsOf(input);
  return input.gpus.flatMap((gpu, index) => {
    const here = needsOn(needs, index);
    if (here.length < 2) return [];
    const subject = subjectOf(input, index, here);
    const share = input.utilization ?? releaseUtilization(here.map((one) => one.needs));
    const at = turnover(subject, share);
    const views = allocatorView(at);
    return [
      {
        gpu: index,
        name: gpu.name,
        deviceBytes: subject.deviceBytes,
        maxLoaded: at.maxLoaded,
        share,
        models: at.models.map(({ id, tensors, kvTensors: cache, steps }) => ({
          id,
          tensors: tensors.length,
          weightsBytes: sum(tensors.map(({ bytes }) => bytes)),
          kvBytes: sum(cache),
          stepBytes: Math.max(0, ...steps.map((step) => sum(step))),
        })),
        events: at.schedule.length,
        loads: at.schedule.filter(({ kind }) => kind === 'load').length,
        allocators: views.map(({ moments: _, ...view }) => ({ ...view, usable: usableShare(subject, view.kind) })),
      },
    ];
  });
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

/** As many models at once as leave room for a KV cache, each with the same KV memory, so that any of these sets stays within the share. */
function turnover(
  { members, deviceBytes, atOnce }: Subject,
  share: number,
): Parameters<typeof allocatorView>[0] & { maxLoaded: number } {
  const weights = members.map(({ model }) => sum(model.tensors.map(({ bytes }) => bytes))).sort((a, b) => b - a);
  const step = Math.max(0, ...members.flatMap(({ model }) => model.steps.map((sizes) => sum(sizes))));
  const room = (count: number): number => share * deviceBytes - step - sum(weights.slice(0, count));
  let maxLoaded = atOnce;
  while (maxLoaded > 1 && room(maxLoaded) <= 0) maxLoaded--;
  const kvBytes = Math.max(0, Math.floor(room(maxLoaded) / maxLoaded));
  const models = members.map(({ model, cacheOf }) => ({ ...model, kvTensors: cacheOf(kvBytes) }));
  return { deviceBytes, models, maxLoaded, schedule: defaultSchedule({ models, deviceBytes, maxLoaded }) };
}

/** Whether a load is refused hangs on how pieces happen to lie, so a share counts only where every smaller one is served too. */
function usableShare(subject: Subject, kind: AllocatorKind): AllocatorResult['usable'] {
  let usable: AllocatorResult['usable'] = null;
  for (let percent = leastPercent; percent <= 100; percent++) {
    const at = turnover(subject, percent / 100);
    const [view] = allocatorView(at, [kind]);
    if (view!.failures.length > 0) break;
    usable = { share: percent / 100, kvBytes: Math.min(...at.models.map((model) => sum(model.kvTensors))) };
  }
  return usable;
}
