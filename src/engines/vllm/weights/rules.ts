// The rule names of presets/engines/vllm/weights.yaml with their types. The file holds each rule's history with its source.
export interface WeightRules {
  /** Where the layers that do not divide by the stages go. */
  'weights.pipelineSplit': 'remainder-last' | 'remainder-before-last';
  /** What an architecture class builds on every pipeline stage: embedding and head, or the embedding alone. */
  'weights.embeddingStages': Record<string, 'every' | 'embedding'>;
  /** Classes whose routers the release keeps in float32, though newer ones do not. */
  'weights.float32Routers': string[];
  /** Block size above which the loader lets torch's allocator split nothing; absent: no limit. */
  'weights.allocatorSplitLimitBytes'?: number;
  /** Bytes of float32 scales and bounds of one attention layer: those kept as attributes, and as buffers. */
  'weights.attentionScalars': { attributes: number; buffers: number };
  /** Compute capabilities whose attention layers keep an FP8 output buffer for an NVFP4 cache. */
  'weights.nvfp4KvOutput'?: { from: number; below: number };
  /** Classes that keep the residual streams of a batch for a drafter: on every stage, the last one, or there while drafting. */
  'weights.draftResiduals'?: Record<string, 'every-stage' | 'last-stage' | 'drafting'>;
  /** Which rank takes the experts that do not divide. */
  'weights.expertRemainder': 'last' | 'first';
  /** The MoE layers' tensor parallelism spans the data-parallel ranks too. */
  'weights.expertTensorSpan': 'tp' | 'tp-dp';
  /** Least intermediate size per rank of the experts, by architecture class. */
  'weights.expertMinimumInner'?: Record<string, number>;
  /** Rows of a dynamic rotary table: positions, or positions times factor. */
  'weights.rotaryDynamicRows': 'positions' | 'positions-times-factor';
  /** Classes whose mrope table has single length; all others have four times the positions. */
  'weights.rotaryMropeRows': { single: string[] };
  'weights.rotaryFloat32Classes': string[];
  /** DeepSeek's YaRN in float32 where the custom op is on (eager start), by rotary dimension. */
  'weights.rotaryFloat32Eager'?: { dims: number[] };
  /** What the kernels make of AWQ's zero points on capability 9.0. */
  'weights.awqZeros': 'packed' | 'machete-16-bit';
  /** 16-bit copies of the absorbed MLA matrices for a quantized kv_b. */
  'weights.mlaAbsorbed': 'none' | 'copies-when-quantized' | 'absorbed';
  /** Workspace that importing the MLA backends allocates. */
  'weights.mlaWorkspaceBytes'?: number;
  /** Classes whose routers take the quantization configuration. */
  'weights.quantizedRouters': string[];
  /** Modules that a class builds without a quantization configuration, as name patterns. */
  'weights.plainModules': Record<string, string[]>;
  /** Index tables of sparse attention that are made with the model. */
  'weights.sparseIndices'?: SparseIndices;
  /** Multiple to which the sides of FP8 weights are padded. */
  'weights.fp8Padding': number;
  /** Every Marlin layer keeps locks of its own. */
  'weights.marlinLocksPerLayer': boolean;
  /** Classes that run on the Transformers backend: no rotary table, HF's own module names. */
  'weights.transformersBackend': string[];
  /** K and V of layers that read another layer's cache are built all the same. */
  'weights.idleKv': boolean;
  /** Marlin pads shapes to its thread tiles (before, such shapes took another kernel). */
  'weights.marlinPadding': boolean;
  /** Linears that a class keeps whole on every rank under some methods, as name pattern. */
  'weights.wholeUnderMethods': { classes: string[]; methods: string[]; pattern: string }[];
  /** Classes whose tables of positions and token types are padded and split like a vocabulary. */
  'weights.splitPositionTables': string[];
  'weights.oneRotaryTable': string[];
  /** Classes that cannot be divided into pipeline stages. */
  'weights.withoutPipeline': string[];
  /** Classes that fail on the first pipeline stages where the output head is the embedding. */
  'weights.tiedPipelineFails': string[];
  /** Classes that know no mixture of experts yet, with what they fail on. */
  'weights.mixtureFails': Record<string, string>;
  /** Element type of the last linear layers of pooling models. */
  'weights.classifierDtype': 'model' | 'float32';
  /** Classes that build a second embedding beside the language model's. */
  'weights.secondEmbedding': string[];
  /** Classes that keep a square causal mask of bools, max_position_embeddings wide (on the Transformers backend). */
  'weights.causalMask': string[];
  /** Capability times ten below which block FP8 linears are repacked for Marlin. */
  'weights.fp8BlockMarlinBelow': number;
  /** DeepGEMM's packed scales from capability 10.0 on, up to this one times ten. */
  'weights.deepGemmPackedBelow'?: number;
  /** Experts with block scales take TRTLLM on 10.x, before DeepGEMM. */
  'weights.trtllmBlockExperts'?: boolean;
  /** Block scales of FP8 experts are refined when the shard cuts blocks (before: refused). */
  'weights.fp8BlockRefined': boolean;
  /** Shards of grouped 4-bit experts must hold whole groups. */
  'weights.groupedExpertsWhole': boolean;
  /** Methods (method/format) that hold no biases of experts. */
  'weights.expertsWithoutBias': string[];
  /** Block FP8 linears of several parts may cut blocks when tensor parallelism splits them. */
  'weights.fp8BlockMergedCuts': boolean;
  /** Multiples that NVFP4 experts are padded to. */
  'weights.nvfp4ExpertTiles'?: { marlin?: boolean; trtllm?: { hidden: number; gated: number; plain: number } };
  /** GPTQ linears keep the index of groups. */
  'weights.gptqGroupIndex': boolean;
  /** Element type of the zero points of GPTQ experts: int32, or the model's dtype. */
  'weights.gptqExpertZeros': 'int32' | 'dtype';
  /** How bitsandbytes' scales are kept. */
  'weights.bnbScales': 'nested' | 'float32';
  /** Kernel of gpt-oss experts by the lowest capability it serves, times ten. */
  'weights.mxfp4Kernels'?: Record<string, 'marlin' | 'triton' | 'trtllm'>;
  /** Multiples that gpt-oss experts are padded to on AMD GPUs; `cdna4` where that generation has another. */
  'weights.mxfp4OnRocm'?: { inner: number; hidden: number; cdna4?: number };
  'weights.mxfp4Triton'?: { step: number; inputs: number; keepsLoaded: boolean };
  /** The intermediate size is padded to this for TRTLLM. */
  'weights.mxfp4TrtllmInner'?: number;
  /** Quantization methods that the release does not know, with its text. */
  'weights.unknownMethods'?: Record<string, string>;
  /** GPTQ with activation order is refused. */
  'weights.refuseActOrder'?: string;
}

interface SparseIndices {
  /** The table of chosen tokens, shared by all layers. */
  topk: true;
  /** Layers that share an indexer's choice share a table of cache rows; `perRow` int32 values beside each row. */
  groups?: { perRow: number };
  /** FlashMLA's sparse kernel holds a workspace for queries, and for keys where the cache is fp8. */
  queryWorkspace?: true;
  /** FlashAttention's sparse MLA serves 16-bit caches on capability 9.0. */
  flashAttention?: true;
  /** FlashAttention's sparse MLA keeps the row offsets of every layer. */
  flashAttentionOffsets?: true;
}
