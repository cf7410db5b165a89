// A model as data: the list of its tensors and the list of what each layer keeps in the KV cache. Everything else
// (parameter counts, weight bytes under any scheme, shards, file sizes) is a sum over these two lists. Nothing here knows
// an engine: merged linears, padding and processed layouts belong to engines/<id>.

/** What a tensor is for. Quantization recipes and reports go by role. */
export const tensorRoles = [
  'embedding',
  'position-embedding',
  'lm-head',
  'norm',
  'q',
  'k',
  'v',
  'qkv',
  'o',
  'q-a',
  'q-b',
  'kv-a',
  'kv-b',
  'attention-other',
  'indexer',
  'gate',
  'up',
  'gate-up',
  'down',
  'router',
  'expert-gate',
  'expert-up',
  'expert-gate-up',
  'expert-down',
  'shared-gate',
  'shared-up',
  'shared-down',
  'shared-router',
  'state-in',
  'state-out',
  'state-other',
  'vision',
  'audio',
  'projector',
  'mtp',
  'other',
] as const;
export type TensorRole = (typeof tensorRoles)[number];

/** How tensor parallelism splits a tensor. Checkpoint layout: a linear weight is [out, in]. */
export type Shard =
  /** Whole on every rank. */
  | { by: 'replicated' }
  /** Rows are vocabulary entries (engines pad, then split them). */
  | { by: 'vocabulary' }
  /** Output rows (dimension 0, also of a bias) divided by tp. */
  | { by: 'column' }
  /** Input columns (dimension 1) divided by tp; a 1-D tensor stays whole. */
  | { by: 'row' }
  /** Output rows are `heads` equal heads; max(1, heads / tp) of them per rank, replicated when tp > heads. */
  | { by: 'kv-heads'; heads: number }
  /** Output rows are a concatenation of segments, each with its own rule (fused qkv, Mamba in_proj, conv1d). */
  | { by: 'segments'; segments: readonly { rows: number; shard: Shard }[] }
  /** One of `experts` experts: with expert parallelism whole experts per rank, else `inner` decides. */
  | { by: 'expert'; inner: Shard };

export const modelParts = ['text', 'vision', 'audio', 'projector', 'mtp'] as const;
export type ModelPart = (typeof modelParts)[number];

/** One row of the tensor list: all tensors of one name pattern and one shape. */
export interface TensorGroup {
  /** Checkpoint name; {layer} and {expert} stand for the indices. */
  name: string;
  shape: readonly number[];
  /** The layers that have it, ascending. Absent: one tensor, or (with blocks) a tower's own numbering. */
  layers?: readonly number[];
  /** Number of experts for {expert}. */
  experts?: number;
  /** The file keeps all experts of a layer in one tensor [experts, ...]; `shape` stays that of one expert, [out, in]. */
  stacked?: boolean;
  /** The file's own shape of the same values, where it differs in more than that (Kimi's A_log is [1, 1, heads, 1]). */
  fileShape?: readonly number[];
  role: TensorRole;
  shard: Shard;
  part: ModelPart;
  /**
   * Key of the merged linear that engines build from several checkpoint matrices of one layer, e.g. 'self_attn.qkv_proj',
   * 'mlp.gate_up_proj', 'mlp.experts.w13'. Tensors with the same key and layer are concatenated along dimension 0.
   */
  merge?: string;
  /** A matrix of a linear layer, which quantization schemes may store in fewer bits (their ignore lists go by name). */
  linear?: boolean;
  /** Stored in this type whatever the model's dtype (router biases, A_log, ...). */
  dtype?: 'float32' | 'int64' | 'int32' | 'uint8';
  /** A stored buffer, not a parameter; counted in the file, not in the parameter count. */
  buffer?: boolean;
  /** In the file and in the parameter count, but no engine keeps it (blocks of a tower after the layer that is tapped). */
  unloaded?: boolean;
  /** Not in the file: computed when the model is built (multiplier vectors, weightless norms) and kept beside the weights. */
  derived?: boolean;
  /** The file stores the matrix as [in, out] (GPT-2's Conv1D, stacked experts); `shape` is [out, in] all the same. */
  transposed?: boolean;
  /** The matrix also takes the place of V in the merged qkv of engines (Gemma 4's full layers ship K only). */
  alsoValue?: boolean;
  /** K and V of a layer that reads the cache of another one (Gemma 4 E2B, E4B): vLLM keeps them up to 0.29, not from 0.30. */
  idleKv?: boolean;
}

/** What one layer keeps per token or per sequence. Sizes are of the whole model; engines divide by tensor parallelism. */
export type CacheLayout =
  /** K and V of all tokens. */
  | { kind: 'full'; kvHeads: number; headDim: number; valueHeadDim?: number; sinks?: boolean }
  /** K and V of the last `window` tokens. */
  | {
      kind: 'sliding';
      window: number;
      kvHeads: number;
      headDim: number;
      valueHeadDim?: number;
      sinks?: boolean;
      /** A token sees `window` tokens before itself, window + 1 in all (Cohere). */
      inclusive?: boolean;
    }
  /** K and V of the current chunk of `chunk` tokens. */
  | { kind: 'chunked'; chunk: number; kvHeads: number; headDim: number; valueHeadDim?: number }
  /** One latent vector of latentDim = kvLoraRank + qkRopeHeadDim values per token, no heads. */
  | { kind: 'mla'; latentDim: number; kvLoraRank: number; ropeDim: number; sparse?: boolean }
  /** Keys of a sparse-attention indexer; `plain`: in the cache's own 16 bits, without scales (MiniMax-M3). */
  | { kind: 'indexer'; headDim: number; plain?: boolean }
  /** Fixed-size state per sequence. */
  | { kind: 'state'; state: StateLayout }
  /** Keys and values of an encoder's tokens. */
  | { kind: 'cross'; kvHeads: number; headDim: number }
  /** A family's own cache (DeepSeek-V4's compressed MLA and window caches): engines decide by `variant`. */
  | { kind: 'special'; variant: string; sizes: Readonly<Record<string, number>> };

