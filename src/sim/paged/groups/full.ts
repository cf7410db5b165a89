// Full attention (and MLA): every block is kept until the request ends; a hit is the longest run of cached blocks from the start.
// Law: FullAttentionManager in vllm/v1/core/single_type_kv_cache_manager.py.
import { divCeil } from '../../../units.ts';
import type { BlockKeys } from '../block-keys.ts';
import { fullTail } from '../partial-tail.ts';
import type { BlockTable, Sequence } from '../sequence.ts';
import { found, type HitQuery, KvGroup, quietInLastBlock, trimHits } from './group.ts';

export class FullGroup extends KvGroup {
  readonly type = 'full';
  readonly signature = `full ${this.blockSize}`;

  findHit(groups: readonly KvGroup[], query: HitQuery): number {
    const { keys, keyCount, maxLength, dropLast } = query;
    const limit = Math.min(Math.floor(maxLength / this.blockSize), Math.floor(keyCount / this.keysPerBlock));
    let blocks = 0;
    while (blocks < limit && this.cachedInAll(groups, keys, blocks)) {
      for (let g = 0; g < groups.length; g++) (groups[g] as KvGroup).hit.set(blocks, found[g] as number);
      blocks++;
    }
    let length = blocks * this.blockSize;
    const inside = this.alignment < this.blockSize ? this.keyInside(groups, blocks, query) : -1;
    if (inside >= 0) {
      for (let g = 0; g < groups.length; g++) (groups[g] as KvGroup).hit.set(blocks, found[g] as number);
      blocks++;
      length = (inside + 1) * this.alignment;
    }
    for (const group of groups) group.hit.length = blocks;
    if (dropLast && length > 0) length -= Math.min(this.alignment, this.blockSize);
    const aligned = length - (length % this.alignment);
    trimHits(groups, divCeil(aligned, this.blockSize));
    return aligned;
  }

  /** The last key inside block `block` under which it is cached in all groups; -1 if none. */
  private keyInside(groups: readonly KvGroup[], block: number, { keys, keyCount, maxLength }: HitQuery): number {
    const first = block * this.keysPerBlock;
    const end = Math.min(first + this.keysPerBlock - 1, Math.floor(maxLength / this.alignment), keyCount);
    for (let key = end - 1; key >= first; key--) if (this.keyInAll(groups, keys, key)) return key;
    return -1;
  }

  /** The last block of a prompt is also findable by the prefix that ends inside it. */
  override register(sequence: Sequence, table: BlockTable, tokens: number): void {
    super.register(sequence, table, tokens);
    const { tail } = this.context;
    const { partial, blockSize } = this;
    if (!partial || blockSize === tail.keySize) return;
    const boundary = fullTail({ ...tail, prompt: sequence.prompt, flagged: this.eagle });
    if (boundary === 0 || boundary > tokens || boundary % blockSize === 0) return;
    const block = table.ids[Math.floor(boundary / blockSize)] as number;
    if (boundary >= table.length * blockSize || block === 0) return;
    const keys = sequence.keys as BlockKeys;
    const key = boundary / tail.keySize - 1;
    partial.pool.registerPartial(block, keys.lo[key] as number, (keys.hi[key] as number) ^ this.keySalt, boundary);
  }

  quietUntil(table: BlockTable): number {
    return this.partial ? -1 : quietInLastBlock(table, this.blockSize, this.pool.caching);
  }
}
