// Mamba-like state: one block holds the state at one point of the sequence, not the tokens before it. In the modes `none` and `all`
// a request has a block for every stretch of tokens; in `align` it keeps only its running state, the states it may have to fall back
// to while drafts are verified, and the one before: states that others can start from come about where a prefill chunk ends on a
// block boundary (mamba-split.ts). Law: MambaManager in vllm/v1/core/single_type_kv_cache_manager.py.
import { divCeil } from '../../../units.ts';
import type { BlockKeys } from '../block-keys.ts';
import type { PagedConfig } from '../config.ts';
import { mambaTail } from '../partial-tail.ts';
import type { BlockTable, Sequence } from '../sequence.ts';
import { found, type GroupContext, type HitQuery, KvGroup, type Need, quietInLastBlock } from './group.ts';
import type { PartialHits } from './partial.ts';

/** What `align` remembers of a request while it holds blocks. */
interface AlignState {
  /** Has a running state: from then on it needs at most one block more at a time. */
  running: boolean;
  /** Index of the state that the current one was copied from; -1: none. */
  previous: number;
  /** Leading blocks that have been given back. */
  retired: number;
}

export class MambaGroup extends KvGroup {
  readonly type = 'mamba';
  readonly signature: string;
  private readonly align: boolean;
  /** States kept besides the running one, one per draft token. */
  private readonly draftStates: number;
  private readonly states = new Map<Sequence, AlignState>();
  /** Keys registered since the step began. */
  private readonly fresh = new Set<number>();

  constructor(context: GroupContext, config: PagedConfig) {
    super(context);
    const mode = config.mambaCacheMode ?? 'none';
    // Before 0.15 there is no such mode: every mode is `all`.
    this.align = mode === 'align' && this.rules.mambaSplit !== 'none';
    this.draftStates = config.spec?.tokens ?? 0;
    this.signature = `mamba ${this.blockSize} ${mode}`;
  }

  /** Only the state after the last computed token is needed. Source: get_num_skipped_tokens, vLLM 0.14 and later. */
  override skippedTokens(computed: number): number {
    return this.rules.mambaRelease === 'never' ? 0 : Math.max(0, computed - 1);
  }

  /** One cached state is a hit, the rightmost counts; what lies before it is null. */
  findHit(groups: readonly KvGroup[], query: HitQuery): number {
    const { keys, keyCount, maxLength } = query;
    const { blockSize, alignment } = this;
    for (const { hit } of groups) hit.length = 0;
    if (this.rules.mambaLookup === 'never') return 0;
    if (alignment < blockSize) return this.findInside(groups, query);
    const limit = Math.min(Math.floor(maxLength / blockSize), Math.floor(keyCount / this.keysPerBlock));
    for (let i = limit - 1; i >= 0; i--) {
      if (((i + 1) * blockSize) % alignment !== 0 || !this.cachedInAll(groups, keys, i)) continue;
      setHits(groups, i);
      return (i + 1) * blockSize;
    }
    return 0;
  }

  /** The rightmost state cached at any multiple of the key size. */
  private findInside(groups: readonly KvGroup[], { keys, keyCount, maxLength }: HitQuery): number {
    for (let key = Math.min(Math.floor(maxLength / this.alignment), keyCount) - 1; key >= 0; key--) {
      if (!this.keyInAll(groups, keys, key)) continue;
      setHits(groups, Math.floor(key / this.keysPerBlock));
      return (key + 1) * this.alignment;
    }
    return 0;
  }

