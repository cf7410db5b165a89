// How the blocks of an engine lie in the pages of a mapping policy. A page id is one physical page in every tensor of the cache: K and V of
// every layer (kvcached: a page is mapped in each layer and in K and V; 36 layers x 2 x 2 MiB = 144 MiB).
import type { KvPlan } from '../../engines/vllm/kv/types.ts';
import { straddledLayout } from '../../sim/sharing/page-layout.ts';
import type { PageId } from './types.ts';

/** Kinds whose layers keep one tensor instead of K and V apart. */
const oneTensor: ReadonlySet<string> = new Set(['mla', 'window-mla', 'mamba', 'ring']);

export interface BlockShape {
  /** Bytes of a block on the GPU that holds most of it. */
  blockBytes: number;
  /** Tensors that they are spread over. */
  tensors: number;
}

/** On the stage with the largest blocks: layers that share a block table lie in tensors of their own, groups side by side in the same ones. */
export function blockShape(kv: KvPlan): BlockShape {
  const { stageBytesPerBlock: stages, groups } = kv;
  const stage = stages.indexOf(Math.max(...stages));
  const layers = Math.max(1, ...groups.map((group) => group.stages[stage]?.layers ?? group.layers));
  const isSplit = groups.every(({ specs }) => specs.every(({ kind }) => !oneTensor.has(kind)));
  return { blockBytes: kv.bytesPerBlock, tensors: isSplit ? 2 * layers : layers };
}

/** Blocks never cross the edge of a page: floor(page / bytes of a block in one tensor). 0 blocks: not one fits. */
export function pageId({ blockBytes, tensors }: BlockShape, pageBytes: number, tokensPerBlock: number): PageId {
  const blocks = Math.floor((pageBytes * tensors) / blockBytes);
  return { bytes: pageBytes * tensors, pageBytes, tensors, blocks, tokens: blocks * tokensPerBlock };
}

/**
 * Whole blocks in so many pages where they lie one after the other and those that reach over the end of a page are never used (kvcached,
 * page_allocator.cpp get_block_range): page i has the blocks from ceil(i P / b) to floor((i + 1) P / b).
 */
export function straddledBlocks(pages: number, pageBytes: number, { blockBytes, tensors }: BlockShape): number {
  return straddledLayout(pages, pageBytes, blockBytes / tensors).at(-1)!;
}
