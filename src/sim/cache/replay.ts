// Replays references to blocks through a cache of a given capacity, without engine or clock. Counting rule: every block of every
// request is one query, the partial last one included, whether or not the blocks before it were hit; each is inserted in order, at
// once. A cache with infinite capacity gives the upper bound of what prefix caching can save.
import { assert } from '../../assert.ts';
import { type BlockRefs, blockRefs } from './block-refs.ts';
import { createOrder, type EvictionPolicy, type OrderOptions } from './order.ts';

export interface ReplayOptions extends Partial<Pick<OrderOptions, 'protectedHits' | 'protectedShare' | 'reuseWindow'>> {
  /** Blocks that fit; Infinity: nothing is ever evicted. */
  readonly capacityBlocks: number;
  readonly eviction: EvictionPolicy;
  /** Keys of blocks that are never evicted once they are in. They count in the capacity. */
  readonly pinned?: Iterable<number>;
}

export interface ReplayResult {
  readonly queriedBlocks: number;
  readonly hitBlocks: number;
  readonly blockHitRate: number;
  readonly evictions: number;
  /** Blocks that found the cache full of pinned ones and were not kept. */
  readonly refusedBlocks: number;
}

export interface CurvePoint extends ReplayResult {
  readonly eviction: EvictionPolicy;
  readonly capacityBlocks: number;
}

const pinnedFlag = 2;

export function replayCache(references: ArrayLike<number> | BlockRefs, options: ReplayOptions): ReplayResult {
  const { capacityBlocks, eviction, pinned = [] } = options;
  assert(capacityBlocks >= 0, `a cache cannot hold ${capacityBlocks} blocks`);
  const refs = 'ids' in references ? references : blockRefs(references);
  const { ids, distinct } = refs;
  const capacity = Math.min(Math.floor(capacityBlocks), distinct);
  const order = createOrder(eviction, { ...options, ids: distinct, capacity });
  const pins = pinnedIds(refs, pinned);
  const cached = new Uint8Array(distinct);
  let pinnedInside = 0;
  let hits = 0;
  let evictions = 0;
  let refused = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (cached[id] !== 0) {
      hits++;
      if (cached[id] !== pinnedFlag) order.touch(id);
      continue;
    }
    if (order.size + pinnedInside >= capacity) {
      const victim = order.evict(id);
      if (victim < 0) {
        refused++;
        continue;
      }
      cached[victim] = 0;
      evictions++;
    }
    if (pins !== null && pins[id] === 1) {
      cached[id] = pinnedFlag;
      pinnedInside++;
    } else {
      cached[id] = 1;
      order.insert(id);
    }
  }
  assert(order.size + pinnedInside <= capacity, 'law C1: no more blocks are cached than fit');
  assert(hits + evictions + refused + order.size + pinnedInside === ids.length, 'law C2: every reference has one end');
  return {
    queriedBlocks: ids.length,
    hitBlocks: hits,
    blockHitRate: ids.length === 0 ? 0 : hits / ids.length,
    evictions,
    refusedBlocks: refused,
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
