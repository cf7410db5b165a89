// Several models on the same GPUs: what a pool file states, and the policies by which they share memory, as data. A policy is a preset
// (presets/sharing/*.yaml): how the KV memory is handed out, in which pieces, at what cost. Words follow the systems they come from.

/** How models share the KV memory. Each kind is one piece of code (sim/sharing/); its parameters are the preset's. */
export type SharingPolicy = StaticSharing | ExpandSharing | KvcachedSharing | MuxserveSharing | OracleSharing;

interface SharingCommon {
  id: string;
  name: string;
  /** One sentence: who gives memory to whom, and when. */
  summary: string;
  /** False where no release of any engine does it: a bound, or a proposal. */
  runs: boolean;
  sources: readonly string[];
  notes?: readonly string[];
}

/** A fixed slice for the model's whole life: what engines with split gpu_memory_utilization do. */
export interface StaticSharing extends SharingCommon {
  kind: 'static';
  /** equal: the same utilization; weights: by bytes of weights; load: KV memory by mean load (tokens x bytes per token). */
  split: 'equal' | 'weights' | 'load';
}

/** What mapping costs: seconds for a page id (all layers, K and V), and for each of its pages. */
export interface MapCost {
  perPageId: number;
  perPage: number;
}

/** Virtual pages reserved once; physical ones mapped and unmapped at step boundaries, on the signal of the queues. */
export interface ExpandSharing extends SharingCommon {
  kind: 'expand';
  pageBytes: number;
  /** Grow when swapped > ratio x max(1, running). */
  ratio: number;
  /** Mapped and empty pages that a model keeps at most before it gives one back, and pre-maps up to. */
  minReservedPages: number;
  maxReservedPages: number;
  mapSeconds: MapCost;
  unmapSeconds: MapCost;
}

/** Pages mapped on demand, kept mapped for a while, given back when empty. */
export interface KvcachedSharing extends SharingCommon {
  kind: 'kvcached';
  pageBytes: number;
  minReservedPages: number;
  maxReservedPages: number;
  /** Share of the GPU's total that everything on it may use; the rest stays free, once for all engines. */
  gpuUtilization: number;
  /** Cached tokens that nobody uses, at most, for each model; looked at when blocks are freed. null: no limit. */
  maxCachedTokens: number | null;
  /** The partly used page that a block comes from: where the wanted run fits best (else the emptiest), or the one touched last. */
  allocation: 'best-fit' | 'last-touched';
  /** Cached blocks above the limit: pages that can be emptied whole first, or the oldest. Blocks that make room are the oldest. */
  eviction: 'whole-page' | 'lru';
  mapSeconds: MapCost;
  unmapSeconds: MapCost;
}

/** Blocks of one attention head in one pool, with a quota a model that moves from idle to busy models. */
export interface MuxserveSharing extends SharingCommon {
  kind: 'muxserve';
  /** Quotas at the start: by arrival rate times bytes of a token, or by bytes of a token alone. */
  initialQuota: 'rate' | 'size';
  /** Seconds between two adaptations of the quotas. */
  periodSeconds: number;
  /** Decode steps over which use is averaged: mean sequences in a step over those that the quota holds. */
  windowSteps: number;
  /** A model takes when its use is this share of its quota or more, and gives below that share. */
  takesAbove: number;
  /** It takes only with that many sequences (waiting and running) over its mean use; then this share of the mean, at least one. */
  queueFactor: number;
  takesShare: number;
  /** Share of its quota that a giver keeps above its use; at least one sequence is offered, and taken in proportion to the offers. */
  leavesFree: number;
}

/** One pool, single blocks, no cost: the bound. */
interface OracleSharing extends SharingCommon {
  kind: 'oracle';
}

/** In the order in which they are shown. */
export const sharingKinds = ['static', 'expand', 'kvcached', 'muxserve', 'oracle'] as const;
export type SharingKind = SharingPolicy['kind'];

/** Where a model's weights are before anybody asks for it. */
export const weightPlaces = ['resident', 'host', 'disk'] as const;
export type WeightPlace = (typeof weightPlaces)[number];

/**
 * Who goes when room is needed: nobody; an idle model, the least recently used or the first in a fixed order; or, at token level, the
 * one that has computed longest, busy or not, its KV cache with it.
 */
export const unloadings = ['never', 'idle-lru', 'idle-fixed', 'busy'] as const;

/** When weights come and go: a preset (presets/loading/*.yaml) or the fields of one. */
export interface LoadingPolicy {
  id: string;
  name: string;
  summary: string;
  /** Seconds after its last request before an idle model is unloaded; null: stays until somebody needs the room. */
  keepAliveSeconds: number | null;
  /** Models in memory at once, at most; null: as many as fit. */
  maxLoaded: number | null;
  /** Whether that many are meant for each GPU of the run. */
  maxLoadedPerGpu: boolean;
  unloads: (typeof unloadings)[number];
  /** Where nobody is idle: the one that is to go takes no new requests until it is. */
  drains: boolean;
  /** busy: how long a model computes at least before it is taken off. */
  quantumSeconds: number | null;
  /** Seconds that a start takes beside moving the weights (process, graph capture), and a wake-up from host memory. */
  startSeconds: { disk: number; host: number };
  /** Seconds until the memory of an unloaded model is free, beside moving anything. */
  unloadSeconds: number;
  /** Weights are copied to the host when a model is unloaded; otherwise they are simply dropped. */
  savesWeights: boolean;
  /** Share of the link's rate that weights are moved at, from the host. */
  linkShare: number;
  /** Bytes per second at most by the loader itself, wherever the weights are (a thread that copies); null: the link decides. */
  loaderRate: number | null;
  /** Bytes per second from disk, where the file does not say. */
  diskRate: number;
  /** Host memory for weights that are not on a GPU, where the file does not say; null: all have room. */
  hostMemoryBytes: number | null;
  /** Share of a load that hides behind the computing of others (prefetch). */
  prefetch: number;
  /** What stays on the GPU of an unloaded model, beside nothing: its CUDA context. */
  keepsContext: boolean;
  sources: readonly string[];
  notes?: readonly string[];
}

/** What a request has to hold to count as served well; seconds. Where neither is given: slower than alone by `scale` at most. */
export interface PoolObjective {
  ttftSeconds?: number;
  tpotSeconds?: number;
  scale?: number;
}
