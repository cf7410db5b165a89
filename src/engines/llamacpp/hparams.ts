// What llama.cpp reads from a GGUF header before it builds anything: sizes per layer, which layers slide, recur or share a cache.
// Law: src/llama-model.cpp load_hparams, src/llama-hparams.cpp.
import type { GgufModel } from '../../spec/gguf.ts';

export interface LlamaHparams {
  architecture: string;
  /** Blocks in the file, those of multi-token prediction included (n_layer_all). */
  layers: number;
  /** Trailing blocks that only draft (nextn_predict_layers). */
  nextnLayers: number;
  /** n_ctx_train. */
  contextLength: number;
  embd: number;
  vocab: number;
  /** Per block. */
  heads: readonly number[];
  kvHeads: readonly number[];
  /** Sizes of one head of K and V as cached, per block. */
  keyLength: readonly number[];
  valueLength: readonly number[];
  feedForward: readonly number[];
  /** Rotated part of a head. */
  ropeDim: number;
  /** rope.dimension_sections: positions take four integers a token. */
  mrope: boolean;
  causal: boolean;
  /** Tokens a sliding layer sees, 0 without sliding layers. */
  window: number;
  /** Which blocks slide. */
  sliding: readonly boolean[];
  /** Which blocks keep a recurrent state instead of K and V. */
  recurrent: readonly boolean[];
  /** Blocks from here on read the cache of an earlier one (Gemma 3n, 4 E). */
  kvFromStart: number;
  ssm?: { conv: number; inner: number; state: number; timeStepRank: number; groups: number; normBcDt: boolean };
  /** shortconv.l_cache. */
  shortConv?: number;
  /** RWKV. */
  wkv?: { headSize: number; tokenShiftCount: number };
  /** Kimi Delta Attention. */
  kda?: { headDim: number };
  /** MiniMax-01: the state of a recurrent block is headDim x headDim a head. */
  linearAttention?: { headDim: number };
  experts?: { count: number; used: number; feedForward: number; sharedFeedForward: number; leadingDense: number };
  /** Multi-head latent attention with the keys of an absorbed cache. */
  mla?: { kvLoraRank: number; qLoraRank: number; keyLength: number; valueLength: number };
  /** DeepSeek-2 layers of a file without those keys: expanded K and V are cached. */
  expandedMla?: { kvLoraRank: number; qLoraRank: number };
  /** Keys of a sparse-attention indexer, cached beside K and V. */
  indexer?: {
    heads: number;
    keyLength: number;
    topK: number;
    /** Blocks with an indexer of their own; the others use an earlier one's choice. */
    full: readonly boolean[];
  };
  /** DeepSeek-V4: tokens that one cell of a block's compressed cache stands for, 0 without one. */
  compressRatios?: readonly number[];
  /** embedding_length_per_layer_input (Gemma 3n, 4 E). */
  perLayerEmbedding: number;
  /** Every so many blocks one has full attention (Qwen3-Next, Qwen3.5). */
  fullAttentionInterval: number;
}

export type ReadHparams = (model: GgufModel) => LlamaHparams;
