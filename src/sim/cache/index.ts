// Cache-only replay and the eviction orders it shares with the paged pool.
export { type BlockRefs, blockRefs, blockRefsOfPairs, flattenKeys } from './block-refs.ts';
export { createOrder, type EvictionOrder, type EvictionPolicy, evictionPolicies, type OrderOptions } from './order.ts';
export { type CurvePoint, hitRateCurve, type ReplayOptions, type ReplayResult, replayCache } from './replay.ts';
