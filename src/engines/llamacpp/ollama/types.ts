// What Ollama is asked and what it decides: its environment, a model's parameters, the GPUs it found, and the llama-server run that
// comes of it. Names are Ollama's own (num_ctx, OLLAMA_NUM_PARALLEL).
import type { Diagnostic } from '../../../diagnostics.ts';
import type { GgufModel } from '../../../spec/gguf.ts';
import type { LlamaOptions } from '../types.ts';
import type { OllamaRules } from './rules.ts';

/** Variables that move memory; undefined: not set. */
export interface OllamaEnvironment {
  /** OLLAMA_CONTEXT_LENGTH; 0: by the memory of the GPUs. */
  contextLength?: number;
  /** OLLAMA_NUM_PARALLEL. */
  numParallel?: number;
  /** OLLAMA_KV_CACHE_TYPE. */
  kvCacheType?: string;
  /** OLLAMA_FLASH_ATTENTION. */
  flashAttention?: boolean;
  /** OLLAMA_GPU_OVERHEAD, bytes per GPU. */
  gpuOverheadBytes?: number;
  /** OLLAMA_SCHED_SPREAD. */
  schedSpread?: boolean;
  /** OLLAMA_MAX_LOADED_MODELS; 0: three per GPU. */
  maxLoadedModels?: number;
  /** OLLAMA_KEEP_ALIVE, e.g. 5m. */
  keepAlive?: string;
  /** LLAMA_ARG_FIT and LLAMA_ARG_FIT_TARGET, which llama-server inherits. */
  fit?: 'on' | 'off';
  fitTargetMiB?: number;
}

/** PARAMETER lines of a Modelfile, or options of a request. */
export interface OllamaParameters {
  numCtx?: number;
  numBatch?: number;
  /** -1: llama.cpp decides. */
  numGpu?: number;
  mainGpu?: number;
  useMmap?: boolean;
  numThread?: number;
  draftNumPredict?: number;
}

export type OllamaLibrary = 'CUDA' | 'ROCm' | 'Vulkan' | 'Metal' | 'cpu';

export interface OllamaGpu {
  library: OllamaLibrary;
  totalBytes: number;
  /** With everything that is loaded now. */
  freeBytes: number;
  integrated?: boolean;
  /** CUDA, e.g. 8.6. */
  computeCapability?: string;
}

/** A model that is loaded already. */
export interface OllamaLoaded {
  name: string;
  /** Bytes on each GPU, as parsed from llama-server's log. */
  gpuBytes: readonly number[];
  keepAliveSeconds: number;
  /** No request is running. */
  idle: boolean;
  /** Bytes of its file where it is mapped. */
  mmapBytes?: number;
}

export interface OllamaRequest {
  rules: OllamaRules;
  model: GgufModel;
  /** Bytes of the file; what Ollama takes for the weights. */
  fileBytes: number;
  gpus: readonly OllamaGpu[];
  /** Host memory; absent: not known. */
  systemTotalBytes?: number;
  systemFreeBytes?: number;
  os?: 'linux' | 'windows' | 'darwin';
  environment?: OllamaEnvironment;
  parameters?: OllamaParameters;
  /** Bytes of the projector's tensors; absent: no projector. */
  projectorBytes?: number;
  loaded?: readonly OllamaLoaded[];
}

export interface OllamaPlan {
  /** Per slot. */
  numCtx: number;
  /** num_ctx came from the memory of the GPUs; after an out-of-memory it is lowered once. */
  numCtxAuto: boolean;
  retryNumCtx?: number;
  numParallel: number;
  numBatch: number;
  /** PredictServerVRAM: file and cache in f16, without compute buffers. */
  predictedBytes: number;
  /** With the surcharge of a raised batch. */
  predictedForLoadBytes: number;
  availableBytes: number;
  placement: 'cpu' | 'only gpu' | 'one of several' | 'spread';
  /** Positions in the request's GPUs. */
  gpus: number[];
  /** The prediction stays within 80 % of what is free there; otherwise llama.cpp's fit decides how many layers go. */
  predictedToFit: boolean;
  /** Loaded models that are unloaded first, in order. */
  evict: string[];
  /** What llama-server is asked for. */
  options: LlamaOptions;
  /** Environment of llama-server. */
  env: Record<string, string>;
  /** --no-mmproj-offload, and why. */
  projectorOnCpu?: string;
  noMmapReason?: string;
  /** The arguments that Ollama starts llama-server with, as far as they move memory. */
  arguments: string[];
  diagnostics: Diagnostic[];
}
