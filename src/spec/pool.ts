// A pool file: several models on the same GPUs, each with the engine and the workload that it has, and the policies by which they share
// the memory. Plain data, sizes in bytes; references (models, GPUs, policies, workloads) are still names here.
import type { Json } from './model.ts';
import type { LoadingPolicy, PoolObjective, WeightPlace } from './sharing.ts';
import type { SimulationOptions } from './simulation-options.ts';

export interface PoolSpec {
  /** As the file was called, for messages. */
  file: string;
  name: string;
  /** As --gpu and --gpu-memory take them. */
  gpu: string;
  gpuMemory?: string;
  /** The engine of every model that names none. */
  engine?: string;
  /** Share of each GPU that all engines together may use; absent: what the engine's release uses for one. */
  gpuMemoryUtilization?: number;
  /** Ids of policies, the chosen one first; never empty. */
  policies: readonly string[];
  /** Shown beside the first: every policy there is, or the others of `policies` and these. */
  compare: 'all' | readonly string[];
  /** By policy: parameters in place of the preset's. */
  policyOptions: Readonly<Record<string, Readonly<Record<string, number | string | null>>>>;
  /** When weights come and go: behaviours to run every policy with, the chosen one first; none: as the models' weights need it. */
  loadings: readonly PoolLoading[];
  hostMemoryBytes?: number;
  /** Bytes per second. */
  diskRate?: number;
  seed: number;
  models: readonly PoolModel[];
}

/** A loading behaviour by its id, with fields in place of its own; `id`: what it is called here. */
export type PoolLoading = { preset?: string; id?: string } & Partial<
  Omit<LoadingPolicy, 'id' | 'name' | 'summary' | 'sources' | 'notes'>
>;

export interface PoolModel {
  id: string;
  /** As --model and --engine take them. */
  model: string;
  engine?: string;
  quantization?: string;
  /** The engine's (and its scheduler's) own option names without dashes. */
  options: Readonly<Record<string, Json>>;
  /** Indexes of its GPUs; absent: where most room is left, the largest models first. */
  devices?: readonly number[];
  workload?: PoolWorkload;
  priority: number;
  /** KV cache that it always keeps, and may take at most; bytes over all its GPUs. */
  minBytes: number;
  maxBytes: number | null;
  objective: PoolObjective;
  weights: WeightPlace;
  preloadAt: readonly number[];
  /** Weights that it has in common with other models of the file. */
  shares: readonly SharedWeights[];
  /** Adapters that are served on its weights. */
  adapters: number;
}

/** All weights, or one part of the model (vision, audio, text, ...), shared with another model or under a name that several give. */
export interface SharedWeights {
  with: string;
  part?: string;
}

/** What `vram simulate` takes to shape a workload, under the same names. */
type WorkloadShape =
  | 'workloadModel'
  | 'rate'
  | 'concurrency'
  | 'seed'
  | 'limit'
  | 'durationSeconds'
  | 'repeat'
  | 'samples'
  | 'beamWidth'
  | 'thinkSeconds';

export interface PoolWorkload extends Pick<SimulationOptions, WorkloadShape> {
  /** As --workload takes it. */
  ref: string;
  /** Arrivals are moved by so many seconds and wrapped at the end of the trace. */
  shiftSeconds?: number;
}
