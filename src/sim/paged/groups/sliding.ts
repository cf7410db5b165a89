// Sliding-window attention: blocks that left the window are given back; a hit needs only the blocks that fill the window, searched
// from the right. Law: SlidingWindowManager in vllm/v1/core/single_type_kv_cache_manager.py; the cap of one request is
// SlidingWindowSpec.max_admission_blocks_per_request in vllm/v1/kv_cache_interface.py.
import { divCeil } from '../../../units.ts';
import type { FreeOrder } from '../block-pool.ts';
import type { BlockTable } from '../sequence.ts';
import { found, type GroupContext, type HitQuery, KvGroup, quietInLastBlock } from './group.ts';

export class SlidingGroup extends KvGroup {
  readonly type = 'sliding';
  readonly signature: string;

  constructor(
    context: GroupContext,
    private readonly window: number,
  ) {
    super(context);
    this.signature = `sliding ${this.blockSize} ${window}`;
  }

  /** The window of the next token starts at computed - window + 1. */
  override skippedTokens(computed: number): number {
    return Math.max(0, computed - this.window + 1);
  }

  /** ceil(min(window - 1 + tokens in flight, max_model_len) / block size) + 1: the window may straddle a block. */
  override get admissionCap(): number | undefined {
    const { maxInFlight, maxModelLen, rules } = this.context;
    if (rules.admissionCap === 'none') return undefined;
    return divCeil(Math.min(this.window - 1 + maxInFlight, maxModelLen), this.blockSize) + 1;
  }

  findHit(groups: readonly KvGroup[], { keys, maxLength, dropLast }: HitQuery): number {
    const { blockSize, alignment } = this;
    const needed = this.blocksForHit(dropLast);
    const limit = Math.floor(maxLength / blockSize);
    for (const { hit } of groups) {
      hit.length = limit;
      if (limit > 0) hit.set(limit - 1, 0);
      hit.ids.fill(0, 0, limit);
    }
    let run = 0;
    let blocks = 0;
    let complete = false;
    for (let i = limit - 1; i >= 0 && !complete; i--) {
      if (!this.cachedInAll(groups, keys, i)) {
        run = 0;
        continue;
      }
      // Where the hit ends once EAGLE's block is dropped; up to 0.19 where it ends before.
      const end = dropLast && this.rules.eagleLookup !== 'dropEachPass' ? i : i + 1;
      if (run === 0 && blockSize !== alignment && (end * blockSize) % alignment !== 0) continue;
      for (let g = 0; g < groups.length; g++) (groups[g] as KvGroup).hit.set(i, found[g] as number);
      run++;
      complete = run >= needed;
      if (complete) blocks = i + run;
    }
    if (!complete) blocks = this.aligned(run);
    if (dropLast && blocks > 0) blocks = this.aligned(blocks - 1);
    for (const { hit } of groups) hit.length = blocks;
    return blocks * blockSize;
  }

  quietUntil(table: BlockTable): number {
    const inBlock = quietInLastBlock(table, this.blockSize, this.pool.caching);
    return Math.min(inBlock, (table.firstHeld + 1) * this.blockSize + this.window - 1);
  }

  protected override get freeRule(): FreeOrder {
    return this.rules.freeWindowGroup;
  }

  protected override reachable(block: number): boolean {
    const { windowMask } = this.rules;
    const { maskAlignment, retention } = this.context;
    if (windowMask === 'all' || maskAlignment % this.blockSize !== 0) return true;
    if (retention === undefined && maskAlignment <= this.blockSize) return true;
    const eagle = windowMask !== 'tail' && this.eagle;
    const needed = this.blocksForHit(eagle);
    const shift = eagle ? 1 : 0;
    const segment = retention ?? maskAlignment;
    if (segment > 0) {
      const perSegment = segment / this.blockSize;
      if (needed >= perSegment) return true;
      if (block >= shift && (block - shift) % perSegment >= perSegment - needed) return true;
    }
    return retention !== undefined && this.endsAtBoundary(block, needed, shift);
  }

  /** Whether the window of a prefix that is kept reaches over the block. */
  private endsAtBoundary(block: number, needed: number, shift: number): boolean {
    const { maskAlignment } = this.context;
    return this.boundaries.some((tokens) => {
      const end = Math.floor(tokens / maskAlignment) * (maskAlignment / this.blockSize) + shift;
      return block >= end - needed && block < end;
    });
  }

  private blocksForHit(dropLast: boolean): number {
    return divCeil(this.window - 1, this.blockSize) + (dropLast ? 1 : 0);
  }

  private aligned(blocks: number): number {
    let kept = blocks;
    while ((kept * this.blockSize) % this.alignment !== 0) kept--;
    return kept;
  }
}
