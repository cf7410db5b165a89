// Chunked local attention: tokens attend within their chunk; what lies before the current chunk is given back, and counts as a hit
// even if nobody ever computed it. Law: ChunkedLocalAttentionManager in vllm/v1/core/single_type_kv_cache_manager.py.
import { divCeil } from '../../../units.ts';
import type { BlockTable } from '../sequence.ts';
import { found, type GroupContext, type HitQuery, KvGroup, quietInLastBlock } from './group.ts';

export class ChunkedGroup extends KvGroup {
  readonly type = 'chunked';
  readonly signature: string;

  constructor(
    context: GroupContext,
    private readonly chunk: number,
  ) {
    super(context);
    this.signature = `chunked ${this.blockSize} ${chunk}`;
  }

  override skippedTokens(computed: number): number {
    return Math.floor(computed / this.chunk) * this.chunk;
  }

  /** Up to 0.11.0 the last registered block stays, though its chunk is done: its hash begins the next one's. */
  protected override blocksToRelease(table: BlockTable, processed: number): number {
    const blocks = super.blocksToRelease(table, processed);
    if (this.rules.chunkRelease === 'all' || table.registered === 0) return blocks;
    return Math.min(blocks, table.registered - 1);
  }

  /** ceil(min(chunk + tokens in flight, max_model_len) / block size). */
  override get admissionCap(): number | undefined {
    const { maxInFlight, maxModelLen, rules } = this.context;
    if (rules.admissionCap === 'none') return undefined;
    return divCeil(Math.min(this.chunk + maxInFlight, maxModelLen), this.blockSize);
  }

  findHit(groups: readonly KvGroup[], { keys, maxLength }: HitQuery): number {
    const limit = Math.floor(maxLength / this.blockSize);
    let blocks = Math.floor(this.skippedTokens(maxLength) / this.blockSize);
    for (const { hit } of groups) for (let i = 0; i < blocks; i++) hit.set(i, 0);
    while (blocks < limit && this.cachedInAll(groups, keys, blocks)) {
      for (let g = 0; g < groups.length; g++) (groups[g] as KvGroup).hit.set(blocks, found[g] as number);
      blocks++;
    }
    for (const { hit } of groups) hit.length = blocks;
    return blocks * this.blockSize;
  }

  quietUntil(table: BlockTable): number {
    const inBlock = quietInLastBlock(table, this.blockSize, this.pool.caching);
    const chunkOfFirst = Math.floor((table.firstHeld * this.blockSize) / this.chunk);
    return Math.min(inBlock, (chunkOfFirst + 1) * this.chunk);
  }
}
