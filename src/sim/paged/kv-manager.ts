// The KV-cache manager of one engine: groups of block tables over one pool, prefix lookup over all groups, allocation for one
// request with all or nothing. Law: vllm/v1/core/kv_cache_manager.py and kv_cache_coordinator.py.
import { assert } from '../../assert.ts';
import { lcm } from '../../units.ts';
import { BlockKeys } from './block-keys.ts';
import { BlockPool } from './block-pool.ts';
import { type BlockSizes, resolveBlockSizes } from './block-sizes.ts';
import type { GroupConfig, PagedConfig, PagedRules } from './config.ts';
import { EvictionPool } from './eviction-pool.ts';
import { GroupLookup } from './group-lookup.ts';
import { ChunkedGroup } from './groups/chunked.ts';
import { FullGroup } from './groups/full.ts';
import type { GroupContext, KvGroup } from './groups/group.ts';
import { MambaGroup } from './groups/mamba.ts';
import { PartialHits } from './groups/partial.ts';
import { SlidingGroup } from './groups/sliding.ts';
import { lookaheadTokens } from './lookahead.ts';
import { MultiKeyPool } from './multi-key-pool.ts';
import { BlockTable, type Sequence } from './sequence.ts';

export interface AllocateOptions {
  lookahead: number;
  /** Use what the last lookup found for this request. */
  useHit?: boolean;
  hitTokens?: number;
  /** Tokens that a KV connector brings, behind the hit. */
  externalTokens?: number;
  /** The blocks' content arrives later: do not register them yet. */
  delayRegister?: boolean;
  /** The whole prompt must find free blocks. */
  gate?: boolean;
  /** Blocks that must stay free after an admission, and besides for loads already on their way. */
  watermark?: number;
  reserved?: number;
}

/** A pool of another kind than vLLM's own. */
export type PoolMaker = (numBlocks: number, caching: boolean) => BlockPool;

const plain: AllocateOptions = { lookahead: 0 };

export class KvManager {
  readonly pool: BlockPool;
  readonly groups: readonly KvGroup[];
  private readonly search: GroupLookup;
  /** Granularity of keys, and of computed tokens after a hit. */
  readonly hashBlockSize: number;
  readonly schedulerBlockSize: number;
  /** Hits in several groups end on a multiple of this. */
  private readonly alignment: number;
  /** Hits may end inside a block; blocks to let go at the end of the step: sources and copies. */
  readonly partialHits: boolean;
  private readonly copies: number[] = [];
  /** Hit of the last lookup in tokens, and the longest prefix that any one kind had. */
  hitTokens = 0;
  longestKindHit = 0;
  /** EAGLE: tokens after a block that its key covers; or a hit's last block is dropped. */
  readonly keyLookahead: number;
  /** Slots that every step of a running request needs beyond its tokens. */
  private readonly lookahead: number;
  readonly dropsLast: boolean;

  constructor(
    private readonly config: PagedConfig,
    readonly rules: PagedRules,
    makeOwn?: PoolMaker,
  ) {
    const sizes = resolveBlockSizes(config, rules);
    this.alignment = sizes.alignment;
    this.schedulerBlockSize = sizes.scheduler;
    this.hashBlockSize = sizes.hash;
    const batches = rules.admissionCap === 'batchesInFlight' && config.asyncScheduling ? 2 : 1;
    const eagle = config.spec?.method === 'eagle';
    this.lookahead = lookaheadTokens(config, rules);
    this.keyLookahead =
      eagle && config.prefixCaching && rules.eagleLookup === 'lookaheadKeys' && !config.offload ? 1 : 0;
    this.dropsLast = eagle && this.keyLookahead === 0;
    this.partialHits = sizes.partialHits;
    const several = this.needsSeveralKeys(sizes);
    this.pool = makeOwn && !several ? makeOwn(config.numBlocks, config.prefixCaching) : makePool(config, several);
    this.groups = config.groups.map((group, index) =>
      makeGroup(group, config, {
        index,
        blockSize: sizes.groups[index] as number,
        pool: this.pool,
        rules,
        keySize: this.hashBlockSize,
        alignment: this.alignment,
        maxModelLen: config.maxModelLen,
        maxInFlight: config.maxNumBatchedTokens * batches,
        maskAlignment: rules.windowMask === 'reachableByHit' ? sizes.alignment : sizes.groups.reduce(lcm),
        retention: rules.windowMask === 'all' || rules.windowMask === 'tail' ? undefined : config.retentionInterval,
        retained: {
          rule: rules.retainedBoundaries,
          schedulerBlock: sizes.scheduler,
          dropLast: this.dropsLast,
        },
        partial: several ? new PartialHits(this.pool as MultiKeyPool, this.copies) : undefined,
        tail: {
          rule: rules.partialTail,
          keySize: sizes.hash,
          dropLast: this.dropsLast,
          keyLookahead: this.keyLookahead,
        },
      }),
    );
    if (this.dropsLast) this.flagEagleGroups(config);
    this.search = new GroupLookup(this.groups, rules, sizes.hash, sizes.partialHits);
  }

