// Block tables of V0's sequences over a GPU and a CPU pool: admission with a watermark, growth with copy-on-write, fork, swap of a
// whole group or nothing. It knows no queues. Law: vllm/core/block_manager.py with block/block_table.py (0.6.6 to 0.10.2); where
// sequences of one group share blocks while swapped, vllm/core/block_manager_v1.py (to 0.6.3).
import { assert } from '../../assert.ts';
import { divCeil } from '../../units.ts';
import { BlockPool } from './block-pool.ts';
import type { ResolvedV0Config } from './config.ts';
import { ContentNames } from './contents.ts';
import { Sequence, type SequenceGroup } from './sequence.ts';

type AllocStatus = 'ok' | 'later' | 'never';

type Limits = Pick<
  ResolvedV0Config,
  'numBlocks' | 'numCpuBlocks' | 'blockSize' | 'watermark' | 'prefixCaching' | 'swapKeepsSharing'
>;

export class BlockManager {
  readonly gpu: BlockPool;
  readonly cpu: BlockPool;
  readonly watermarkBlocks: number;
  /** Blocks copied before a write because others hold them too. */
  copies = 0;
  private readonly blockSize: number;
  private readonly caching: boolean;
  private readonly keepsSharing: boolean;
  private readonly names: ContentNames;

  constructor(limits: Limits) {
    this.blockSize = limits.blockSize;
    this.caching = limits.prefixCaching;
    this.keepsSharing = limits.swapKeepsSharing;
    this.gpu = new BlockPool(limits.numBlocks, limits.blockSize);
    this.cpu = new BlockPool(limits.numCpuBlocks, limits.blockSize);
    this.watermarkBlocks = Math.trunc(limits.watermark * limits.numBlocks);
    this.names = new ContentNames(limits.blockSize);
  }

  /** Blocks are asked for as if nothing were cached; the watermark stays free. */
  canAllocate(group: SequenceGroup): AllocStatus {
    const need = divCeil(group.tokens, this.blockSize);
    if (this.gpu.total - need < this.watermarkBlocks) return 'never';
    return this.gpu.free - need >= this.watermarkBlocks ? 'ok' : 'later';
  }

  /** Blocks for all known tokens of the group's only sequence, cached ones where their content is known. */
  allocate(group: SequenceGroup): void {
    const { first } = group;
    assert(group.sequences.length === 1 && first.table.length === 0, 'V2: a V0 group was allocated twice');
    this.nameContents(group, first);
    const full = this.caching ? Math.floor(first.tokens / this.blockSize) : 0;
    for (let i = 0; i < full; i++) first.table.push(this.fullBlock(this.gpu, first.contents[i]!, i));
    for (let rest = first.tokens - full * this.blockSize; rest > 0; rest -= this.blockSize) {
      const block = this.gpu.take();
      this.gpu.write(block, Math.min(rest, this.blockSize));
      first.table.push(block);
    }
    first.slots = first.tokens;
  }

  /**
   * Tokens at the start of the group's first sequence whose blocks are computed and cached, by bisection as vLLM does it (a cached
   * block is taken to mean that those before it are cached too; where they are not, more can be counted than is there).
   */
  cachedTokens(group: SequenceGroup): number {
    if (!this.caching) return 0;
    const { first } = group;
    this.nameContents(group, first);
    let hit = 0;
    let end = Math.floor(first.tokens / this.blockSize);
    while (hit < end) {
      const middle = (hit + end) >> 1;
      if (this.gpu.isComputed(first.contents[middle]!)) hit = middle + 1;
      else end = middle;
    }
    return hit * this.blockSize;
  }

  /** Every block that the group's next tokens touch is counted as new (copy-on-write or growth). */
  canAppend(group: SequenceGroup): boolean {
    let touched = 0;
    for (const sequence of group.sequences) touched += this.touchedByAppend(sequence);
    return touched <= this.gpu.free;
  }

  /** A slot for each known token that has none yet: a new block, or the last one, copied first when it is shared. */
  append(group: SequenceGroup): void {
    for (const sequence of group.sequences) {
      while (sequence.slots < sequence.tokens) this.appendToken(group, sequence);
    }
  }

  /** The child holds all blocks of the parent, the partial last one included. Takes no block. */
  fork(parent: Sequence): Sequence {
    const child = new Sequence(parent.tokens);
    child.slots = parent.slots;
    child.table = parent.table.slice();
    child.contents = parent.contents.slice();
    child.lastAccess = -1;
    for (const block of child.table) this.gpu.hold(block);
    return child;
  }

  /** Gives back a sequence's GPU blocks, first to last. */
  free(sequence: Sequence): void {
    if (this.caching && sequence.lastAccess >= 0) {
      for (const block of sequence.table) this.gpu.markAccessed(block, sequence.lastAccess);
    }
    this.drop(this.gpu, sequence);
  }

  /** The same for a group that lies in the CPU pool. */
  freeSwapped(group: SequenceGroup): void {
    for (const sequence of group.sequences) this.drop(this.cpu, sequence);
  }

  canSwapOut(group: SequenceGroup): boolean {
    return this.swapNeed(group, this.cpu) <= this.cpu.free;
  }

