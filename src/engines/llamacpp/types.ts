// The vocabulary of the llama.cpp adapter: what a run is asked for, where its layers and tensors lie, what its caches and buffers
// take. n_ctx, n_gpu_layers and the like are llama.cpp's own names for what the rest of the program calls otherwise.
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import type { LlamaHparams } from './hparams.ts';
import type { LlamaRules } from './rules.ts';

export type { FlashAttention, LlamaOptions } from '../../spec/llama-options.ts';

/** cparams as the context's constructor leaves them. */
export interface ContextParams {
  nCtx: number;
  /** Cells of one stream. */
  nCtxSeq: number;
  nBatch: number;
  nUbatch: number;
  nSeqMax: number;
  kvUnified: boolean;
  /** Separate caches: 1 when unified, else one per sequence. */
  nStream: number;
  /** The attention path in effect. */
  flashAttn: boolean;
  /** `auto` that ended off keeps the cache's layout of flash attention: V is not transposed. */
  transposedV: boolean;
  typeK: GgmlType;
  typeV: GgmlType;
  offloadKqv: boolean;
  opOffload: boolean;
  swaFull: boolean;
  embeddings: boolean;
  causal: boolean;
  /** Logits that the worst-case graph reserves. */
  nOutputsMax: number;
  /** Recurrent states that are kept of each sequence beside the current one, to go back to. */
  nRsSeq?: number;
}

/** A device index, or the host. */
export type Place = number | 'cpu';

/** Where layers and tensors lie (llama-model.cpp load_tensors). */
export interface Placement {
  /** Number of GPUs that take part. */
  devices: number;
  /** The one GPU that takes part with --split-mode none (--main-gpu). */
  only?: number;
  /** Per block, and last the output layer. */
  layers: readonly Place[];
  /** Where one tensor's data lies; tied output is the second use of token_embd. */
  tensorPlace(tensor: GgufTensor): Place;
  /** token_embd is copied to the output layer's device because the file has no output.weight. */
  tiedOutput: Place | undefined;
  /** --split-mode row: share of each GPU in the rows of every matrix. */
  rowShares?: readonly number[] | undefined;
  /** Every layer and the output are on GPUs and no tensor is overridden. */
  full: boolean;
}

/** One cache: plain, sliding, recurrent, or the keys of a sparse-attention indexer. */
export interface CacheSpec {
  kind: 'full' | 'sliding' | 'recurrent' | 'indexer';
  /** Cells of one stream (rows of a recurrent cache). */
  cells: number;
  streams: number;
  /** Blocks that have it, with the bytes of their K and V (R and S) over all streams. */
  layers: readonly { layer: number; place: Place; keyBytes: number; valueBytes: number }[];
}

/** Everything that the graph depends on. */
export interface GraphInput {
  model: GgufModel;
  hparams: LlamaHparams;
  context: ContextParams;
  placement: Placement;
  caches: readonly CacheSpec[];
  rules: LlamaRules;
  /** A load of -fit that only measures (no_alloc): the prompt's graph alone counts, and nothing of it is pinned to a device. */
  measuring?: boolean;
  /** A context of the blocks of multi-token prediction alone. */
  drafting?: boolean;
}

export interface ComputeBuffers {
  /** Bytes per GPU. */
  gpus: readonly number[];
  /** CUDA_Host, or the CPU's own buffer where there is no GPU. */
  host: number;
  nodes: number;
  /** Splits of the prompt's graph and of a single token's. */
  splits: number;
  singleSplits: number;
  /** 4 with pipeline parallelism. */
  copies: number;
  confidence: 'exact' | 'derived' | 'estimated';
}