  /** The tables of a request that holds nothing yet. */
  tables(tokens: number): BlockTable[] {
    return this.groups.map(({ blockSize }) => new BlockTable(Math.ceil(Math.min(tokens, 1 << 16) / blockSize) + 1));
  }

  /**
   * The longest cached prefix, at most all known tokens but the last (which has to be computed to sample). Leaves the blocks in
   * the groups' `hit`.
   */
  lookup(sequence: Sequence): number {
    this.hitTokens = 0;
    this.longestKindHit = 0;
    for (const group of this.groups) group.hit.length = 0;
    if (!this.pool.caching) return 0;
    const keys = this.keysOf(sequence);
    const keyCount = keys.extend(sequence.known);
    this.hitTokens = this.search.find(keys, keyCount, sequence.known - 1);
    this.longestKindHit = this.search.longest;
    return this.hitTokens;
  }

  /**
   * Slots for `tokens` more tokens of a request (and its look-ahead), after those it has computed and a hit. False, with nothing
   * taken, when blocks lack; blocks that left a window are released all the same.
   */
  allocate(sequence: Sequence, tokens: number, options: AllocateOptions = plain): boolean {
    const { config, rules, groups, pool } = this;
    const { useHit = false, hitTokens = 0, externalTokens = 0, watermark = 0, reserved = 0 } = options;
    const local = sequence.computed + hitTokens;
    const computed = Math.min(local + externalTokens, config.maxModelLen);
    if (options.gate === true) {
      const all = Math.min(sequence.known, config.maxModelLen);
      if (this.needed(sequence, all, all, computed, local, true, useHit) + watermark > pool.available) return false;
    }
    const main = computed + tokens;
    const slots = Math.min(main + options.lookahead, config.maxModelLen);
    const settled = rules.hitOutsideWindow === 'held' ? sequence.computed : computed;
    const processed = rules.windowRelease === 'processed' ? Math.max(0, settled - sequence.inFlight) : settled;
    for (let g = 0; g < groups.length; g++)
      (groups[g] as KvGroup).releaseSkipped(sequence.tables[g] as BlockTable, processed, sequence);
    if (
      this.needed(sequence, slots, main, local + externalTokens, local, false, useHit) + watermark + reserved >
      pool.available
    )
      return false;
    if ((useHit || externalTokens > 0) && !(sequence.tables[0] as BlockTable).tracked)
      this.adopt(sequence, local, externalTokens);
    for (let g = 0; g < groups.length; g++)
      (groups[g] as KvGroup).allocate(sequence.tables[g] as BlockTable, slots, main, sequence);
    if (!options.delayRegister && pool.caching) this.register(sequence, this.registrable(sequence, computed + tokens));
    this.setQuiet(sequence);
    return true;
  }

  /** Blocks that a request has yet to take until all its known tokens, and so many behind them, have slots. */
  remaining(sequence: Sequence, behind: number): number {
    const all = Math.min(sequence.known, this.config.maxModelLen);
    return this.needed(sequence, all + behind, all, sequence.computed, sequence.computed, true, false);
  }

  /** Drafts are never registered, and from 0.10 nothing beyond the known tokens. */
  private registrable(sequence: Sequence, tokens: number): number {
    switch (this.rules.registerLimit) {
      case 'lessDrafts':
        return tokens - sequence.drafts;
      case 'lessScheduledDrafts':
        return tokens - Math.max(0, Math.min(sequence.drafts, tokens - sequence.known));
      case 'known':
        return Math.min(tokens, sequence.known);
    }
  }

  private needed(
    sequence: Sequence,
    slots: number,
    main: number,
    computed: number,
    local: number,
    gate: boolean,
    useHit: boolean,
  ): number {
    let blocks = 0;
    for (let g = 0; g < this.groups.length; g++) {
      const group = this.groups[g] as KvGroup;
      blocks += group.blocksNeeded(sequence.tables[g] as BlockTable, {
        tokens: slots,
        mainTokens: main,
        computed,
        local,
        gate,
        useHit,
        sequence,
      });
    }
    return blocks;
  }

  /** First the hits of every group, then blocks for what a connector brings, so that no group evicts another's hit. */
  private adopt(sequence: Sequence, local: number, external: number): void {
    const { groups } = this;
    for (let g = 0; g < groups.length; g++)
      (groups[g] as KvGroup).adoptHit(sequence.tables[g] as BlockTable, local + external, sequence);
    if (external > 0)
      for (let g = 0; g < groups.length; g++)
        (groups[g] as KvGroup).allocateExternal(sequence.tables[g] as BlockTable, local, external);
  }

