// What several models on the same GPUs get under each policy: the `result` of `vram plan --pool`, and what is handed in. Bytes of a model
// are over all its GPUs; `gpus` has them GPU by GPU.
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import type { SharingKind } from '../../spec/sharing.ts';
import type { Bytes, Tokens } from '../../units.ts';
import type { PlanRequest } from '../request.ts';
import type { BudgetItem, Confidence, FlagSuggestion } from '../types.ts';
import type { AllocatorGpu } from './allocator-pool.ts';
import type { GpuNeeds } from './needs.ts';

/** Mean load of a model, from its workload. */
export interface MeanLoad {
  /** null: a closed loop of `concurrency`, or everything at once. */
  requestsPerSecond: number | null;
  concurrency: number | null;
  requests: number;
  promptTokens: number;
  outputTokens: number;
}

/** One model of a pool with every reference resolved. */
export interface PoolMember {
  id: string;
  /** On its own GPUs, in rank order; without a utilization of its own. */
  request: PlanRequest;
  /** Index in the pool of each of them. */
  devices: readonly number[];
  /** The utilization that its options state. */
  utilization?: number;
  /** KV cache over all its GPUs. */
  minBytes: Bytes;
  maxBytes: Bytes | null;
  /** Weights in common with others: whose (the member that counts them), and which part; absent: its own. */
  shared: readonly { holder: string; part?: string }[];
  load?: MeanLoad;
}

export interface PoolInput {
  gpus: readonly GpuSpec[];
  members: readonly PoolMember[];
  /** Share of each GPU for all engines together; absent: what the releases use for one. */
  utilization?: number;
  /** Weights come and go: models in memory at once at most (Infinity: as many as fit); absent: all stay. */
  atOnce?: number;
  /** Processes live while their weights are elsewhere: their contexts and graphs stay on the GPU. */
  keepsProcesses?: boolean;
  plan(request: PlanRequest): VllmPlanned;
}

/** What a page of a mapping policy holds. */
export interface PageId {
  /** One physical page in every tensor. */
  bytes: Bytes;
  pageBytes: Bytes;
  tensors: number;
  blocks: number;
  tokens: Tokens;
}

export interface PoolModelPlan {
  id: string;
  devices: number[];
  /** Weights with adapter slots; 0 for what another model of the pool counts. */
  weightsBytes: Bytes;
  /** CUDA context, communication and what else its process holds outside PyTorch. */
  contextBytes: Bytes;
  /** Activations, CUDA graphs and buffers. */
  activationBytes: Bytes;
  /** The slice, or what it keeps whatever the others do. */
  kvCacheBytes: Bytes;
  /** The most that it can hold: as much as the slice, or what the policy lets it take while the others keep their minimum. */
  mostKvBytes: Bytes;
  fits: boolean;
  reason: string | null;
  shortfallBytes?: Bytes;
  /** Blocks and tokens of `mostKvBytes`, as the engine prints them; sequences of the full length. */
  numBlocks: number;
  kvTokens: Tokens;
  maxConcurrency: number;
  maxModelLen: Tokens;
  /** Tokens in what it keeps whatever the others do. */
  guaranteedTokens: Tokens;
  /** Static policies: the flag, and what is free on each GPU as it starts (null: all of it). */
  utilization?: number;
  freeMemoryBytes?: Bytes[] | null;
  page?: PageId;
  items: { gpu: number; id: BudgetItem['id']; bytes: Bytes; confidence: Confidence; formula: string; source: string }[];
  flags?: FlagSuggestion[];
  command?: string;
}

export interface PoolGpuPlan {
  gpu: number;
  name: string;
  totalBytes: Bytes;
  /** By model, in the order of `models`. */
  usedBytes: { id: string; weightsBytes: Bytes; contextBytes: Bytes; activationBytes: Bytes; kvCacheBytes: Bytes }[];
  sharedBytes: Bytes;
  /** Of nobody: the margin of the policy, what rounding leaves. */
  freeBytes: number;
  /** Page ids of the largest model that the shared part and all minima hold. */
  poolBytes: Bytes;
}

export interface SharedBudget {
  policy: string;
  kind: SharingKind;
  name: string;
  summary: string;
  /** False: no release of an engine does it. */
  runs: boolean;
  /** Share of a GPU that everything on it may use. */
  gpuUtilization: number;
  /** All models run at once. */
  fits: boolean;
  reason: string | null;
  shortfallBytes?: Bytes;
  /** It does not fit at once, but every model fits alone and weights are loaded on demand. */
  takesTurns: boolean;
  models: PoolModelPlan[];
  gpus: PoolGpuPlan[];
  /** For whoever needs it, beside what each keeps. */
  sharedBytes: Bytes;
  /** KV memory of all models together. */
  kvBytes: Bytes;
  /** What sharing adds against the static split that is compared with. */
  adds?: SharingGain;
  figures: { figure: string; formula: string; source: string; confidence: Confidence }[];
}

export interface SharingGain {
  against: string;
  /** KV memory of all slices together, and of the pool. */
  slicesBytes: Bytes;
  poolBytes: Bytes;
  models: { id: string; sliceTokens: Tokens; tokens: Tokens; factor: number | null }[];
}

/** An engine as a policy starts it, for whoever runs it. */
export interface EngineStart {
  id: string;
  request: PlanRequest;
  planned: VllmPlanned;
  gpus: readonly GpuNeeds[];
  /** Blocks that it may ever hold. */
  numBlocks: number;
  /** KV bytes on each GPU: what the file says that it keeps, and the most that it may take; both the slice under a static policy. */
  minBytes: Bytes;
  maxBytes: Bytes;
  /** Bytes of a block on one GPU, and the tensors that they are spread over. */
  blockBytes: Bytes;
  tensors: number;
}

/** Weights that several models have in common, counted once. */
export interface CommonWeights {
  holder: string;
  models: string[];
  part: string | null;
  /** Saved: what the others would load again. */
  savedBytes: Bytes;
}

export interface PoolPlan {
  policy: string;
  policies: SharedBudget[];
  common: CommonWeights[];
  /** Adapters on the weights of a model. */
  adapters: { id: string; adapters: number; bytes: Bytes }[];
  /** --allocator: GPUs that several models share. */
  allocator?: AllocatorGpu[];
}
