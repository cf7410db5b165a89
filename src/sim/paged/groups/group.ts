// What every kind of KV-cache group has in common: block tables over the shared pool. A kind says which tokens it no longer needs,
// which cached blocks make a hit, and how many blocks one request can hold at once.
// Law: vllm/v1/core/single_type_kv_cache_manager.py.
import { assert } from '../../../assert.ts';
import { divCeil } from '../../../units.ts';
import type { BlockKeys } from '../block-keys.ts';
import type { BlockPool, FreeOrder } from '../block-pool.ts';
import type { PagedRules } from '../config.ts';
import type { TailQuery } from '../partial-tail.ts';
import { type RetentionQuery, retainedBoundaries } from '../retention.ts';
import type { BlockTable, Sequence } from '../sequence.ts';
import type { PartialHits } from './partial.ts';

/** The blocks a lookup found for one group. */
export class Hit {
  ids = new Int32Array(64);
  length = 0;

  set(index: number, block: number): void {
    if (index >= this.ids.length) {
      const ids = new Int32Array(Math.max(index + 1, this.ids.length * 2));
      ids.set(this.ids);
      this.ids = ids;
    }
    this.ids[index] = block;
  }
}

export interface GroupContext {
  index: number;
  blockSize: number;
  pool: BlockPool;
  rules: PagedRules;
  /** Tokens per key, and the alignment of hits (least common multiple of all groups' block sizes). */
  keySize: number;
  alignment: number;
  maxModelLen: number;
  /** Tokens of batches in flight, for the cap of window groups. */
  maxInFlight: number;
  /** Segments whose tail a window group registers. */
  maskAlignment: number;
  /** Tokens between prefixes that window and Mamba groups keep findable; 0: only likely ones; undefined: all. */
  retention: number | undefined;
  retained: RetentionQuery;
  /** Where hits may end inside a block, or blocks be findable by a prefix that does. */
  partial: PartialHits | undefined;
  /** How the boundary of a prompt inside a block is chosen (all but the prompt and this group's part in EAGLE). */
  tail: Omit<TailQuery, 'prompt' | 'flagged'>;
}

/** What a request needs slots for. */
export interface Need {
  /** Tokens that need a slot, look-ahead included, and without it. */
  tokens: number;
  mainTokens: number;
  /** Computed tokens with the hit and what a connector brings; without the latter. */
  computed: number;
  local: number;
  /** The admission gate asks, not the step. */
  gate: boolean;
  useHit: boolean;
  sequence: Sequence;
}

/** Arguments of a lookup in groups of one kind. */
export interface HitQuery {
  keys: BlockKeys;
  keyCount: number;
  maxLength: number;
  dropLast: boolean;
}

export abstract class KvGroup {
  readonly index: number;
  readonly blockSize: number;
  protected readonly pool: BlockPool;
  protected readonly rules: PagedRules;
  /** Keys per block of this group. */
  protected readonly keysPerBlock: number;
  protected readonly keySalt: number;
  readonly alignment: number;
  protected readonly partial: PartialHits | undefined;
  readonly hit = new Hit();
  /** Prefixes that the request being registered should leave findable, where not all are kept. */
  protected boundaries: readonly number[] = [];
  /** EAGLE: this group matches one block past a boundary and drops it. */
  eagle = false;
  abstract readonly type: string;
  /** Two groups with the same signature are looked up together. */
  abstract readonly signature: string;

  constructor(protected readonly context: GroupContext) {
    this.index = context.index;
    this.blockSize = context.blockSize;
    this.pool = context.pool;
    this.rules = context.rules;
    this.keysPerBlock = context.blockSize / context.keySize;
    this.keySalt = Math.imul(context.index, 0x9e3779b1);
    this.alignment = context.alignment;
    this.partial = context.partial;
  }

  /** Leading tokens that attention no longer reads once `computed` tokens are computed. */
  skippedTokens(_computed: number): number {
    return 0;
  }

