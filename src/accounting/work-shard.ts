// The share of a tensor that one tensor-parallel rank works on, as a fraction. Whole heads and padding are the engines' matter:
// an even share is what its time goes by.
import type { Shard } from '../architecture/types.ts';

export function shardShare(shard: Shard, rows: number, tp: number): number {
  switch (shard.by) {
    case 'replicated':
      return 1;
    case 'kv-heads':
      return Math.max(1 / shard.heads, 1 / tp);
    case 'segments':
      return (
        shard.segments.reduce((sum, part) => sum + part.rows * shardShare(part.shard, part.rows, tp), 0) /
        Math.max(1, rows)
      );
    case 'expert':
      return shardShare(shard.inner, rows, tp);
    default:
      return 1 / tp;
  }
}
