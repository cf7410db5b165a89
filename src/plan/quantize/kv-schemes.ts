// How a KV cache can be stored (presets/kv-cache-schemes.yaml): the engine's name for it and what it needs.
import type { GpuSpec } from '../../spec/gpu.ts';
import type { HardwareLevel } from './support.ts';

export interface KvCacheScheme {
  engine: 'vllm' | 'llama.cpp';
  /** As the engine's option takes it. */
  id: string;
  name: string;
  /** Nominal bits per value, scales included. */
  bits: number;
  /** First release or build. */
  since?: string;
  /** Compute capability from which attention multiplies in it; `none`: it is always unpacked. */
  native: string;
  note?: string;
}

/** Whether the GPU computes in the format or unpacks it. */
export function kvHardware({ native }: KvCacheScheme, gpu: GpuSpec): HardwareLevel {
  if (native === 'always') return 'native';
  if (native === 'none' || gpu.computeCapability === undefined) return 'weight-only';
  return Number(gpu.computeCapability) >= Number(native) ? 'native' : 'weight-only';
}