  /** Most blocks that the admission gate asks for one request; undefined: as many as its tokens need. */
  get admissionCap(): number | undefined {
    return undefined;
  }

  /** Finds the longest hit for this kind in all `groups` at once, into their `hit`; returns its length in tokens. */
  abstract findHit(groups: readonly KvGroup[], query: HitQuery): number;

  /** Computed tokens up to which this group stays as it is (see Sequence.quietUntil). */
  abstract quietUntil(table: BlockTable): number;

  /** Blocks that must be free for a need; hits that are free count, they leave the free queue. */
  blocksNeeded(table: BlockTable, { tokens, computed, local, gate, useHit }: Need): number {
    let required = divCeil(tokens, this.blockSize);
    const cap = gate ? this.admissionCap : undefined;
    if (cap !== undefined && cap < required) required = cap;
    if (table.tracked) return Math.max(required - table.length, 0);
    const hits = useHit ? this.hit.length : 0;
    const skipped = this.skippedByHit(computed);
    const fresh = Math.max(required - Math.max(skipped, hits + table.length), 0);
    let evictable = 0;
    for (let i = Math.max(0, skipped - table.length); i < hits; i++) {
      const block = this.hit.ids[i] as number;
      if (block !== 0 && this.pool.refs[block] === 0) evictable++;
    }
    return fresh + evictable + (hits > 0 && this.endsInside(local) ? 1 : 0);
  }

  /** A hit of this length ends inside a block: it takes a copy of it. */
  protected endsInside(length: number): boolean {
    return this.partial !== undefined && length % this.blockSize !== 0;
  }

  /** Takes the hit's blocks for a request that holds nothing yet. */
  adoptHit(table: BlockTable, computed: number, sequence: Sequence): void {
    assert(table.length === 0, 'a hit is adopted by a request that holds blocks');
    const skipped = this.skippedByHit(computed);
    for (let i = 0; i < skipped; i++) table.push(0);
    for (let i = skipped; i < this.hit.length; i++) {
      const block = this.hit.ids[i] as number;
      this.pool.touch(block);
      table.push(block);
    }
    table.registered = table.length;
    table.tracked = true;
    if (this.hit.length <= skipped || !this.endsInside(computed)) return;
    table.registered = Math.floor(computed / this.blockSize);
    this.partial?.add(sequence, table.registered, table.ids[table.length - 1] as number);
  }

  /** New blocks for the tokens that a connector brings behind the local hit, as far as the window still needs them. */
  allocateExternal(table: BlockTable, local: number, external: number): void {
    const total = local + external;
    if (Math.min(total - this.skippedTokens(total), external) <= 0) return;
    this.take(table, divCeil(total, this.blockSize) - table.length);
  }

  private skippedByHit(computed: number): number {
    return this.rules.hitOutsideWindow === 'skipped' ? Math.floor(this.skippedTokens(computed) / this.blockSize) : 0;
  }

  /** New blocks until `tokens` tokens have slots. The caller has checked that there are enough. */
  allocate(table: BlockTable, tokens: number, _mainTokens: number, sequence: Sequence): number {
    this.partial?.replace(sequence, table);
    const before = table.length;
    this.take(table, divCeil(tokens, this.blockSize) - before);
    return table.length - before;
  }

  private take(table: BlockTable, blocks: number): void {
    if (blocks <= 0) return;
    this.pool.expect(blocks);
    for (let need = blocks; need > 0; need--) table.push(this.pool.take());
  }

