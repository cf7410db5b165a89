// The allocators by kind.
import { CachingAllocator } from './caching.ts';
import { DeviceMemory } from './device.ts';
import { ManualAllocator } from './manual.ts';
import type { AllocatorKind, GpuAllocator } from './types.ts';

export type { AllocationHandle, AllocatorKind, AllocatorStatistics, GpuAllocator, SegmentSnapshot } from './types.ts';
export { allocatorKinds } from './types.ts';

interface AllocatorOptions {
  /** Bytes that the allocator may have of the device: what CUDA reports, less contexts and other processes. */
  deviceBytes: number;
  /** PyTorch's max_split_size_mb, in bytes. */
  maxSplitBytes?: number;
  /** Size of the manual buffer; the whole device without. */
  bufferBytes?: number;
}

export function createAllocator(kind: AllocatorKind, options: AllocatorOptions): GpuAllocator {
  const device = new DeviceMemory(options.deviceBytes);
  if (kind === 'manual') return new ManualAllocator(device, options.bufferBytes);
  return new CachingAllocator(device, { expandable: kind === 'expandable', maxSplitBytes: options.maxSplitBytes });
}
