// The words of KV cache planning: the spec of one layer's cache, the groups that share a block table, the plan. A spec says
// what a page costs and how many blocks a request can hold; it knows nothing of the model that asked for it. Follows vLLM's
// v1/kv_cache_interface.py, one record for all of its spec classes.
import type { Bytes, Tokens } from '../../../units.ts';
import type { PipelineSplit } from '../pipeline.ts';
import type { Profile } from '../profile.ts';
import type { AttentionRules } from './backend.ts';

export type KvKind = 'full' | 'mla' | 'window' | 'window-mla' | 'chunked' | 'mamba' | 'cross' | 'ring';

/** How many state blocks a request holds: so many, or one per block of tokens plus so many. */
export type StatesPerRequest = { fixed: number } | { perBlock: true; extra: number };

/** What one layer keeps in the KV cache of one rank. */
export interface KvLayerSpec {
  /** Decoder layer that owns it. */
  layer: number;
  kind: KvKind;
  /** Bytes of one block of this layer, padding included. */
  pageBytes: Bytes;
  /** The same without padding. */
  realPageBytes: Bytes;
  /** Tokens in one block. */
  blockSize: number;
  heads?: number;
  headDim?: number;
  valueHeadDim?: number;
  dtype?: string;
  /** Layout of a quantized cache (fp8_ds_mla, ...), where it is not plain dtype values. */
  cacheDtype?: string;
  window?: number;
  chunk?: number;
  states?: StatesPerRequest;
  /** Tokens of the encoder a cross-attention layer keeps. */
  encoderTokens?: number;
  /** What else makes specs of one kind differ (state shapes, compression, role). */
  variant?: string;
  /** The attention backend addresses blocks by their stride, so the page may be padded (0.24 to 0.28). */
  stridedBlocks?: boolean;
  /** The backend wants all layers of a block side by side (0.29 and later). */
  blockOutermost?: boolean;
  /** Set on a local layer that is allocated as full attention: its real reach. */
  recordedWindow?: number;
  recordedChunk?: number;
}

/** Layers that share a block table. `stages` counts them per pipeline stage. */
export interface KvGroup {
  kind: KvKind | 'uniform';
  blockSize: number;
  /** Page of one layer; of all layers together in a uniform group. */
  pageBytes: Bytes;
  layers: number;
  /** One spec per distinct layout; several only in a uniform group. */
  specs: readonly KvLayerSpec[];
  stages: readonly KvGroupStage[];
}

/** What one pipeline stage holds of a group. */
export interface KvGroupStage {
  layers: number;
  /** Sum of the pages of the group's layers on this stage. */
  pageBytes: Bytes;
  /** Layers per page size. */
  perPage: ReadonlyMap<number, number>;
}

export interface KvGrouping {
  groups: readonly KvGroup[];
  /** Bytes that one block id takes on each stage. */
  bytesPerBlock: readonly Bytes[];
  /** Bytes per block that the capacity check counts with on each stage. */
  checkedBytesPerBlock: readonly Bytes[];
  /** Log lines in the engine's words. */
  warnings: readonly string[];
}

/** The engine cannot plan these layers at all. */
export interface KvUngroupable {
  error: string;
}