  /** Makes the blocks that are complete within `tokens` tokens findable. */
  register(sequence: Sequence, table: BlockTable, tokens: number): void {
    const keys = sequence.keys as BlockKeys;
    const keyCount = keys.extend(sequence.known);
    const full = Math.floor(Math.min(tokens, keyCount * this.context.keySize) / this.blockSize);
    if (full <= table.registered) return;
    if (this.context.retention !== undefined)
      this.boundaries = retainedBoundaries(this.context.retained, sequence, this.eagle ? this.blockSize : 0);
    for (let i = table.registered; i < full; i++) {
      const block = table.ids[i] as number;
      if (block === 0 || !this.reachable(i)) continue;
      const key = (i + 1) * this.keysPerBlock - 1;
      this.pool.register(
        block,
        keys.lo[key] as number,
        (keys.hi[key] as number) ^ this.keySalt,
        (i + 1) * this.blockSize,
      );
    }
    table.registered = full;
  }

  /** Whether a later hit could ever end in this block. */
  protected reachable(_block: number): boolean {
    return true;
  }

  /** Gives back what attention no longer reads, highest block first. */
  releaseSkipped(table: BlockTable, processed: number, _sequence: Sequence): void {
    const skipped = Math.min(this.blocksToRelease(table, processed), table.length);
    if (skipped <= 0 || table.ids[skipped - 1] === 0) return;
    let first = skipped - 1;
    while (first > 0 && table.ids[first - 1] !== 0) first--;
    this.pool.release(table.ids, skipped - 1, skipped - first, this.freeOrder(this.rules.freeWindow));
    table.ids.fill(0, first, skipped);
  }

  /** Leading blocks that nobody reads any more. */
  protected blocksToRelease(_table: BlockTable, processed: number): number {
    return Math.floor(this.skippedTokens(processed) / this.blockSize);
  }

  /** Gives everything back, the last block first. */
  free(table: BlockTable, sequence: Sequence): void {
    this.partial?.drop(sequence);
    if (table.length > 0) this.pool.release(table.ids, table.length - 1, table.length, this.freeOrder(this.freeRule));
    table.clear();
  }

  /** A new step of the scheduler begins. */
  newStep(): void {}

  /** Where a whole request's blocks without a key go. */
  protected get freeRule(): FreeOrder {
    return this.rules.freeUnkeyed;
  }

  protected freeOrder(rule: FreeOrder): FreeOrder {
    return this.pool.caching ? rule : this.rules.freeUncached;
  }

  /** The block cached under a key of this group, 0 if there is none. */
  protected cached(keys: BlockKeys, key: number): number {
    return this.pool.find(keys.lo[key] as number, (keys.hi[key] as number) ^ this.keySalt);
  }

  /** The key under which block i of a request is cached in this group. */
  keyOf(keys: BlockKeys, block: number): { lo: number; hi: number } {
    const key = (block + 1) * this.keysPerBlock - 1;
    return { lo: keys.lo[key] as number, hi: (keys.hi[key] as number) ^ this.keySalt };
  }

  /** Looks block i up in all groups; true if every one has it. The ids are left in `found`. */
  protected cachedInAll(groups: readonly KvGroup[], keys: BlockKeys, block: number): boolean {
    return this.keyInAll(groups, keys, (block + 1) * this.keysPerBlock - 1);
  }

  /** The same for the prefix that ends with a key. */
  protected keyInAll(groups: readonly KvGroup[], keys: BlockKeys, key: number): boolean {
    for (let g = 0; g < groups.length; g++) {
      const id = (groups[g] as KvGroup).cached(keys, key);
      if (id === 0) return false;
      found[g] = id;
    }
    return true;
  }
}

/** Scratch of cachedInAll: the block of each group. */
export const found: number[] = [];

/** Cuts the hits of all groups to a length in blocks. */
export function trimHits(groups: readonly KvGroup[], blocks: number): void {
  for (const group of groups) if (group.hit.length > blocks) group.hit.length = blocks;
}

/** Quiet bound of block tables: room in the last block, one token less where a completed block has to be registered. */
export function quietInLastBlock(table: BlockTable, blockSize: number, registers: boolean): number {
  const slots = table.length * blockSize;
  return registers ? Math.min(slots, (table.registered + 1) * blockSize - 1) : slots;
}
