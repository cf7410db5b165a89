// The allocator's memory as `torch.cuda.memory_snapshot()` lists it: segments by address, each with its blocks in order; of an
// expandable segment, one entry for each stretch with memory behind it.
import type { Block } from './block.ts';
import type { SegmentSnapshot } from './types.ts';

export function snapshotOf(blocks: readonly Block[]): SegmentSnapshot[] {
  const segments: SegmentSnapshot[] = [];
  for (const head of blocks) {
    if (head.prev?.mapped) continue;
    const segment: SegmentSnapshot = { address: head.address, bytes: 0, pool: head.pool.name, blocks: [] };
    for (let block: Block | null = head; block?.mapped; block = block.next) {
      segment.blocks.push({ bytes: block.bytes, allocated: block.allocated });
      segment.bytes += block.bytes;
    }
    segments.push(segment);
  }
  return segments.sort((a, b) => a.address - b.address);
}