  /**
   * none, all: as many blocks as tokens need, and one per draft token more. align: one block, and one per draft token at first.
   * A state registered in this very step does not exist yet: more blocks are asked for than there are (vLLM 0.17 and later).
   */
  override blocksNeeded(table: BlockTable, need: Need): number {
    const { hit, pool, blockSize, draftStates } = this;
    const hits = need.useHit ? hit.length : 0;
    if (hits > 0 && this.fresh.has(pool.keyOf(hit.ids[hits - 1] as number))) return pool.numBlocks + 1;
    if (!this.align) return super.blocksNeeded(table, { ...need, tokens: need.tokens + blockSize * draftStates });
    let blocks = divCeil(need.mainTokens, blockSize) + draftStates - hits - table.length;
    const copy = this.partial?.has(need.sequence) || (hits > 0 && this.endsInside(need.local)) ? 1 : 0;
    if (copy > 0) blocks = Math.max(blocks, 0) + copy;
    if (blocks > 0) {
      const most = 1 + copy + (this.states.get(need.sequence)?.running ? 0 : draftStates);
      blocks = this.rules.mambaBlocks === 'atMost' ? Math.min(blocks, most) : most;
    }
    for (let i = 0; i < hits; i++) {
      const block = hit.ids[i] as number;
      if (block !== 0 && pool.refs[block] === 0) blocks++;
    }
    return blocks;
  }

  override allocate(table: BlockTable, tokens: number, mainTokens: number, sequence: Sequence): number {
    const { blockSize, draftStates, pool } = this;
    if (!this.align) return super.allocate(table, tokens + blockSize * draftStates, mainTokens, sequence);
    const required = divCeil(mainTokens, blockSize) + draftStates;
    const copies = this.partial?.has(sequence) === true;
    if (required <= table.length && !copies) return 0;
    const before = table.length;
    const state = this.stateOf(sequence);
    if (state.running) state.previous = before - 1 - draftStates;
    else if (before > 0) state.previous = before - 1;
    const current = required - draftStates - 1;
    while (table.length < current) table.push(0);
    // States for drafts that are behind the new running state move up, to be used again.
    if (state.running)
      for (let i = before - draftStates; i < before && i < current; i++) {
        table.push(table.ids[i] as number);
        table.ids[i] = 0;
      }
    if (copies && state.running) this.fresh.add(pool.keyOf(this.partial?.setAside(sequence) as number));
    else if (copies) this.partial?.replace(sequence, table);
    while (table.length < required) table.push(pool.take());
    state.running = true;
    return table.length - before;
  }

  override releaseSkipped(table: BlockTable, processed: number, sequence: Sequence): void {
    const { mambaRelease } = this.rules;
    const computed = mambaRelease === 'lessDrafts' ? Math.max(0, processed - this.draftStates) : processed;
    const state = this.states.get(sequence);
    if (!this.align || mambaRelease !== 'sinceLast' || !state) super.releaseSkipped(table, computed, sequence);
    else this.releaseSince(table, state, Math.floor(this.skippedTokens(computed) / this.blockSize));
    if (!state || state.previous < 0 || state.previous >= divCeil(computed, this.blockSize) - 1) return;
    if (table.ids[state.previous] === 0) return;
    this.pool.release(table.ids, state.previous, 1, this.freeOrder(this.rules.freeUnkeyed));
    table.ids[state.previous] = 0;
  }

  /** Gives back what lies before `end` and has not been looked at yet, highest block first, over gaps. */
  private releaseSince(table: BlockTable, state: AlignState, end: number): void {
    const last = Math.min(end, table.length);
    if (state.retired >= last) return;
    this.pool.release(table.ids, last - 1, last - state.retired, this.freeOrder(this.rules.freeWindow));
    table.ids.fill(0, state.retired, last);
    state.retired = last;
  }

  override register(sequence: Sequence, table: BlockTable, tokens: number): void {
    const before = table.registered;
    super.register(sequence, table, tokens);
    const after = table.registered;
    if (this.align && this.partial) this.registerTail(this.partial, sequence, table, tokens);
    if (this.rules.mambaSameStepHit === 'hit') return;
    if (this.align && this.rules.partialTail === 'hittable') this.registerAlignedTail(sequence, table, tokens);
    for (let i = before; i < after; i++) {
      const block = table.ids[i] as number;
      if (block !== 0 && this.pool.hasKey(block)) this.fresh.add(this.pool.keyOf(block));
    }
  }

