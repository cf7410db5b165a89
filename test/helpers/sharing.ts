// Several small engines on GPUs of a few bytes: runs whose every figure can be worked out by hand. A block holds `blockSize` tokens and
// takes `blockBytes` on each GPU of its model; steps last half a second unless a test says otherwise.
import { resolveEngineRef } from '../../src/load/engine.ts';
import { schedulerRules } from '../../src/load/scheduler-rules.ts';
import type { PagedConfig } from '../../src/sim/paged/config.ts';
import type { SharedModel, SharedRun } from '../../src/sim/sharing/types.ts';
import type { SimRequest } from '../../src/sim/types.ts';
import type { SharingKind, SharingPolicy } from '../../src/spec/sharing.ts';

const rules = schedulerRules(resolveEngineRef('vllm@0.24.0').profile);

interface RequestShape {
  arrival?: number;
  prompt: number;
  output: number;
  /** Of its prompt, tokens that it has in common with others of its family. */
  shared?: number;
  family?: number;
  priority?: number;
}

export interface ModelShape {
  requests?: RequestShape[];
  concurrency?: number;
  devices?: number[];
  blockSize?: number;
  blockBytes?: number;
  tensors?: number;
  weights?: number;
  other?: number;
  context?: number;
  prefetch?: number;
  slice?: number;
  min?: number;
  max?: number;
  priority?: number;
  place?: SharedModel['weights']['place'];
  preloadAt?: number[];
  paged?: Partial<PagedConfig>;
  stepSeconds?: number;
}

const source = { name: '', summary: '', runs: false, sources: [] };
const noCost = { perPageId: 0, perPage: 0 };

const plain: { [Kind in SharingKind]: Extract<SharingPolicy, { kind: Kind }> } = {
  static: { ...source, id: 'static', kind: 'static', split: 'equal' },
  expand: {
    ...source,
    id: 'expand',
    kind: 'expand',
    pageBytes: 2,
    ratio: 0.1,
    minReservedPages: 0,
    maxReservedPages: 0,
    mapSeconds: noCost,
    unmapSeconds: noCost,
  },
  kvcached: {
    ...source,
    id: 'kvcached',
    kind: 'kvcached',
    pageBytes: 2,
    minReservedPages: 0,
    maxReservedPages: 0,
    gpuUtilization: 1,
    maxCachedTokens: null,
    allocation: 'best-fit',
    eviction: 'whole-page',
    mapSeconds: noCost,
    unmapSeconds: noCost,
  },
  muxserve: {
    ...source,
    id: 'muxserve',
    kind: 'muxserve',
    initialQuota: 'size',
    periodSeconds: 8,
    windowSteps: 500,
    takesAbove: 0.9,
    queueFactor: 1.1,
    takesShare: 0.1,
    leavesFree: 0.05,
  },
  oracle: { ...source, id: 'oracle', kind: 'oracle' },
};

/** A policy of a kind with pages of two bytes in each tensor, nothing reserved and no cost. */
export function policyOf<Kind extends SharingKind>(
  kind: Kind,
  changes: Partial<Extract<SharingPolicy, { kind: Kind }>> = {},
): Extract<SharingPolicy, { kind: Kind }> {
  return { ...plain[kind], ...changes };
}

/** By default a block is one byte in one tensor and holds four tokens. */
function modelOf(shape: ModelShape, index: number, poolBytes: number): SharedModel {
  const { blockSize = 4, blockBytes = 1, slice = 0, max = poolBytes, stepSeconds = 0.5, concurrency } = shape;
  const requests = (shape.requests ?? []).map((request, i) => requestOf(request, index, i));
  return {
    id: `model-${index}`,
    run: {
      workload: { requests, ...(concurrency === undefined ? {} : { concurrency }) },
      setup: {
        policy: 'paged',
        eviction: 'lru',
        seed: 0,
        paged: {
          numBlocks: Math.max(2, Math.floor(slice / blockBytes)),
          blockSize,
          groups: [{ type: 'full' }],
          maxNumSeqs: 8,
          maxNumBatchedTokens: 64,
          maxModelLen: 4096,
          policy: 'fcfs',
          longPrefillTokenThreshold: 0,
          chunkedPrefill: true,
          prefixCaching: false,
          reserveFullPrompt: true,
          ...shape.paged,
        },
        rules,
        cpuBlocks: 0,
        v0: {},
        nullBlock: true,
        replicas: 1,
        acceptanceRate: 0,
        bytesPerBlock: null,
        time: { kind: 'fixed', seconds: stepSeconds },
      },
    },
    devices: shape.devices ?? [0],
    weightsBytes: shape.weights ?? 0,
    otherBytes: shape.other ?? 0,
    contextBytes: shape.context ?? 0,
    prefetchBytes: shape.prefetch ?? 0,
    sliceBytes: slice,
    blockBytes,
    tensors: shape.tensors ?? 1,
    minBytes: shape.min ?? 0,
    maxBytes: max,
    priority: shape.priority ?? 0,
    weights: { place: shape.place ?? 'resident', hostRate: 1, diskRate: 0.5, preloadAt: shape.preloadAt ?? [] },
    objective: { ttftSeconds: null, tpotSeconds: null, scale: 5 },
  };
}

function requestOf(shape: RequestShape, model: number, index: number): SimRequest {
  const { arrival = 0, prompt, output, shared = 0, family = 0, priority } = shape;
  const first = 1_000_000 * (1 + model * 1000 + index);
  const common = Math.min(shared, prompt);
  const runs = [
    ...(common > 0 ? [10_000 * family, 10_000 * family + common] : []),
    ...(prompt > common ? [first, first + prompt - common] : []),
  ];
  return {
    id: `m${model}r${index}`,
    arrival,
    prompt: runs,
    promptTokens: prompt,
    outputTokens: output,
    maxTokens: output,
    outputBase: first + 500_000,
    ...(priority === undefined ? {} : { priority }),
  };
}

/** A run on GPUs of so many bytes each; models may take all of the smallest unless they say what is the most. */
export function sharedRun(
  policy: SharingPolicy,
  devices: number | readonly number[],
  shapes: readonly ModelShape[],
  loading?: SharedRun['loading'],
): SharedRun {
  const all = typeof devices === 'number' ? [devices] : devices;
  const models = shapes.map((shape, index) => modelOf(shape, index, Math.min(...all)));
  return { policy, devices: all, models, ...(loading ? { loading } : {}) };
}
