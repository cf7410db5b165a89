// What torch's caching allocator counts as allocated for a list of tensors. Law: c10/cuda/CUDACachingAllocator.cpp; the
// start-ups that show it are those of phi-4 (27.31 GiB of tensors, 27.39 printed).
import { alignUp, MiB } from '../../../units.ts';

const smallLimit = 1 * MiB;
const largeSegment = 20 * MiB;
const segmentStep = 2 * MiB;

/**
 * Bytes of the blocks that hold tensors of these sizes, allocated in this order. A size is rounded to 512 bytes; up to 1 MiB
 * it comes from the small pool and counts as that; from 10 MiB it gets a segment of its own, rounded to 2 MiB, below that one
 * of 20 MiB. A block is split when more than 1 MiB would be left over, else the rest stays with the tensor; what was split
 * off serves later requests, the tightest fit first. With a split limit (vLLM 0.21 on: 20 MiB while loading), larger
 * blocks are neither split nor given to smaller requests.
 */
export function allocatedBytes(sizes: Iterable<number>, splitLimit = Number.POSITIVE_INFINITY): number {
  const free: number[] = [];
  let used = 0;
  for (const bytes of sizes) {
    if (bytes <= 0) continue;
    const size = alignUp(bytes, 512);
    if (size <= smallLimit) {
      used += size;
      continue;
    }
    const block =
      takeFree(free, size, splitLimit) ?? (size < largeSegment / 2 ? largeSegment : alignUp(size, segmentStep));
    const rest = block - size;
    if (rest > smallLimit && size < splitLimit) {
      free.push(rest);
      used += size;
    } else used += block;
  }
  return used;
}

function takeFree(free: number[], size: number, splitLimit: number): number | undefined {
  let best = -1;
  for (let i = 0; i < free.length; i++) {
    const block = free[i]!;
    if (block < size || (size < splitLimit && block >= splitLimit)) continue;
    if (best < 0 || block < free[best]!) best = i;
  }
  return best < 0 ? undefined : free.splice(best, 1)[0];
}
