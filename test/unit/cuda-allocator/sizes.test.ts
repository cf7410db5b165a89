// What PyTorch says of its own sizes, in the comment that opens c10/cuda/CUDACachingAllocator.cpp and in Note [Expandable Segments]:
// small requests are packed into 2 MiB, requests between 1 and 10 MiB into 20 MiB, larger ones are taken as they are, rounded to 2 MiB.
import { describe, expect, it } from 'vitest';
import { createAllocator } from '../../../src/sim/cuda-allocator/index.ts';
import { segmentBytes } from '../../../src/sim/cuda-allocator/sizes.ts';
import { GiB, MiB } from '../../../src/units.ts';

const deviceBytes = GiB;

describe('what a first request takes from the device', () => {
  it.each([
    [1, 512, 2 * MiB],
    [513, 1024, 2 * MiB],
    [MiB, MiB, 2 * MiB],
    [MiB + 1, MiB + 512, 20 * MiB],
    [10 * MiB - 1, 10 * MiB, 10 * MiB],
    [10 * MiB - 512, 10 * MiB - 512, 20 * MiB],
    [10 * MiB, 10 * MiB, 10 * MiB],
    [10 * MiB + 1, 10 * MiB + 512, 12 * MiB],
  ])('%i bytes: %i allocated, %i reserved', (bytes, allocatedBytes, reservedBytes) => {
    const allocator = createAllocator('caching', { deviceBytes });
    allocator.allocate(bytes);
    expect(allocator.statistics()).toMatchObject({
      allocatedBytes,
      reservedBytes,
      requestedBytes: bytes,
      deviceAllocations: 1,
    });
  });

  it.each([
    [1, 2 * MiB, 1],
    [MiB + 1, 20 * MiB, 1],
    [20 * MiB, 20 * MiB, 1],
    [20 * MiB + 1, 40 * MiB, 2],
  ])('%i bytes with expandable segments: whole pages, %i bytes', (bytes, reservedBytes, pagesMapped) => {
    const allocator = createAllocator('expandable', { deviceBytes });
    allocator.allocate(bytes);
    expect(allocator.statistics()).toMatchObject({ reservedBytes, pagesMapped, segments: 0 });
  });

  it('packs nine 2 MiB tensors and more into one 20 MiB segment', () => {
    const allocator = createAllocator('caching', { deviceBytes });
    for (let i = 0; i < 10; i++) allocator.allocate(2 * MiB);
    expect(allocator.statistics()).toMatchObject({ segments: 1, reservedBytes: 20 * MiB });
    allocator.allocate(2 * MiB);
    expect(allocator.statistics().segments).toBe(2);
  });

  it('rounds segments as the release does', () => {
    expect(segmentBytes(512)).toBe(2 * MiB);
    expect(segmentBytes(21 * MiB)).toBe(22 * MiB);
  });
});

describe('the sliver that Note [Expandable Segments] describes: batch N, then N + 1', () => {
  const rows = (n: number) => [n * 12 * MiB, n * 30 * MiB];
  const peak = (kind: 'caching' | 'expandable') => {
    const allocator = createAllocator(kind, { deviceBytes });
    for (const n of [4, 5]) {
      const handles = rows(n).map((bytes) => allocator.allocate(bytes) as number);
      for (const handle of handles) allocator.free(handle);
    }
    return allocator.statistics().peakReservedBytes;
  };

  it('the old segments are of no use to the larger batch', () => {
    // 48 and 120 MiB stay cached; 60 MiB is cut from the 120, 150 is new.
    expect(peak('caching')).toBe((48 + 120 + 150) * MiB);
  });

  it('an expandable segment grows by what is missing', () => {
    expect(peak('expandable')).toBe(220 * MiB);
  });
});

describe('a buffer of one’s own', () => {
  it('asks the device once and joins free pieces by moving', () => {
    const allocator = createAllocator('manual', { deviceBytes: 100 * MiB });
    const handles = [30, 30, 30].map((mib) => allocator.allocate(mib * MiB) as number);
    allocator.free(handles[0]!);
    expect(allocator.allocate(40 * MiB)).not.toBe('out-of-memory');
    expect(allocator.statistics()).toMatchObject({ deviceAllocations: 1, movedBytes: 60 * MiB, outOfMemory: 0 });
    expect(allocator.allocate(MiB)).toBe('out-of-memory');
  });

  it('is reset when all is freed', () => {
    const allocator = createAllocator('manual', { deviceBytes: 100 * MiB });
    const handles = [60, 20].map((mib) => allocator.allocate(mib * MiB) as number);
    for (const handle of handles) allocator.free(handle);
    allocator.allocate(90 * MiB);
    expect(allocator.statistics().movedBytes).toBe(0);
  });
});
