// Blocks and pools of PyTorch's caching allocator: a segment is a chain of neighbouring blocks, each live, free or (expandable segments
// only) an address range without memory. Free blocks of a pool are ordered by size, then address; ranges without memory by address.
// Source: struct Block, BlockPool, try_merge_blocks in c10/cuda/CUDACachingAllocator.cpp, PyTorch 2.10.0; one stream.
import { assert } from '../../assert.ts';
import type { ExpandableSegment } from './expandable-segment.ts';
import { OrderedSet } from './ordered-set.ts';

export interface Block {
  address: number;
  bytes: number;
  requestedBytes: number;
  readonly pool: BlockPool;
  allocated: boolean;
  mapped: boolean;
  prev: Block | null;
  next: Block | null;
  readonly segment: ExpandableSegment | null;
}

export interface BlockPool {
  readonly name: 'small' | 'large';
  readonly free: OrderedSet<Block>;
  readonly unmapped: OrderedSet<Block>;
}

export function createPool(name: 'small' | 'large'): BlockPool {
  return {
    name,
    free: new OrderedSet<Block>((a, b) => a.bytes - b.bytes || a.address - b.address),
    unmapped: new OrderedSet<Block>((a, b) => a.address - b.address),
  };
}

interface NewBlock {
  address: number;
  bytes: number;
  pool: BlockPool;
  mapped?: boolean;
  segment?: ExpandableSegment | null;
}

export function createBlock({ address, bytes, pool, mapped = true, segment = null }: NewBlock): Block {
  return { address, bytes, requestedBytes: 0, pool, allocated: false, mapped, prev: null, next: null, segment };
}

/** Whether the block shares its segment with others. */
export function isSplit(block: Block): boolean {
  return block.prev !== null || block.next !== null;
}

/** Puts a new block between two neighbours. */
export function splice(block: Block, before: Block | null, after: Block | null): void {
  if (before) before.next = block;
  if (after) after.prev = block;
  block.prev = before;
  block.next = after;
}

/** Joins a free neighbour of the same kind (with memory, or without) into the block; the bytes that it brought, 0 if it stays. */
export function merge(block: Block, neighbour: Block | null): number {
  if (!neighbour || neighbour.allocated || neighbour.mapped !== block.mapped) return 0;
  const { pool } = block;
  const erased = neighbour.mapped ? pool.free.delete(neighbour) : pool.unmapped.delete(neighbour);
  assert(erased, 'a free neighbour is not in its pool');
  if (block.prev === neighbour) {
    block.address = neighbour.address;
    block.prev = neighbour.prev;
    if (block.prev) block.prev.next = block;
  } else {
    block.next = neighbour.next;
    if (block.next) block.next.prev = block;
  }
  block.bytes += neighbour.bytes;
  return neighbour.bytes;
}