  /** A state is kept at each interval, and where a prefix that is kept ends. */
  protected override reachable(block: number): boolean {
    const { retention, maskAlignment } = this.context;
    if (retention === undefined || this.rules.mambaRetention === 'all') return true;
    const perInterval = Math.floor(retention / this.blockSize);
    if (retention > 0 && (perInterval <= 1 || (block + 1) % perInterval === 0)) return true;
    return this.boundaries.some(
      (tokens) => Math.floor((Math.floor(tokens / maskAlignment) * maskAlignment) / this.blockSize) - 1 === block,
    );
  }

  /**
   * From 0.32 the state at the last useful boundary of the prompt is kept whatever the interval; in 0.32 it counts as registered
   * again in each step in which it is held.
   */
  private registerAlignedTail(sequence: Sequence, table: BlockTable, tokens: number): void {
    if (tokens === 0 || tokens % this.blockSize !== 0 || tokens !== this.tailOf(sequence)) return;
    const block = table.ids[tokens / this.blockSize - 1] as number;
    if (tokens > table.length * this.blockSize || block === 0) return;
    const { pool, keysPerBlock } = this;
    const keyed = pool.hasKey(block);
    if (!keyed) {
      const { lo, hi } = sequence.keys as BlockKeys;
      const key = (tokens / this.blockSize) * keysPerBlock - 1;
      pool.register(block, lo[key] as number, (hi[key] as number) ^ this.keySalt, tokens);
    }
    if (!keyed || this.rules.mambaSameStepHit === 'refusedWhileHeld') this.fresh.add(pool.keyOf(block));
  }

  private tailOf({ prompt }: Sequence): number {
    return mambaTail({ ...this.context.tail, prompt, flagged: this.eagle });
  }

  /** A state at the last useful boundary of the prompt, inside its block: the request goes on with a copy of it. */
  private registerTail({ pool }: PartialHits, sequence: Sequence, table: BlockTable, tokens: number): void {
    const { tail } = this.context;
    if (tokens % this.blockSize === 0 || tokens % tail.keySize !== 0) return;
    if (tokens !== this.tailOf(sequence)) return;
    const index = Math.floor(tokens / this.blockSize);
    const block = table.ids[index] as number;
    if (index >= table.length || block === 0 || pool.keyTokens(block) === tokens) return;
    const { lo, hi } = sequence.keys as BlockKeys;
    const key = tokens / tail.keySize - 1;
    pool.registerPartial(block, lo[key] as number, (hi[key] as number) ^ this.keySalt, tokens);
    this.partial?.add(sequence, index, block);
    table.registered = index;
    this.fresh.add(pool.keyOf(block));
  }

  override free(table: BlockTable, sequence: Sequence): void {
    super.free(table, sequence);
    this.states.delete(sequence);
  }

  override newStep(): void {
    this.fresh.clear();
  }

  quietUntil(table: BlockTable): number {
    if (this.partial) return -1;
    const room = (table.length - this.draftStates) * this.blockSize;
    const inBlock = Math.min(room, quietInLastBlock(table, this.blockSize, this.pool.caching));
    return Math.min(inBlock, (table.firstHeld + 1) * this.blockSize);
  }

  private stateOf(sequence: Sequence): AlignState {
    let state = this.states.get(sequence);
    if (!state) {
      state = { running: false, previous: -1, retired: 0 };
      this.states.set(sequence, state);
    }
    return state;
  }
}

/** The block that was found, and nothing before it. */
function setHits(groups: readonly KvGroup[], index: number): void {
  for (let g = 0; g < groups.length; g++) {
    const { hit } = groups[g] as KvGroup;
    hit.set(index, found[g] as number);
    hit.ids.fill(0, 0, index);
    hit.length = index + 1;
  }
}
