// PyTorch's CUDA caching allocator on one stream: best fit among cached blocks, else a new segment (or more pages of an expandable
// one), else oversize blocks and then the whole cache go back to the device for another try. The order of steps and every rule is that of
// c10/cuda/CUDACachingAllocator.cpp, PyTorch 2.10.0; test/fixtures/cuda-allocator/ holds that library's own answers (2.5.1 and 2.15.0
// gave the same ones). Left out: several streams, graph pools, garbage_collection_threshold and roundup_power2_divisions, which are off
// unless somebody sets them.
import { assert } from '../../assert.ts';
import { type Block, type BlockPool, createBlock, createPool, isSplit, merge } from './block.ts';
import type { DeviceMemory } from './device.ts';
import { ExpandablePages } from './expandable-pages.ts';
import { largestRequest } from './largest.ts';
import { largeBufferBytes, minBlockBytes, roundedBytes, segmentBytes, smallBytes } from './sizes.ts';
import { snapshotOf } from './snapshot.ts';
import type { AllocationHandle, AllocatorStatistics, GpuAllocator, SegmentSnapshot } from './types.ts';
import { noStatistics } from './types.ts';

interface CachingOptions {
  /** expandable_segments:True */
  expandable: boolean;
  /** max_split_size_mb, in bytes; unlimited by default. */
  maxSplitBytes?: number;
}

export class CachingAllocator implements GpuAllocator {
  readonly kind: 'caching' | 'expandable';
  readonly #device: DeviceMemory;
  readonly #maxSplitBytes: number;
  readonly #small = createPool('small');
  readonly #large = createPool('large');
  readonly #live = new Map<AllocationHandle, Block>();
  readonly #statistics = noStatistics();
  readonly #pages: ExpandablePages | null;
  #nextHandle = 0;

  constructor(device: DeviceMemory, { expandable, maxSplitBytes = Number.POSITIVE_INFINITY }: CachingOptions) {
    this.kind = expandable ? 'expandable' : 'caching';
    this.#device = device;
    this.#maxSplitBytes = maxSplitBytes;
    this.#pages = expandable ? new ExpandablePages(device, this.#statistics) : null;
  }

  allocate(bytes: number): AllocationHandle | 'out-of-memory' {
    const rounded = roundedBytes(bytes);
    const pool = rounded <= smallBytes ? this.#small : this.#large;
    const block = this.#cached(pool, rounded) ?? this.#fresh(pool, rounded);
    if (!block) {
      this.#statistics.outOfMemory++;
      return 'out-of-memory';
    }
    const taken = this.#hasRemainder(block, rounded) ? this.#cut(block, rounded) : this.#whole(block);
    taken.allocated = true;
    taken.requestedBytes = bytes;
    const handle = this.#nextHandle++;
    this.#live.set(handle, taken);
    const statistics = this.#statistics;
    statistics.allocatedBytes += taken.bytes;
    statistics.requestedBytes += bytes;
    statistics.peakAllocatedBytes = Math.max(statistics.peakAllocatedBytes, statistics.allocatedBytes);
    return handle;
  }

  free(handle: AllocationHandle): void {
    const block = this.#blockOf(handle);
    this.#live.delete(handle);
    const statistics = this.#statistics;
    statistics.allocatedBytes -= block.bytes;
    statistics.requestedBytes -= block.requestedBytes;
    block.allocated = false;
    let splits = 0;
    let splitBytes = 0;
    for (const neighbour of [block.prev, block.next]) {
      const joined = merge(block, neighbour);
      if (joined === 0) continue;
      splits--;
      splitBytes -= joined;
    }
    block.pool.free.add(block);
    if (block.segment) return;
    statistics.inactiveSplits += splits + (isSplit(block) ? 1 : 0);
    statistics.inactiveSplitBytes += splitBytes + (isSplit(block) ? block.bytes : 0);
  }

  addressOf(handle: AllocationHandle): number {
    return this.#blockOf(handle).address;
  }

