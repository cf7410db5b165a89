// The share of one checkpoint tensor that a tensor-parallel rank holds. Law: vLLM's parallel linear layers and its vocabulary
// embedding (model_executor/layers/{linear,vocab_parallel_embedding}.py), 0.6.3 to 0.33.
import type { Shard } from '../../../architecture/types.ts';
import { alignUp, sum } from '../../../units.ts';
import { refuse } from './types.ts';

export interface ShardContext {
  tp: number;
  tensorRank: number;
}

const vocabularyPadding = 64;

/** a / b, or vLLM's own refusal (distributed/utils.py divide). */
export function divide(a: number, b: number): number {
  if (a % b !== 0) refuse(`AssertionError: ${a} is not divisible by ${b}`);
  return a / b;
}

/** Rows of the vocabulary on one rank: padded to 64, then divided (the padded size must divide). */
function vocabularyRows(rows: number, tp: number): number {
  return divide(alignUp(rows, vocabularyPadding), tp);
}

/** Dimension 0 of the rank's share. */
export function rankRows(rows: number, shard: Shard, context: ShardContext): number {
  const { tp } = context;
  switch (shard.by) {
    case 'replicated':
    case 'row':
      return rows;
    case 'vocabulary':
      return vocabularyRows(rows, tp);
    case 'column':
      return divide(rows, tp);
    case 'kv-heads':
      return headRows(rows, shard.heads, tp);
    case 'segments':
      return sum(shard.segments.map((segment) => rankRows(segment.rows, segment.shard, context)));
    case 'expert':
      return rankRows(rows, shard.inner, context);
  }
}

/** Dimension 1 of the rank's share. */
export function rankColumns(columns: number, shard: Shard, context: ShardContext): number {
  if (shard.by === 'row') return divide(columns, context.tp);
  if (shard.by === 'expert') return rankColumns(columns, shard.inner, context);
  return columns;
}

/** KV heads: heads / tp of them, replicated when there are more ranks than heads; either must divide the other. */
function headRows(rows: number, heads: number, tp: number): number {
  if (tp >= heads) {
    if (tp % heads !== 0) refuse('AssertionError: AssertionError()');
    return rows / heads;
  }
  if (heads % tp !== 0) refuse('AssertionError: AssertionError()');
  return rows / tp;
}
