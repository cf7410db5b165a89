// Replays references to blocks through a cache of a given capacity, without engine or clock. Counting rule: every block of every
// request is one query, the partial last one included, whether or not the blocks before it were hit; each is inserted in order, at
// once. A cache with infinite capacity gives the upper bound of what prefix caching can save.
import { assert } from '../../assert.ts';
import { type BlockRefs, blockRefs } from './block-refs.ts';
import { LruOrder } from './lru.ts';
import { createOrder, type EvictionPolicy, type OrderOptions } from './order.ts';

export interface ReplayOptions extends Partial<Pick<OrderOptions, 'protectedHits' | 'protectedShare' | 'reuseWindow'>> {
  /** Blocks that fit; Infinity: nothing is ever evicted. */
  readonly capacityBlocks: number;
  readonly eviction: EvictionPolicy;
  /** Pinned blocks: by key, or a flag per id of the references. They are evicted, oldest use first, only when no other is left. */
  readonly pinned?: Iterable<number>;
  readonly pinnedIds?: Uint8Array;
}

export interface ReplayResult {
  readonly queriedBlocks: number;
  readonly hitBlocks: number;
  readonly blockHitRate: number;
  readonly evictions: number;
}

export interface CurvePoint extends ReplayResult {
  readonly eviction: EvictionPolicy;
  readonly capacityBlocks: number;
}

export function replayCache(references: ArrayLike<number> | BlockRefs, options: ReplayOptions): ReplayResult {
  const { capacityBlocks, eviction, pinned = [] } = options;
  assert(capacityBlocks >= 0, `a cache cannot hold ${capacityBlocks} blocks`);
  const refs = 'ids' in references ? references : blockRefs(references);
  const { ids, distinct } = refs;
  const capacity = Math.min(Math.floor(capacityBlocks), distinct);
  const order = createOrder(eviction, { ...options, ids: distinct, capacity });
  const pins = options.pinnedIds ?? pinnedIds(refs, pinned);
  const pinnedOrder = new LruOrder(pins === null ? 0 : distinct);
  const cached = new Uint8Array(distinct);
  let hits = 0;
  let evictions = 0;
  for (let i = 0; i < ids.length && capacity > 0; i++) {
    const id = ids[i]!;
    const mine = pins !== null && pins[id] === 1 ? pinnedOrder : order;
    if (cached[id] === 1) {
      hits++;
      mine.touch(id);
      continue;
    }
    if (order.size + pinnedOrder.size >= capacity) {
      const victim = order.size > 0 ? order.evict(id) : pinnedOrder.evict(id);
      cached[victim] = 0;
      evictions++;
    }
    cached[id] = 1;
    mine.insert(id);
  }
  const inside = order.size + pinnedOrder.size;
  assert(inside <= capacity, 'law C1: no more blocks are cached than fit');
  assert(capacity === 0 || hits + evictions + inside === ids.length, 'law C2: every reference has one end');
  return {
    queriedBlocks: ids.length,
    hitBlocks: hits,
    blockHitRate: ids.length === 0 ? 0 : hits / ids.length,
    evictions,
  };
}

/** The hit rate by capacity, one curve per eviction policy. */
export function hitRateCurve(
  references: ArrayLike<number> | BlockRefs,
  {
    capacities,
    evictions,
    ...rest
  }: { capacities: readonly number[]; evictions: readonly EvictionPolicy[] } & Omit<
    ReplayOptions,
    'capacityBlocks' | 'eviction'
  >,
): CurvePoint[] {
  const refs = 'ids' in references ? references : blockRefs(references);
  return evictions.flatMap((eviction) =>
    capacities.map((capacityBlocks) => ({
      eviction,
      capacityBlocks,
      ...replayCache(refs, { ...rest, capacityBlocks, eviction }),
    })),
  );
}

function pinnedIds(refs: BlockRefs, keys: Iterable<number>): Uint8Array | null {
  let pins: Uint8Array | null = null;
  for (const key of keys) {
    const id = refs.idOf(key);
    if (id < 0) continue;
    pins ??= new Uint8Array(refs.distinct);
    pins[id] = 1;
  }
  return pins;
}
