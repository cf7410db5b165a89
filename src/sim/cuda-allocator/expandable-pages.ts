// How the caching allocator takes memory with expandable_segments:True: it maps pages at the lowest address where free and
// unbacked ranges together hold the request, and unmaps the wholly free pages of cached blocks when the cache is emptied.
// Source: find_expandable_block, map_block, try_allocate_expandable_block, unmap_block, release_expandable_segment in
// c10/cuda/CUDACachingAllocator.cpp, PyTorch 2.10.0.
import { divExact } from '../../units.ts';
import { type Block, type BlockPool, createBlock, isSplit, merge, splice } from './block.ts';
import type { DeviceMemory } from './device.ts';
import { ExpandableSegment } from './expandable-segment.ts';
import { largeBufferBytes, smallBufferBytes } from './sizes.ts';
import type { AllocatorStatistics } from './types.ts';

export class ExpandablePages {
  readonly #device: DeviceMemory;
  readonly #statistics: AllocatorStatistics;

  constructor(device: DeviceMemory, statistics: AllocatorStatistics) {
    this.#device = device;
    this.#statistics = statistics;
  }

  /**
   * A block before unbacked addresses counts for the best fit with the size it can grow to: from the block found by size, on to the
   * next ones as long as they can grow to less.
   */
  leastGrowing(pool: BlockPool, index: number): number {
    let best = index;
    for (let next = best + 1; next < pool.free.size; next++) {
      if (grownBytes(pool.free.at(next)!) >= grownBytes(pool.free.at(best)!)) break;
      best = next;
    }
    return best;
  }

  /** A free block of at least so many bytes, out of its pool; undefined when the device has too little (pages mapped so far stay). */
  take(pool: BlockPool, bytes: number): Block | undefined {
    let candidate = this.#lowestRoom(pool, bytes);
    if (!candidate.mapped && !this.#map(candidate, Math.min(candidate.bytes, bytes))) return undefined;
    while (candidate.bytes < bytes) {
      const next: Block = candidate.next!;
      if (!this.#map(next, Math.min(bytes - candidate.bytes, next.bytes))) return undefined;
      candidate = next;
    }
    pool.free.delete(candidate);
    return candidate;
  }

  /** Unmaps what whole pages a cached block has; the segment goes when nothing of it is left. */
  release(block: Block): void {
    const unmapped = block.segment!.unmap(block);
    if (!unmapped) return;
    const { pool, segment } = block;
    pool.free.delete(block);
    const before = unmapped.address - block.address;
    const after = block.bytes - before - unmapped.bytes;
    if (before > 0) {
      const front = createBlock({ address: block.address, bytes: before, pool, segment });
      splice(front, block.prev, block);
      pool.free.add(front);
    }
    if (after > 0) {
      const back = createBlock({ address: unmapped.address + unmapped.bytes, bytes: after, pool, segment });
      splice(back, block, block.next);
      pool.free.add(back);
    }
    block.address = unmapped.address;
    block.bytes = unmapped.bytes;
    block.mapped = false;
    merge(block, block.prev);
    merge(block, block.next);
    if (isSplit(block)) pool.unmapped.add(block);
    this.#statistics.reservedBytes -= unmapped.bytes;
    this.#statistics.deviceFrees++;
    this.#statistics.pagesUnmapped += divExact(unmapped.bytes, segment!.pageBytes);
  }

  /** The first block of the lowest run of free and unbacked ranges that is long enough; a new segment where there is none. */
  #lowestRoom(pool: BlockPool, bytes: number): Block {
    for (const unmapped of pool.unmapped.values()) {
      const { prev } = unmapped;
      const start = prev && !prev.allocated ? prev : unmapped;
      if (runBytes(start, bytes) >= bytes) return start;
    }
    const segment = new ExpandableSegment(this.#device, pageBytesOf(pool));
    const { address, bytes: size } = segment;
    const block = createBlock({ address, bytes: size, pool, mapped: false, segment });
    pool.unmapped.add(block);
    return block;
  }

  #map(block: Block, bytes: number): boolean {
    const { pool, segment } = block;
    const range = segment!.map({ address: block.address, bytes });
    if (!range) return false;
    pool.unmapped.delete(block);
    block.mapped = true;
    if (range.bytes < block.bytes) {
      const rest = createBlock({
        address: block.address + range.bytes,
        bytes: block.bytes - range.bytes,
        pool,
        mapped: false,
        segment,
      });
      splice(rest, block, block.next);
      pool.unmapped.add(rest);
      block.bytes = range.bytes;
    }
    merge(block, block.prev);
    merge(block, block.next);
    pool.free.add(block);
    const statistics = this.#statistics;
    statistics.reservedBytes += range.bytes;
    statistics.peakReservedBytes = Math.max(statistics.peakReservedBytes, statistics.reservedBytes);
    statistics.deviceAllocations++;
    statistics.pagesMapped += divExact(range.bytes, segment!.pageBytes);
    return true;
  }
}

export function pageBytesOf(pool: BlockPool): number {
  return pool.name === 'small' ? smallBufferBytes : largeBufferBytes;
}

function grownBytes(block: Block): number {
  return block.bytes + (block.next && !block.next.mapped ? block.next.bytes : 0);
}

/** Bytes from this block on that are free or unbacked, counted up to `enough`. */
function runBytes(start: Block, enough: number): number {
  let bytes = 0;
  for (let block: Block | null = start; block && bytes < enough && !block.allocated; block = block.next) {
    bytes += block.bytes;
  }
  return bytes;
}
