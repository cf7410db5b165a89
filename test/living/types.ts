// What is asked of llama.cpp and what it answers: the vocabulary between the test and the process that holds the library.
import type { GgmlType } from '../../src/spec/ggml-types.ts';

export interface LivingSettings {
  /** n_ctx, of all sequences together. */
  ctxSize: number;
  /** n_batch and n_ubatch, which the native module sets alike. */
  batch: number;
  /** n_seq_max, each with a cache of its own (kv_unified is off). */
  parallel: number;
  flashAttn: 'on' | 'off' | 'auto';
  /** Default f16. */
  cacheType?: GgmlType;
  swaFull?: boolean;
}

export interface Job {
  /** Directory of the package with the prebuilt library. */
  library: string;
  models: {
    path: string;
    settings: readonly LivingSettings[];
    /** Sizes are measured, nothing is allocated: for models of real size. */
    measureOnly: boolean;
  }[];
}

/** One context, as the library's process reports it. */
export interface Observation {
  path: string;
  /** Which of the model's settings. */
  index: number;
  error?: string;
  /** Caches, states and compute buffers together, exactly. */
  contextBytes: number;
  /** What llama.cpp printed while making the context. */
  log: string[];
}

/** A cache or a recurrent state, as its line in the log says. */
export interface ObservedCache {
  /** Cells of one stream, or rows. */
  cells: number;
  layers: number;
  /** MiB as printed, with two decimals: of K and V, or of the convolution's and the scan's state. */
  firstMiB: number;
  secondMiB: number;
}

/** Figures read off the log. */
export interface Observed {
  nCtx: number;
  nCtxSeq: number;
  caches: ObservedCache[];
  states: ObservedCache[];
  /** MiB as printed. */
  outputMiB: number;
  computeMiB: number;
  nodes: number;
  /** Caches, states and compute buffers together, exactly. */
  contextBytes: number;
}
