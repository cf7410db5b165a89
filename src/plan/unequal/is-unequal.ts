// Whether GPUs differ in what matters for dealing out memory.
import type { GpuSpec } from '../../spec/gpu.ts';

export function isUnequal(gpus: readonly GpuSpec[]): boolean {
  return gpus.some(({ id, cudaTotalBytes }) => id !== gpus[0]!.id || cudaTotalBytes !== gpus[0]!.cudaTotalBytes);
}