  emptyCache(): void {
    for (const pool of [this.#large, this.#small]) this.#releaseAll(pool);
  }

  largestAllocatable(): number {
    return largestRequest({
      pools: [this.#small, this.#large],
      device: this.#device,
      expandable: this.#pages !== null,
      live: [...this.#live.values()],
    });
  }

  statistics(): Readonly<AllocatorStatistics> {
    return this.#statistics;
  }

  snapshot(): SegmentSnapshot[] {
    return snapshotOf([...this.#small.free.values(), ...this.#large.free.values(), ...this.#live.values()]);
  }

  #blockOf(handle: AllocationHandle): Block {
    const block = this.#live.get(handle);
    assert(block, `allocation ${handle} is not live`);
    return block;
  }

  /** get_free_block: the smallest cached block that holds the request, of equal ones the lowest. */
  #cached(pool: BlockPool, bytes: number): Block | undefined {
    let index = pool.free.lowerBound((block) => block.bytes - bytes);
    if (this.#pages) index = this.#pages.leastGrowing(pool, index);
    const block = pool.free.at(index);
    if (!block || !isAllowed(block, bytes, this.#maxSplitBytes)) return undefined;
    pool.free.delete(block);
    return block;
  }

  /** alloc_block, with what is released before another try: first oversize blocks (max_split_size_mb only), then all that is cached. */
  #fresh(pool: BlockPool, bytes: number): Block | undefined {
    const first = this.#take(pool, bytes);
    if (first) return first;
    if (this.#releaseOversize(pool, bytes)) {
      const second = this.#take(pool, bytes);
      if (second) return second;
    }
    this.emptyCache();
    this.#statistics.retries++;
    return this.#take(pool, bytes);
  }

  #take(pool: BlockPool, bytes: number): Block | undefined {
    if (this.#pages) return this.#pages.take(pool, bytes);
    const size = segmentBytes(bytes);
    if (!this.#device.take(size)) return undefined;
    const statistics = this.#statistics;
    statistics.segments++;
    statistics.deviceAllocations++;
    statistics.reservedBytes += size;
    statistics.peakReservedBytes = Math.max(statistics.peakReservedBytes, statistics.reservedBytes);
    return createBlock({ address: this.#device.reserveAddresses(size), bytes: size, pool });
  }

  /** should_split */
  #hasRemainder(block: Block, bytes: number): boolean {
    const remaining = block.bytes - bytes;
    if (block.pool.name === 'small' || this.#pages) return remaining >= minBlockBytes;
    return bytes < this.#maxSplitBytes && remaining > smallBytes;
  }

  /** The front of the block becomes the allocation, the rest stays cached. */
  #cut(block: Block, bytes: number): Block {
    const wasSplit = isSplit(block);
    const front = createBlock({ address: block.address, bytes, pool: block.pool, segment: block.segment });
    front.prev = block.prev;
    if (front.prev) front.prev.next = front;
    front.next = block;
    block.prev = front;
    block.address += bytes;
    block.bytes -= bytes;
    block.pool.free.add(block);
    if (block.segment) return front;
    if (wasSplit) this.#statistics.inactiveSplitBytes -= bytes;
    else {
      this.#statistics.inactiveSplitBytes += block.bytes;
      this.#statistics.inactiveSplits++;
    }
    return front;
  }

  #whole(block: Block): Block {
    if (isSplit(block) && !block.segment) {
      this.#statistics.inactiveSplitBytes -= block.bytes;
      this.#statistics.inactiveSplits--;
    }
    return block;
  }

  /** release_available_cached_blocks: enough oversize blocks for the request, the largest first when no single one is enough. */
  #releaseOversize(pool: BlockPool, bytes: number): boolean {
    if (this.#maxSplitBytes === Number.POSITIVE_INFINITY || this.#pages) return false;
    const wanted = Math.max(bytes, this.#maxSplitBytes);
    let index = pool.free.lowerBound((block) => block.bytes - wanted);
    const single = pool.free.at(index);
    if (single) {
      this.#release(single);
      return true;
    }
    let released = 0;
    while (released < wanted && index > 0) {
      const block = pool.free.at(--index)!;
      if (block.bytes < this.#maxSplitBytes) break;
      released += block.bytes;
      this.#release(block);
    }
    return released >= wanted;
  }

  #releaseAll(pool: BlockPool): void {
    const blocks = [...pool.free.values()];
    for (const block of blocks) {
      if (this.#pages) this.#pages.release(block);
      else if (!isSplit(block)) this.#release(block);
    }
  }

  /** cudaFree of a whole segment. */
  #release(block: Block): void {
    block.pool.free.delete(block);
    this.#device.give(block.bytes);
    this.#statistics.deviceFrees++;
    this.#statistics.segments--;
    this.#statistics.reservedBytes -= block.bytes;
  }
}

/** Blocks from max_split_size up serve only requests of that size, and only those that leave less than 20 MiB of them unused. */
function isAllowed(block: Block, bytes: number, maxSplitBytes: number): boolean {
  if (bytes < maxSplitBytes) return block.bytes < maxSplitBytes;
  return block.bytes < bytes + largeBufferBytes;
}
