// One run of several models on the same GPUs, as plain data, so that it can be handed to a worker thread: physical memory, the policy
// by which it is shared, and for every model an engine with its workload. Where the figures come from is not known here.
import type { LoadingPolicy, SharingPolicy, WeightPlace } from '../../spec/sharing.ts';
import type { Run } from '../simulate.ts';

export interface SharedRun {
  policy: SharingPolicy;
  /** When weights come and go; absent: all models stay in memory. */
  loading?: LoadingPolicy;
  /** Bytes of each GPU that models may use in all: weights, contexts, activations and KV pages. */
  devices: readonly number[];
  models: readonly SharedModel[];
}

export interface SharedModel {
  id: string;
  /** Engine and workload. `setup.paged.numBlocks` is the slice (static), or what the model may ever hold: its virtual capacity. */
  run: Run;
  /** GPUs it runs on, by index; the same bytes on each. */
  devices: readonly number[];
  /** Bytes on each GPU beside KV: weights, and what the engine needs besides (context, activations, graphs). */
  weightsBytes: number;
  otherBytes: number;
  /** Of these, what its process holds while the weights are elsewhere, where the loading behaviour keeps it alive: context, graphs. */
  contextBytes: number;
  /** Taken with the weights, for those of the model that is fetched while this one computes; 0: nothing is fetched ahead then. */
  prefetchBytes: number;
  /** static: the KV bytes of its slice, on each GPU. */
  sliceBytes: number;
  /** Bytes of one block on one GPU, and the tensors (K and V of every layer) they are spread over: pages of a page id. */
  blockBytes: number;
  tensors: number;
  /** KV bytes on each GPU that it always keeps, and may take at most. */
  minBytes: number;
  maxBytes: number;
  /** Larger goes first where two want the same page, and is the last to lose one. */
  priority: number;
  weights: {
    place: WeightPlace;
    /** Bytes per second that copies from the host reach, over the links of all its GPUs together, and from disk. */
    hostRate: number;
    diskRate: number;
    /** Seconds from the start at which it is loaded unasked. */
    preloadAt: readonly number[];
  };
  /** Seconds of a request when it has the GPU alone: first token and each later one; and what counts as served well. */
  objective: { ttftSeconds: number | null; tpotSeconds: number | null; scale: number };
}
