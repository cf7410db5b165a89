// The sizes of PyTorch's CUDA caching allocator: how requests are rounded, and how much is taken from the device for one.
// Source: c10/core/AllocatorConfig.h and c10/cuda/CUDACachingAllocator.cpp of PyTorch 2.10.0.
// roundup_power2_divisions, off by default, is left out.
import { alignUp, MiB } from '../../units.ts';

/** kMinBlockSize: all sizes are multiples of it. */
export const minBlockBytes = 512;
/** kSmallSize: up to this, a request is served by the small pool. */
export const smallBytes = MiB;
/** kSmallBuffer: what the small pool takes from the device at a time; its page with expandable segments. */
export const smallBufferBytes = 2 * MiB;
/** kLargeBuffer: what requests below kMinLargeAlloc take at a time; the large pool's page with expandable segments. */
export const largeBufferBytes = 20 * MiB;
/** kMinLargeAlloc: from here, a request takes a segment of its own ... */
export const minLargeBytes = 10 * MiB;
/** kRoundLarge: ... rounded up to a multiple of this. */
export const roundLargeBytes = 2 * MiB;

/** round_size: at least 512, a multiple of 512. Zero bytes are the caller's matter (PyTorch never asks for them). */
export function roundedBytes(bytes: number): number {
  return Math.max(minBlockBytes, alignUp(bytes, minBlockBytes));
}

/** get_allocation_size: what cudaMalloc is asked for on behalf of a rounded request. */
export function segmentBytes(rounded: number): number {
  if (rounded <= smallBytes) return smallBufferBytes;
  if (rounded < minLargeBytes) return largeBufferBytes;
  return alignUp(rounded, roundLargeBytes);
}
