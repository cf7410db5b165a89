// A buffer of one's own: taken from the device once, filled from the front (a pointer moves on), reset when what lies at its end is
// freed; when the end is reached although enough is free below, what is live moves down. No rounding but to 512 bytes, no call to the
// device after the first. A model of what YaFSDP and Aegaeon do in place of a caching allocator (their sizes are known beforehand), not of
// their code; moving is possible because such a runtime hands out every view itself, and is counted.
import { assert } from '../../assert.ts';
import type { DeviceMemory } from './device.ts';
import { minBlockBytes, roundedBytes } from './sizes.ts';
import type { AllocationHandle, AllocatorStatistics, GpuAllocator, SegmentSnapshot } from './types.ts';
import { noStatistics } from './types.ts';

interface Piece {
  handle: AllocationHandle;
  address: number;
  bytes: number;
  requestedBytes: number;
  live: boolean;
}

export class ManualAllocator implements GpuAllocator {
  readonly kind = 'manual';
  readonly #bytes: number;
  readonly #base: number;
  /** By address, which is by handle: added at the end, in the same order when they move. The last one is live; holes go when pieces move. */
  #pieces: Piece[] = [];
  readonly #byHandle = new Map<AllocationHandle, Piece>();
  readonly #statistics = noStatistics();
  #nextHandle = 0;

  /** The buffer is the whole of the device's free memory unless said otherwise. */
  constructor(device: DeviceMemory, bufferBytes: number = device.freeBytes) {
    const taken = device.take(bufferBytes);
    assert(taken, `a buffer of ${bufferBytes} bytes on a device with ${device.freeBytes} free`);
    this.#bytes = bufferBytes;
    this.#base = device.reserveAddresses(bufferBytes);
    const statistics = this.#statistics;
    statistics.reservedBytes = bufferBytes;
    statistics.peakReservedBytes = bufferBytes;
    statistics.deviceAllocations = 1;
    statistics.segments = 1;
  }

  allocate(bytes: number): AllocationHandle | 'out-of-memory' {
    const rounded = roundedBytes(bytes);
    const statistics = this.#statistics;
    if (this.#top() + rounded > this.#bytes) {
      if (statistics.allocatedBytes + rounded > this.#bytes) {
        statistics.outOfMemory++;
        return 'out-of-memory';
      }
      this.#moveDown();
    }
    const handle = this.#nextHandle++;
    const piece = { handle, address: this.#top(), bytes: rounded, requestedBytes: bytes, live: true };
    this.#pieces.push(piece);
    this.#byHandle.set(handle, piece);
    statistics.allocatedBytes += rounded;
    statistics.requestedBytes += bytes;
    statistics.peakAllocatedBytes = Math.max(statistics.peakAllocatedBytes, statistics.allocatedBytes);
    this.#countHoles();
    return handle;
  }

  free(handle: AllocationHandle): void {
    const piece = this.#pieceOf(handle);
    this.#byHandle.delete(handle);
    // A freed piece at the end lowers the pointer; one in the middle stays a hole until the end comes down to it.
    piece.live = false;
    while (this.#pieces.at(-1)?.live === false) this.#pieces.pop();
    this.#statistics.allocatedBytes -= piece.bytes;
    this.#statistics.requestedBytes -= piece.requestedBytes;
    this.#countHoles();
  }

  addressOf(handle: AllocationHandle): number {
    return this.#base + this.#pieceOf(handle).address;
  }

  emptyCache(): void {}

  largestAllocatable(): number {
    const free = this.#bytes - this.#statistics.allocatedBytes;
    return free - (free % minBlockBytes);
  }

  statistics(): Readonly<AllocatorStatistics> {
    return this.#statistics;
  }

  snapshot(): SegmentSnapshot[] {
    const blocks: SegmentSnapshot['blocks'] = [];
    let end = 0;
    for (const { address, bytes, live } of this.#pieces) {
      if (!live) continue;
      if (address > end) blocks.push({ bytes: address - end, allocated: false });
      blocks.push({ bytes, allocated: true });
      end = address + bytes;
    }
    if (end < this.#bytes) blocks.push({ bytes: this.#bytes - end, allocated: false });
    return [{ address: this.#base, bytes: this.#bytes, pool: 'large', blocks }];
  }

  #pieceOf(handle: AllocationHandle): Piece {
    const piece = this.#byHandle.get(handle);
    assert(piece, `allocation ${handle} is not live`);
    return piece;
  }

  #top(): number {
    const last = this.#pieces.at(-1);
    return last ? last.address + last.bytes : 0;
  }

  #moveDown(): void {
    let end = 0;
    this.#pieces = this.#pieces.filter(({ live }) => live);
    for (const piece of this.#pieces) {
      if (piece.address > end) {
        piece.address = end;
        this.#statistics.movedBytes += piece.bytes;
      }
      end += piece.bytes;
    }
  }

  #countHoles(): void {
    this.#statistics.inactiveSplitBytes = this.#top() - this.#statistics.allocatedBytes;
  }
}
