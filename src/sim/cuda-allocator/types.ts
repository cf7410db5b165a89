// What every allocator of GPU memory in this folder answers, whoever keeps the books: requests come in bytes, one process, one
// device, one stream. Nothing here knows models; plan/sharing/allocator.ts turns loads and unloads into requests.

/**
 * caching: PyTorch's CUDA caching allocator as it comes. expandable: the same with `expandable_segments:True`.
 * manual: one buffer taken once and filled from the front, as runtimes with buffers of their own do.
 */
export const allocatorKinds = ['caching', 'expandable', 'manual'] as const;
export type AllocatorKind = (typeof allocatorKinds)[number];

/** A live allocation. Never reused. */
export type AllocationHandle = number;

export interface AllocatorStatistics {
  /** Bytes of live blocks, rounded as the allocator rounds; and as they were asked for. */
  allocatedBytes: number;
  requestedBytes: number;
  /** Bytes taken from the device. */
  reservedBytes: number;
  /** Free bytes that share a segment with live ones and so cannot go back to the device; PyTorch counts none with expandable segments. */
  inactiveSplitBytes: number;
  inactiveSplits: number;
  peakAllocatedBytes: number;
  peakReservedBytes: number;
  /** Live results of cudaMalloc. Expandable segments are not among them. */
  segments: number;
  /** Calls that took memory from the device and gave it back: cudaMalloc and cudaFree, or one for each stretch of pages mapped and unmapped. */
  deviceAllocations: number;
  deviceFrees: number;
  /** Physical pages mapped and unmapped (cuMemCreate and cuMemMap, cuMemUnmap and cuMemRelease). */
  pagesMapped: number;
  pagesUnmapped: number;
  /** Requests for which the cache was emptied before another try, and requests refused. */
  retries: number;
  outOfMemory: number;
  /** Bytes moved within the device to join free pieces; only buffers of one's own can do that. */
  movedBytes: number;
}

/** A stretch of device memory without a gap, as in `torch.cuda.memory_snapshot()`. */
export interface SegmentSnapshot {
  address: number;
  bytes: number;
  pool: 'small' | 'large';
  blocks: { bytes: number; allocated: boolean }[];
}

export interface GpuAllocator {
  readonly kind: AllocatorKind;
  /** A refusal leaves no block behind, but empties the cache on its way. */
  allocate(bytes: number): AllocationHandle | 'out-of-memory';
  free(handle: AllocationHandle): void;
  /** Where the allocation lies at the moment: an address for comparisons only. */
  addressOf(handle: AllocationHandle): number;
  emptyCache(): void;
  /** The largest single request that `allocate` would grant now, in bytes; 0 when none. Changes nothing. */
  largestAllocatable(): number;
  statistics(): Readonly<AllocatorStatistics>;
  snapshot(): SegmentSnapshot[];
}

export function noStatistics(): AllocatorStatistics {
  return {
    allocatedBytes: 0,
    requestedBytes: 0,
    reservedBytes: 0,
    inactiveSplitBytes: 0,
    inactiveSplits: 0,
    peakAllocatedBytes: 0,
    peakReservedBytes: 0,
    segments: 0,
    deviceAllocations: 0,
    deviceFrees: 0,
    pagesMapped: 0,
    pagesUnmapped: 0,
    retries: 0,
    outOfMemory: 0,
    movedBytes: 0,
  };
}