/**
 * Shapes of the recurrent state of one layer, before sharding (vLLM model_executor/layers/mamba/mamba_utils.py). `conv` is the
 * kernel size, `state` the values per channel; accounting/state.ts makes bytes of them.
 */
export type StateLayout =
  | { type: 'mamba1'; inner: number; state: number; conv: number }
  | { type: 'mamba2'; inner: number; state: number; conv: number; heads: number; headDim: number; groups: number }
  | { type: 'gdn'; keyHeads: number; valueHeads: number; keyDim: number; valueDim: number; conv: number }
  | { type: 'kda'; heads: number; headDim: number; conv: number }
  | { type: 'linear'; heads: number; headDim: number }
  | { type: 'short-conv'; dim: number; conv: number };

/** The caches of one layer. A layer that reuses another layer's cache has an entry with `sharedWith` and no caches. */
export interface LayerCaches {
  layer: number;
  caches: readonly CacheLayout[];
  sharedWith?: number;
}

/** What the forward pass of the widest layers looks like; activation formulas read it. */
export interface ForwardShape {
  hiddenSize: number;
  /** Query heads x head size of the widest attention layer. */
  queryDim: number;
  /** KV heads x head size of the widest attention layer. */
  kvDim: number;
  kvHeads: number;
  /** Widest dense MLP; 0 when every layer is a mixture of experts. */
  intermediateSize: number;
  /** SwiGLU and relatives (two input matrices), or a plain MLP (one). */
  gatedMlp: boolean;
  moe?: { experts: number; topK: number; intermediateSize: number; sharedIntermediateSize: number; layers: number };
  vocabSize: number;
}

/** One rotary table that an engine keeps: all layers with the same configuration share it. */
export interface RotaryTable {
  /** Rotated part of the head. */
  dim: number;
  /** Rope parameters as configured; engines decide rows and dtype. */
  rope: Readonly<Record<string, unknown>>;
  /** max_position_embeddings the table is made for. */
  positions: number;
  /** The layers that read it; absent: all. */
  layers?: readonly number[];
}

/** The largest item of one modality that an engine feeds the encoder with during profiling. */
export interface EncoderShape {
  modality: 'image' | 'video' | 'audio';
  /** Tokens that one item takes in the decoder. */
  tokensPerItem: number;
  /** Values of the processed input of one item (pixels x channels, ...). */
  inputValuesPerItem: number;
  /** A video grows with the model length: the item is repeated as often as its tokens fit in, at least once, at most this often. */
  repeatToLength?: number;
  confidence: 'exact' | 'derived' | 'estimated';
}

/** What an engine holds for an encoder beyond its tensors, fixed when the model is built. */
export interface TowerBuffer {
  /** Engines decide by kind from which release on they hold it. */
  kind:
    | 'rotary-table'
    | 'rotary-cache'
    | 'rotary-frequencies'
    | 'position-ids'
    | 'time-embedding'
    | 'deepstack'
    | 'per-layer-inputs';
  /** Number of values; per token of the batch budget when `perBatchedToken`. */
  values: number;
  perBatchedToken?: boolean;
  /** Bytes of one value where it is not of the model's dtype. */
  bytesPerValue?: number;
}

/** The encoder of a multimodal model as a whole. */
export interface TowerShape {
  /** Attention heads of the tower; a tensor-parallel split needs them divisible by tp. */
  heads: number;
  /**
   * heads: split by tp, refused where the heads do not divide; whole: every rank holds all of it; else what stays whole where they
   * do not divide.
   */
  split: 'heads' | 'whole' | 'heads-or-whole' | 'heads-or-whole-attention';
  /** Checkpoints in Mistral's own format load a tower that every rank holds whole. */
  wholeInMistralFormat?: boolean;
  buffers: readonly TowerBuffer[];
}

export interface Architecture {
  tensors: readonly TensorGroup[];
  caches: readonly LayerCaches[];
  /** Caches of the multi-token-prediction layers (part 'mtp'), which exist only while they draft; layers count from 0. */
  draftCaches?: readonly LayerCaches[];
  forward: ForwardShape;
  rotary: readonly RotaryTable[];
  /** lm_head is the embedding matrix itself. */
  tied: boolean;
  /** Positions enter as a slope per attention head (ALiBi) and not as a table. */
  alibi?: boolean;
  /** Encoder inputs of a multimodal model, one entry per modality; engines profile the encoder with them. */
  encoders?: readonly EncoderShape[];
  /** The encoder itself, where there is one. */
  tower?: TowerShape;
  /** Attention kind for the reports: how the layers read in one word. */
  attention: 'uniform' | 'hybrid-window' | 'hybrid-mamba' | 'mla' | 'attention-free';
}

/** A family expands a configuration into the lists. Pure; asserts on impossible numbers. */
export type ArchitectureFamily = (spec: import('../spec/model.ts').ModelSpec) => Architecture;
