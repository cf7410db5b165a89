// Full attention (and MLA): every block is kept until the request ends; a hit is the longest run of cached blocks from the start.
// Law: FullAttentionManager in vllm/v1/core/single_type_kv_cache_manager.py.
import type { BlockTable } from '../sequence.ts';
import { found, type HitQuery, KvGroup, quietInLastBlock, trimHits } from './group.ts';

export class FullGroup extends KvGroup {
  readonly type = 'full';
  readonly signature = `full ${this.blockSize}`;

  findHit(groups: readonly KvGroup[], { keys, keyCount, maxLength, dropLast }: HitQuery): number {
    const limit = Math.min(Math.floor(maxLength / this.blockSize), Math.floor(keyCount / this.keysPerBlock));
    let blocks = 0;
    while (blocks < limit && this.cachedInAll(groups, keys, blocks)) {
      for (let g = 0; g < groups.length; g++) (groups[g] as KvGroup).hit.set(blocks, found[g] as number);
      blocks++;
    }
    for (const group of groups) group.hit.length = blocks;
    if (dropLast && blocks > 0) blocks--;
    const length = blocks * this.blockSize;
    const aligned = length - (length % this.alignment);
    trimHits(groups, aligned / this.blockSize);
    return aligned;
  }

  quietUntil(table: BlockTable): number {
    return quietInLastBlock(table, this.blockSize, this.pool.caching);
  }
}
