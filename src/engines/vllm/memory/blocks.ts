// What PyTorch's caching allocator counts for a large tensor. c10/cuda/CUDACachingAllocator.cpp: requests of 10 MiB and more
// get a segment rounded up to 2 MiB, and a remainder of up to 1 MiB stays inside the block and counts as used.
import { alignUp, MiB } from '../../../units.ts';

export function allocated(bytes: number): number {
  const rounded = alignUp(Math.ceil(bytes), 512);
  if (rounded < 10 * MiB) return rounded;
  const segment = alignUp(rounded, 2 * MiB);
  return segment - rounded > MiB ? rounded : segment;
}
