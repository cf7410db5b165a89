// The answer of `vram plan`, engine-neutral: what fits, where the memory goes, what the engine prints. This is the `result`
// of the JSON contract; renderers format it and never compute.
import type { Bytes, Tokens } from '../units.ts';
import type { DeploymentReport } from './deployment/claims.ts';
import type { DisaggregationPlan } from './disaggregate/types.ts';
import type { LayoutsPlan } from './parallel/types.ts';
import type { PlacementPlan } from './placement/types.ts';

export const confidences = ['exact', 'derived', 'estimated'] as const;
export type Confidence = (typeof confidences)[number];

/** A figure with where it comes from. An estimate carries its range. */
export interface Figure {
  bytes: Bytes;
  lowBytes: Bytes;
  highBytes: Bytes;
  formula: string;
  source: string;
  confidence: Confidence;
}

export const itemIds = [
  'weights',
  'kv-cache',
  'state',
  'compute-buffer',
  'output-buffer',
  'projector',
  'draft',
  'other',
  'activations',
  'graphs',
  'non-torch',
  'context',
  'communication',
  'lora',
  'buffers',
  'free',
] as const;
export type ItemId = (typeof itemIds)[number];

export interface BudgetItem extends Figure {
  id: ItemId;
}

export interface DevicePlan {
  rank: number;
  gpu: string;
  totalBytes: Bytes;
  /** What the engine allows itself: total x utilization. */
  budgetBytes: Bytes;
  weights: { tensorBytes: Bytes; loadedBytes: Bytes };
  /** Leaves; they sum to totalBytes. */
  items: BudgetItem[];
}

export interface KvGroupPlan {
  kind: string;
  layers: number;
  blockSize: number;
  pageBytes: Bytes;
  count: number;
}

/** Where a figure that is not bytes of the budget comes from. */
export interface FigureExplanation {
  figure: string;
  formula: string;
  source: string;
  confidence: Confidence;
}

export interface KvCachePlan {
  bytes: Bytes;
  blockSize: number;
  numBlocks: number;
  tokens: Tokens;
  maxConcurrency: number;
  maxModelLen: Tokens;
  bytesPerBlock: Bytes;
  bytesPerToken: number;
  groups: KvGroupPlan[];
  figures: FigureExplanation[];
}

export interface Verdict {
  fits: boolean;
  /** The engine's check of max_model_len against kvCache.bytes alone. */
  capacityFits: boolean;
  headroomBytes: number;
  headroomGiB: number;
  shortfallBytes?: Bytes;
  reason: string | null;
  /** The error that the engine would raise, in its own words. */
  engineError: string | null;
}

export interface WorkloadPlan {
  context: Tokens;
  concurrency: number;
  fits: boolean;
  maxConcurrencyAtContext: number;
  maxContextAtConcurrency: Tokens;
}

export interface FlagSuggestion {
  flag: string;
  value: string | null;
  because: string;
  /** The value is several words on a command line. */
  list?: boolean;
}

export interface Suggestion {
  change: string;
  effect: string;
  flags: FlagSuggestion[];
  /** Variables that the command needs in its environment. */
  environment?: Record<string, string>;
  /** The whole command, where flags alone do not make it. */
  command?: string;
}

export interface Plan {
  verdict: Verdict;
  devices: DevicePlan[];
  kvCache: KvCachePlan;
  workload: WorkloadPlan | null;
  startupLog: string[];
  flags: FlagSuggestion[];
  command: string;
  suggestions: Suggestion[];
  matrix?: PlanMatrix;
  /** --auto-parallel: every layout of the GPUs, planned. */
  layouts?: LayoutsPlan;
  /** --disaggregate: prefill and decode on servers of their own. */
  disaggregation?: DisaggregationPlan;
  /** --placement: what sits on which rank or device. */
  placement?: PlacementPlan;
  /** llama.cpp: its buffers as it prints them, in MiB, and in exact bytes. */
  buffers?: Buffers;
  buffersBytes?: Buffers;
  /** llama.cpp: buffers of a draft, of all its contexts together. */
  draft?: DraftPlan;
  /** llama.cpp: the multimodal projector. */
  projector?: ProjectorPlan;
  /** What -fit made of the options; 0 and null: left as they were. */
  fit?: FitOutcome;
  offload?: OffloadAnswers;
  speed?: SpeedEstimate;
  ollama?: OllamaDecision;
  /** Of a plan made with --deployment. */
  deployment?: DeploymentReport;
}