/** Rules of the release; presets/engines/vllm/kv.yaml holds their history. */
export interface KvRules {
  'kv.groups': 'none' | 'perStage' | 'wholeModel';
  'kv.uniformTypeGroup': boolean;
  'kv.pageUnification': 'none' | 'divisible' | 'padStrided' | 'padStridedAndStates' | 'padAllButMla';
  'kv.groupSizeFactor': number;
  'kv.buckets': 'identical' | 'mergeable';
  'kv.packing': 'none' | 'layerTuples' | 'pageBuckets' | 'slab' | 'blockOutermost';
  'kv.uniformGroupOnStage': 'wholeModel' | 'stage';
  'kv.localFallback': boolean;
  'kv.tokensLine': 'none' | 'blocksTimesBlockSize' | 'blocksOverGroups' | 'concurrencyTimesLength';
  'kv.concurrency': 'tokensOverLength' | 'bytesOverFirstPage' | 'bytesOverFirstLayer' | 'blocksOverRequestBlocks';
  'kv.capacityCheck': 'tokens' | 'layers' | 'firstGroup' | 'groups' | 'groupsAndNullBlock';
  'kv.capacityScope': 'worker' | 'wholeModel';
  'kv.windowReserve': 'oneBatch' | 'batchesInFlight';
  'kv.contextParallelGroups': 'one' | 'several';
  'kv.overrideEntersCheck': boolean;
  'kv.autoLengthLines': { full: string; reduced: string };
  'weights.pipelineSplit': PipelineSplit;
  'kv.blockSize': 'sixteen' | 'forced' | 'firstBackend' | 'allBackends';
  'kv.forcedMlaBlocks': readonly ForcedBlock[];
  'kv.blockAlignment': 'none' | 'sixteen' | 'byAttention' | 'kernel' | 'allKernels';
  'kv.wideHeadAlignment': boolean;
  'kv.mlaStateAlignment': number;
  'kv.windowSpecs': boolean;
  'kv.chunkSpecs': boolean;
  'kv.chunkedDisablesHybrid': boolean;
  'kv.windowBlock': 'primary' | 'smallestKernel' | 'largestKernel';
  'kv.valueHeadDim': 'asKey' | 'ownInFull' | 'own';
  /** Scales per token and head are part of a page only where the backend says so (before: always). */
  'kv.scalesByBackend': boolean;
  'kv.sparseCache': 'packedByDefault' | 'packedForFp8' | 'byBackend';
  'kv.paddedLatent': boolean;
  'kv.stateSpecs': boolean;
  'kv.statePages': 'one' | 'byBlock' | 'byMode' | 'byModeAndDrafts';
  'kv.speculationLengthens': readonly string[];
  'kv.convolutionDtype': 'cache' | 'model';
  'kv.deltaNetScanDtype': boolean;
  'kv.nemotronScanDtype': string;
  'kv.prefillCheckpoints'?: Readonly<Record<string, PrefillCheckpoint | undefined>>;
  /** TurboQuant for dense models only, or for models with state layers too. */
  'kv.turboquant'?: 'dense' | 'all';
  'kv.alignsSkippedLayers': boolean;
  /** Backends that refuse an fp8 cache below capability 8.9. */
  'kv.tritonFp8Checks': readonly string[];
  'kv.inclusiveWindows': boolean;
  'kv.crossIsFull': readonly string[];
  'kv.wideHeadFp8Block'?: number;
  'kv.latentAttention': 'padded' | 'latent';
  'kv.compressedNeedsFp8': boolean;
  /** Architecture to the major compute capability on which its cache is fp8 unless asked otherwise. */
  'kv.fp8CacheDefaults'?: Readonly<Record<string, string>>;
}

/** A block size that MLA models are given on some capabilities unless theirs is a multiple of an accepted one. */
interface ForcedBlock {
  capabilities: readonly string[];
  nopeHeadDim?: number;
  accepts: readonly number[];
  block: number;
}

/** State layers that can write a state inside a prefill: on which GPUs, at which token alignment. */
interface PrefillCheckpoint {
  alignment?: number;
  /** Major compute capabilities. */
  capabilities?: readonly number[];
  /** Head size that the kernel needs beyond capability 9. */
  headDim?: number;
  boundedGate?: boolean;
}

export type KvProfile = Profile<KvRules & AttentionRules>;

export interface KvPlanInput {
  profile: KvProfile;
  engine: 'v0' | 'v1';
  /** Layer specs of each pipeline stage. */
  stages: readonly (readonly KvLayerSpec[])[];
  /** Memory for the cache on the tightest rank of each stage. */
  availableBytes: readonly number[];
  maxModelLen: Tokens;
  /** --max-model-len auto: shorten maxModelLen to what fits. */
  autoMaxModelLen?: boolean;
  maxNumBatchedTokens: number;
  maxConcurrentBatches: number;
  decodeContextParallelSize?: number;
  numGpuBlocksOverride?: number;
  disableHybridManager?: boolean;
  /** What kvLayerSpecs found the engine to refuse. */
  error?: string | undefined;
}

export type KvRefusal =
  | { kind: 'no-memory'; availableBytes: number }
  | { kind: 'too-long'; neededBytes: Bytes; availableBytes: number; estimatedMaxLen: Tokens; maxModelLen: Tokens }
  | { kind: 'unsupported'; error: string };

export interface KvPlan {
  /** What the engine would refuse, or null. The other figures stand in either case. */
  refusal: KvRefusal | null;
  numBlocks: number;
  /** Blocks that requests can use: the null block is never handed out (V1). */
  usableBlocks: number;
  blockSize: number;
  /** On the stage with the largest. */
  bytesPerBlock: Bytes;
  /** Of every stage: one with fewer layers allocates less for as many blocks. */
  stageBytesPerBlock: readonly Bytes[];
  bytesPerToken: number;
  tokens: Tokens;
  maxConcurrency: number;
  /** After --max-model-len auto. */
  maxModelLen: Tokens;
  blocksPerRequest: number;
  groups: readonly KvGroup[];
  warnings: readonly string[];
  /** Other lines that the engine logs while planning. */
  logLines: readonly string[];
}