  canSwapIn(group: SequenceGroup): AllocStatus {
    const need = this.swapNeed(group, this.gpu);
    if (need > this.gpu.total) return 'never';
    return this.gpu.free - need >= this.watermarkBlocks ? 'ok' : 'later';
  }

  /** Blocks moved. */
  swapOut(group: SequenceGroup): number {
    return this.swap(group, this.gpu, this.cpu);
  }

  swapIn(group: SequenceGroup): number {
    return this.swap(group, this.cpu, this.gpu);
  }

  /** What was hashed since the last call counts as computed from now on. */
  markComputed(): void {
    this.gpu.markComputed();
  }

  private appendToken(group: SequenceGroup, sequence: Sequence): void {
    const last = sequence.table.length - 1;
    let block: number;
    if (sequence.slots % this.blockSize === 0) {
      block = this.gpu.take();
      sequence.table.push(block);
    } else {
      block = sequence.table[last]!;
      if (this.gpu.refCount(block) > 1) block = this.copy(sequence, last);
    }
    this.gpu.write(block, 1);
    sequence.slots++;
    if (!this.caching || sequence.slots % this.blockSize !== 0) return;
    this.nameContents(group, sequence);
    const index = sequence.table.length - 1;
    sequence.table[index] = this.gpu.promote(block, sequence.contents[index]!, sequence.slots);
  }

  private copy(sequence: Sequence, index: number): number {
    const shared = sequence.table[index]!;
    const filled = this.gpu.filled(shared);
    this.gpu.release(shared);
    const block = this.gpu.take();
    this.gpu.write(block, filled);
    sequence.table[index] = block;
    this.copies++;
    return block;
  }

  /**
   * Blocks touched by the next tokens of one sequence = 1 + ceil((unseen - room in the last block) / block size), where a full
   * last block counts as one with all its room (block_table.py, get_num_blocks_touched_by_append_slots).
   */
  private touchedByAppend(sequence: Sequence): number {
    const room = this.blockSize - (sequence.slots % this.blockSize);
    return 1 + Math.ceil((sequence.tokens - sequence.slots - room) / this.blockSize);
  }

  /**
   * Blocks a swap needs on the other side: the distinct blocks and one more per sequence for the token to come (v1); or for each
   * sequence its full blocks and what its next token touches (v2), hashed blocks that somebody holds there left out.
   */
  private swapNeed(group: SequenceGroup, into: BlockPool): number {
    if (this.keepsSharing) {
      const blocks = new Set<number>();
      for (const { table } of group.sequences) for (const block of table) blocks.add(block);
      return into === this.gpu ? blocks.size + group.sequences.length : blocks.size;
    }
    let need = 0;
    for (const sequence of group.sequences) {
      need += this.touchedByAppend(sequence);
      const full = Math.floor(sequence.slots / this.blockSize);
      for (let i = 0; i < full; i++) {
        const content = this.caching ? sequence.contents[i]! : -1;
        if (!this.caching || !into.hasContent(content) || into.isIdle(content)) need++;
      }
    }
    return need;
  }

  private swap(group: SequenceGroup, from: BlockPool, into: BlockPool): number {
    const moved = new Map<number, number>();
    let blocks = 0;
    for (const sequence of group.sequences) {
      const { table } = sequence;
      for (let i = 0; i < table.length; i++) {
        const known = this.keepsSharing ? moved.get(table[i]!) : undefined;
        let target = known;
        if (target === undefined) {
          target = this.landing(sequence, i, into);
          moved.set(table[i]!, target);
          blocks++;
        } else into.hold(target);
        from.release(table[i]!);
        table[i] = target;
      }
    }
    group.swapped = into === this.cpu;
    return blocks;
  }

  private landing(sequence: Sequence, index: number, into: BlockPool): number {
    const filled = Math.min(this.blockSize, sequence.slots - index * this.blockSize);
    if (this.caching && filled === this.blockSize) return this.fullBlock(into, sequence.contents[index]!, index);
    const block = into.take();
    into.write(block, filled);
    return block;
  }

  private fullBlock(pool: BlockPool, content: number, index: number): number {
    const known = pool.takeContent(content);
    if (known >= 0) return known;
    const block = pool.take();
    pool.write(block, this.blockSize);
    return pool.promote(block, content, (index + 1) * this.blockSize);
  }

  /** Blocks whose tokens a sequence of several generated alone are like no other. */
  private nameContents(group: SequenceGroup, sequence: Sequence): void {
    if (!this.caching) return;
    if (group.width === 1) this.names.extend(sequence.contents, group.request, sequence.tokens);
    else {
      this.names.extend(sequence.contents, group.request, Math.min(sequence.tokens, group.request.promptTokens));
      const full = Math.floor(sequence.tokens / this.blockSize);
      while (sequence.contents.length < full) sequence.contents.push(this.names.fresh());
    }
  }

  private drop(pool: BlockPool, sequence: Sequence): void {
    for (const block of sequence.table) pool.release(block);
    sequence.table = [];
    sequence.slots = 0;
  }
}
