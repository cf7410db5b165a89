// Laws of the allocators of GPU memory over random requests, frees and emptied caches.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type AllocatorKind, allocatorKinds, createAllocator } from '../../src/sim/cuda-allocator/index.ts';
import { MiB } from '../../src/units.ts';

const deviceBytes = 256 * MiB + 12_345;

const bytes = fc.oneof(
  fc.integer({ min: 1, max: 5000 }),
  fc.integer({ min: 1, max: 2 * MiB }),
  fc.integer({ min: MiB, max: 40 * MiB }),
  fc.constantFrom(512, MiB, MiB + 1, 2 * MiB, 10 * MiB, 20 * MiB),
);
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ take: bytes }) },
  { weight: 4, arbitrary: fc.record({ give: fc.nat(1000) }) },
  { weight: 1, arbitrary: fc.constant({ empty: true as const }) },
);
type Operation = { take: number } | { give: number } | { empty: true };
const operations = fc.array(operation, { maxLength: 60 }) as fc.Arbitrary<Operation[]>;

function play(kind: AllocatorKind, sequence: readonly Operation[]) {
  const allocator = createAllocator(kind, { deviceBytes });
  const live: { handle: number; bytes: number }[] = [];
  for (const step of sequence) {
    if ('take' in step) {
      const handle = allocator.allocate(step.take);
      if (handle !== 'out-of-memory') live.push({ handle, bytes: step.take });
    } else if ('give' in step) {
      const [gone] = live.splice(step.give % (live.length || 1), 1);
      if (gone) allocator.free(gone.handle);
    } else allocator.emptyCache();
  }
  return { allocator, live };
}

describe.each(allocatorKinds)('%s', (kind) => {
  it('live blocks lie in segments, apart, and the sums agree', () => {
    fc.assert(
      fc.property(operations, (sequence) => {
        const { allocator, live } = play(kind, sequence);
        const now = allocator.statistics();
        const segments = allocator.snapshot();
        const blocks = segments.flatMap((segment) => segment.blocks);
        const allocated = blocks.filter((block) => block.allocated);
        const sumOf = (list: readonly { bytes: number }[]) => list.reduce((total, block) => total + block.bytes, 0);
        expect(sumOf(segments)).toBe(now.reservedBytes);
        expect(sumOf(blocks)).toBe(now.reservedBytes);
        expect(sumOf(allocated)).toBe(now.allocatedBytes);
        expect(allocated).toHaveLength(live.length);
        expect(now.requestedBytes).toBe(sumOf(live));
        expect(now.requestedBytes).toBeLessThanOrEqual(now.allocatedBytes);
        expect(now.allocatedBytes).toBeLessThanOrEqual(now.reservedBytes);
        expect(now.peakReservedBytes).toBeLessThanOrEqual(deviceBytes);
        expect(allocated.every((block) => block.bytes % 512 === 0)).toBe(true);
        const places = live
          .map(({ handle, bytes: size }) => [allocator.addressOf(handle), size] as const)
          .sort(([a], [b]) => a - b);
        for (let i = 1; i < places.length; i++)
          expect(places[i - 1]![0] + places[i - 1]![1]).toBeLessThanOrEqual(places[i]![0]);
        for (const [address, size] of places) {
          expect(
            segments.some((segment) => segment.address <= address && address + size <= segment.address + segment.bytes),
          ).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('two free blocks are never neighbours', () => {
    fc.assert(
      fc.property(operations, (sequence) => {
        for (const { blocks } of play(kind, sequence).allocator.snapshot()) {
          for (let i = 1; i < blocks.length; i++) expect(blocks[i - 1]!.allocated || blocks[i]!.allocated).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('the largest request that it names is granted, and the next one refused', () => {
    fc.assert(
      fc.property(operations, (sequence) => {
        const largest = play(kind, sequence).allocator.largestAllocatable();
        if (largest > 0) expect(play(kind, sequence).allocator.allocate(largest)).not.toBe('out-of-memory');
        expect(play(kind, sequence).allocator.allocate(largest + 512)).toBe('out-of-memory');
      }),
      { numRuns: 300 },
    );
  });

  it('freeing all and emptying the cache leaves nothing but the buffer', () => {
    fc.assert(
      fc.property(operations, (sequence) => {
        const { allocator, live } = play(kind, sequence);
        for (const { handle } of live) allocator.free(handle);
        allocator.emptyCache();
        const now = allocator.statistics();
        expect(now).toMatchObject({ allocatedBytes: 0, requestedBytes: 0, inactiveSplitBytes: 0, inactiveSplits: 0 });
        expect(now.reservedBytes).toBe(kind === 'manual' ? deviceBytes : 0);
        if (kind !== 'manual') expect(now.deviceAllocations).toBeGreaterThanOrEqual(now.segments);
        expect(now.pagesMapped).toBe(now.pagesUnmapped);
      }),
      { numRuns: 200 },
    );
  });
});

describe('an emptied cache', () => {
  it('keeps only segments with a live block; with expandable segments, only pages with one', () => {
    fc.assert(
      fc.property(operations, (sequence) => {
        for (const kind of ['caching', 'expandable'] as const) {
          const { allocator } = play(kind, sequence);
          allocator.emptyCache();
          for (const { blocks, pool } of allocator.snapshot()) {
            expect(blocks.some((block) => block.allocated)).toBe(true);
            const pageBytes = pool === 'small' ? 2 * MiB : 20 * MiB;
            // A free piece without a whole page in it is shorter than two pages.
            if (kind === 'expandable')
              expect(blocks.filter((block) => !block.allocated).every((block) => block.bytes < 2 * pageBytes)).toBe(
                true,
              );
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