export const bufferKinds = ['model', 'kv', 'rs', 'compute', 'output'] as const;
export type BufferKind = (typeof bufferKinds)[number];
/** Per kind and place: gpu0, gpu1, ..., pinned (CUDA_Host), cpu, mapped (a view of the file), repack. */
export type Buffers = Partial<Record<BufferKind, Record<string, number>>>;

export interface DraftPlan {
  /** null: the model drafts with its own blocks of multi-token prediction. */
  model: string | null;
  contexts: number;
  buffers: Buffers;
  buffersBytes: Buffers;
}

export interface ProjectorPlan {
  modelBytes: Bytes;
  /** Reserved by its warm-up. */
  computeBytes: Bytes;
  /** What the largest picture takes instead. */
  largestBytes: Bytes;
  /** gpu0 or cpu. */
  place: string;
}

export interface FitOutcome {
  status: 'success' | 'failure' | 'error';
  nCtx: Tokens;
  /** The context asked for, where one was. */
  askedCtx?: Tokens;
  ngl: number | null;
  /** Layers per GPU. */
  tensorSplit?: number[];
  /** Tensors that go elsewhere, as -ot takes them. */
  overrides?: string[];
}

/** What users of partial offload ask; null: not even the least works. */
export interface OffloadAnswers {
  /** Layers on the GPUs, of so many (the output layer counts as one). */
  gpuLayers: number;
  layers: number;
  /** The most layers that fit at this context. */
  mostGpuLayers: number | null;
  /** The largest context that fits at this offload. */
  largestContext: Tokens | null;
  /** The fewest blocks whose experts have to stay on the CPU at this context (mixtures of experts). */
  leastCpuMoeLayers?: number | null;
}

/** Tokens a second by bytes moved over each memory; an estimate, with its range. */
export interface SpeedEstimate {
  /** Of all sequences together. */
  decode: SpeedFigure;
  /** One prompt by itself. */
  prefill: SpeedFigure;
  sequences: number;
  /** Tokens in the cache of each while it decodes. */
  context: Tokens;
  promptTokens: Tokens;
  assumptions: string[];
}

/** What Ollama decides before it starts llama-server. */
export interface OllamaDecision {
  llamaCppBuild: string;
  numCtx: Tokens;
  numParallel: number;
  numBatch: number;
  placement: 'cpu' | 'only gpu' | 'one of several' | 'spread';
  /** Positions among the GPUs. */
  gpus: number[];
  /** Its own prediction: the file and a 16-bit cache, without compute buffers. */
  predictedBytes: Bytes;
  availableBytes: Bytes;
  /** The prediction stays below its threshold; else llama.cpp's -fit decides how many layers go. */
  predictedToFit: boolean;
  /** The llama-server arguments that move memory. */
  arguments: string[];
  modelfile: string;
  /** Lines for the environment of its service. */
  environment: string[];
}

export interface SpeedFigure {
  tokensPerSecond: number;
  lowTokensPerSecond: number;
  highTokensPerSecond: number;
  /** What it waits for; network: messages between GPUs, whatever carries them. */
  bound: 'memory' | 'compute' | 'network' | 'PCIe' | 'host' | 'overhead';
}

/** Which combinations of context and concurrency the KV cache holds: fits[context][concurrency]. */
export interface PlanMatrix {
  contexts: Tokens[];
  concurrencies: number[];
  fits: boolean[][];
  /** Sequences of contexts[i] tokens that fit at once. */
  maxConcurrency: number[];
}

/** The engine refuses before it allocates anything: there is no budget to show. */
export function nothingLoaded({ devices }: Plan): boolean {
  return devices.every(({ items, totalBytes }) =>
    items.every(({ id, bytes }) => id !== 'free' || bytes === totalBytes),
  );
}
