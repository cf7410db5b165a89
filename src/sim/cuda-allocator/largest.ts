// The largest single request that the caching allocator would grant, worked out without changing it: a cached block, or what the device
// yields once the cache is emptied. With expandable segments the allocator tries only the lowest run of addresses that is long enough,
// so the runs are walked in its order. Law: find_expandable_block and the order of tries in c10/cuda/CUDACachingAllocator.cpp, 2.10.0.
import { divFloor } from '../../units.ts';
import { type Block, type BlockPool, isSplit } from './block.ts';
import type { DeviceMemory } from './device.ts';
import { pageBytesOf } from './expandable-pages.ts';
import { largeBufferBytes, minLargeBytes, roundLargeBytes, smallBufferBytes, smallBytes } from './sizes.ts';

interface Books {
  pools: readonly BlockPool[];
  device: DeviceMemory;
  expandable: boolean;
  live: readonly Block[];
}

export function largestRequest(books: Books): number {
  const freshBytes = books.expandable ? freshPages : freshSegment;
  const of = (name: BlockPool['name']): number =>
    Math.max(
      ...books.pools
        .filter((pool) => pool.name === name)
        .map((pool) => Math.max(pool.free.values().at(-1)?.bytes ?? 0, freshBytes(books, pool))),
    );
  const large = of('large');
  return large > smallBytes ? large : Math.min(of('small'), smallBytes);
}

/** What one cudaMalloc can bring when every segment without a live block went back. */
function freshSegment({ pools, device }: Books, pool: BlockPool): number {
  let free = device.freeBytes;
  for (const { free: blocks } of pools) for (const block of blocks.values()) if (!isSplit(block)) free += block.bytes;
  if (pool.name === 'small') return free >= smallBufferBytes ? smallBytes : 0;
  if (free < minLargeBytes) return 0;
  // Just below 10 MiB a request would take 20 MiB; from there on it takes itself, rounded to 2 MiB.
  return Math.max(
    free < largeBufferBytes ? minLargeBytes : largeBufferBytes,
    divFloor(free, roundLargeBytes) * roundLargeBytes,
  );
}

/** A stretch of an expandable segment's addresses. */
interface Stretch {
  bytes: number;
  state: 'live' | 'free' | 'unbacked';
}

/** What mapping pages can bring: as things are, and after all wholly free pages went back. */
function freshPages(books: Books, pool: BlockPool): number {
  const asIs = segmentsOf(books, pool);
  let released = 0;
  for (const other of books.pools)
    for (const block of other.free.values()) released += block.segment!.wholePages(block)?.bytes ?? 0;
  const emptied = asIs.map((blocks) => blocks.flatMap(withoutWholePages));
  const pageBytes = pageBytesOf(pool);
  const { freeBytes } = books.device;
  return Math.max(
    longestRun(
      asIs.map((blocks) => blocks.map(stretch)),
      { freeBytes, pageBytes },
    ),
    longestRun(emptied, { freeBytes: freeBytes + released, pageBytes }),
  );
}

/** The chains of blocks of a pool's segments, by address. */
function segmentsOf({ live }: Books, pool: BlockPool): Block[][] {
  const blocks = [...pool.free.values(), ...pool.unmapped.values(), ...live.filter((block) => block.pool === pool)];
  const heads = blocks.filter(({ prev }) => prev === null).sort((a, b) => a.address - b.address);
  return heads.map((head) => {
    const chain: Block[] = [];
    for (let block: Block | null = head; block; block = block.next) chain.push(block);
    return chain;
  });
}

function stretch({ bytes, allocated, mapped }: Block): Stretch {
  if (allocated) return { bytes, state: 'live' };
  return { bytes, state: mapped ? 'free' : 'unbacked' };
}

function withoutWholePages(block: Block): Stretch[] {
  const pages = block.allocated || !block.mapped ? undefined : block.segment!.wholePages(block);
  if (!pages) return [stretch(block)];
  const front = pages.address - block.address;
  const stretches: Stretch[] = [
    { bytes: front, state: 'free' },
    { bytes: pages.bytes, state: 'unbacked' },
    { bytes: block.bytes - front - pages.bytes, state: 'free' },
  ];
  return stretches.filter(({ bytes }) => bytes > 0);
}

interface Supply {
  freeBytes: number;
  pageBytes: number;
}

function longestRun(segments: readonly Stretch[][], { freeBytes, pageBytes }: Supply): number {
  const pages = divFloor(freeBytes, pageBytes);
  let longest = 0;
  let roomBefore = 0;
  for (const stretches of segments) {
    for (let i = 0; i < stretches.length; i++) {
      if (stretches[i]!.state !== 'unbacked') continue;
      const start = i > 0 && stretches[i - 1]!.state !== 'live' ? i - 1 : i;
      const { room, backed } = run(stretches.slice(start), pages, pageBytes);
      // A request that an earlier run has the addresses for is tried there and nowhere else.
      if (Math.min(room, backed) > roomBefore) longest = Math.max(longest, Math.min(room, backed));
      roomBefore = Math.max(roomBefore, room);
    }
  }
  // Past every run, a new segment.
  return pages * pageBytes > roomBefore ? Math.max(longest, pages * pageBytes) : longest;
}

/** How many addresses the run has until a live block, and how many bytes of it can be had with so many pages. */
function run(stretches: readonly Stretch[], pages: number, pageBytes: number): { room: number; backed: number } {
  let room = 0;
  let backed = 0;
  let left = pages * pageBytes;
  let ended = false;
  for (const { bytes, state } of stretches) {
    if (state === 'live') break;
    room += bytes;
    if (ended) continue;
    const had = state === 'free' ? bytes : Math.min(bytes, left);
    if (state === 'unbacked') left -= had;
    backed += had;
    ended = had < bytes;
  }
  return { room, backed };
}
