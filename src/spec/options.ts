// What the user asks of an engine. Undefined means "the engine's own default", which an adapter resolves by version.
import type { JsonObject } from './model.ts';

export interface ParallelOptions {
  tensorParallelSize: number;
  pipelineParallelSize: number;
  dataParallelSize: number;
  decodeContextParallelSize: number;
  enableExpertParallel: boolean;
}

export interface EngineOptions extends ParallelOptions {
  dtype?: string;
  /** Scheme id of presets/quantizations, or undefined for the checkpoint's own. */
  quantization?: string;
  kvCacheDtype?: string;
  maxModelLen?: number | 'auto';
  maxNumSeqs?: number;
  maxNumBatchedTokens?: number;
  gpuMemoryUtilization?: number;
  blockSize?: number;
  enforceEager?: boolean;
  kvCacheMemoryBytes?: number;
  numGpuBlocksOverride?: number;
  cpuOffloadBytes?: number;
  enablePrefixCaching?: boolean;
  enableChunkedPrefill?: boolean;
  enableLora?: boolean;
  maxLoras?: number;
  maxLoraRank?: number;
  limitMmPerPrompt?: JsonObject;
  languageModelOnly?: boolean;
  skipMmProfiling?: boolean;
  speculativeConfig?: JsonObject;
  asyncScheduling?: boolean;
  performanceMode?: string;
  mambaCacheMode?: string;
  mambaCacheDtype?: string;
  mambaSsmCacheDtype?: string;
  disableHybridKvCacheManager?: boolean;
  cudagraphCaptureSizes?: number[];
  maxCudagraphCaptureSize?: number;
  /** Of it, cudagraph_mode and the capture sizes move memory. */
  compilationConfig?: JsonObject;
  mmEncoderTpMode?: 'weights' | 'data';
  /** Environment variables that the user states (VLLM_...). */
  env?: Record<string, string>;
}

export const defaultParallel: ParallelOptions = {
  tensorParallelSize: 1,
  pipelineParallelSize: 1,
  dataParallelSize: 1,
  decodeContextParallelSize: 1,
  enableExpertParallel: false,
};
