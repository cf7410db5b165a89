// What a vLLM release makes of the user's options on a given model and GPU: every default filled in. Filled by defaults.ts,
// read by the weights, KV cache and memory rules.
import type { Dtype } from '../../spec/model.ts';
import type { EngineOptions } from '../../spec/options.ts';

export interface ResolvedOptions
  extends Omit<EngineOptions, 'dtype' | 'maxModelLen' | 'maxNumSeqs' | 'maxNumBatchedTokens' | 'gpuMemoryUtilization'> {
  /** Which engine generation runs. */
  engine: 'v0' | 'v1';
  /** Which of V1's two model runners. */
  runner: 'v1' | 'v2';
  dtype: Dtype;
  maxModelLen: number;
  /** maxModelLen is to be found by the engine (--max-model-len auto). */
  autoMaxModelLen: boolean;
  maxNumSeqs: number;
  maxNumBatchedTokens: number;
  gpuMemoryUtilization: number;
  /** KV cache dtype after "auto" was resolved: a 16/32-bit dtype name, fp8, nvfp4, ... */
  kvCacheDtype: string;
  enforceEager: boolean;
  cudagraphMode: 'NONE' | 'PIECEWISE' | 'FULL_AND_PIECEWISE' | 'FULL' | 'FULL_DECODE_ONLY';
  captureSizes: readonly number[];
  enablePrefixCaching: boolean;
  enableChunkedPrefill: boolean;
  asyncScheduling: boolean;
  /** Batches in flight: 2 with async scheduling at pp 1, pp or pp + 1 with pipeline parallelism. */
  maxConcurrentBatches: number;
  mambaCacheMode: 'none' | 'align' | 'all';
  /** num_speculative_tokens, 0 without speculation. */
  speculativeTokens: number;
}

export const dtypeBytes: Readonly<Record<Dtype, number>> = { float32: 4, float16: 2, bfloat16: 2 };