  /** Makes the complete blocks within the first `tokens` tokens findable. */
  register(sequence: Sequence, tokens: number): void {
    if (!this.pool.caching) return;
    const { groups, rules } = this;
    const first = groups[0] as KvGroup;
    // The common case, once a token: one group, and its next block is not complete yet.
    if (groups.length === 1 && first.type === 'full') {
      const { registered } = sequence.tables[0] as BlockTable;
      if (tokens < (registered + 1) * first.blockSize) return;
    }
    this.keysOf(sequence);
    for (let g = 0; g < groups.length; g++) {
      const group = groups[g] as KvGroup;
      let limit = tokens;
      if (groups.length > 1 && rules.registerLength !== 'blocks' && !this.partialHits) {
        limit -= limit % this.alignment;
        if (rules.registerLength === 'alignedAndEagle' && group.eagle && limit > 0)
          limit = Math.min(tokens, limit + group.blockSize);
      }
      group.register(sequence, sequence.tables[g] as BlockTable, limit);
    }
  }

  /** A request has been admitted: an eviction order that watches the reuse of prompts sees its blocks. */
  observePrompt(sequence: Sequence): void {
    if (!(this.pool instanceof EvictionPool)) return;
    const keys = this.keysOf(sequence);
    this.pool.observePrompt(keys.lo, keys.hi, Math.min(keys.count, Math.floor(sequence.prompt / this.hashBlockSize)));
  }

  /** Gives back all blocks of a request. */
  free(sequence: Sequence): void {
    for (let g = 0; g < this.groups.length; g++)
      (this.groups[g] as KvGroup).free(sequence.tables[g] as BlockTable, sequence);
    sequence.quietUntil = -1;
  }

  newStep(): void {
    for (const group of this.groups) group.newStep();
  }

  /** The step is decided: blocks held for its copies are let go. */
  endStep(): void {
    const { copies } = this;
    if (copies.length === 0) return;
    this.pool.release(Int32Array.from(copies).reverse(), copies.length - 1, copies.length, this.rules.freeUnkeyed);
    copies.length = 0;
  }

  /** Blocks have more than one key where hits end inside them, or where EAGLE registers a prompt's tail inside one. */
  private needsSeveralKeys({ groups, hash, partialHits }: BlockSizes): boolean {
    const { config, rules } = this;
    if (partialHits) return true;
    if (rules.partialHits === 'never' || !config.prefixCaching || !this.dropsLast) return false;
    return config.groups.some(({ type }, g) => type === 'full' && (groups[g] as number) > hash);
  }

  private setQuiet(sequence: Sequence): void {
    let quiet = Number.MAX_SAFE_INTEGER;
    for (let g = 0; g < this.groups.length; g++)
      quiet = Math.min(quiet, (this.groups[g] as KvGroup).quietUntil(sequence.tables[g] as BlockTable));
    sequence.quietUntil = quiet - this.lookahead;
  }

  keysOf(sequence: Sequence): BlockKeys {
    if (sequence.keys) return sequence.keys;
    const { request } = sequence;
    const extra = `${request.lora ?? ''}\u0000${this.rules.saltedKeys ? (request.salt ?? '') : ''}`;
    const capacity = Math.min(sequence.prompt + Math.min(sequence.maxTokens, 4096), this.config.maxModelLen);
    sequence.keys = new BlockKeys(request, this.hashBlockSize, capacity, extra, this.keyLookahead);
    return sequence.keys;
  }

  /** The draft's group is group 0 where groups are flagged (0.20 and later); before, every group drops. */
  private flagEagleGroups({ groups }: PagedConfig): void {
    const flagged = this.rules.eagleLookup === 'dropEachPass' || groups.length === 1 ? this.groups : [this.groups[0]];
    for (const group of flagged) (group as KvGroup).eagle = true;
  }
}

function makePool({ numBlocks, prefixCaching, eviction }: PagedConfig, several: boolean): BlockPool {
  if (eviction === undefined || (eviction.policy === 'lru' && !eviction.pinTokens)) {
    return several ? new MultiKeyPool(numBlocks, prefixCaching) : new BlockPool(numBlocks, prefixCaching);
  }
  assert(!several, 'blocks with several keys are evicted as vLLM does only');
  return new EvictionPool(numBlocks, prefixCaching, eviction);
}

function makeGroup(group: GroupConfig, config: PagedConfig, context: GroupContext): KvGroup {
  switch (group.type) {
    case 'full':
      return new FullGroup(context);
    case 'sliding':
      return new SlidingGroup(context, group.window as number);
    case 'chunked':
      return new ChunkedGroup(context, group.chunk as number);
    case 'mamba':
      return new MambaGroup(context, config);
  }
}
