// How the figures of the KV cache came about, in words and numbers: what --explain shows beside the budget.
import { thousands } from '../../../numbers.ts';
import type { FigureExplanation } from '../../../plan/types.ts';
import type { KvPlan, KvRules } from './types.ts';

const lines: Readonly<Record<KvRules['kv.tokensLine'], string>> = {
  none: 'blocks x block size',
  blocksTimesBlockSize: 'blocks x block size',
  blocksOverGroups: 'blocks / groups, rounded down, x the smallest block size',
  concurrencyTimesLength: 'concurrency x max_model_len, rounded down',
};

/** `given`: the size was set, not found. */
export function explainKv(
  kv: KvPlan,
  bytes: number,
  rule: KvRules['kv.tokensLine'],
  given: boolean,
): FigureExplanation[] {
  const source = 'vllm/v1/core/kv_cache_utils.py';
  const largest = kv.groups.reduce((most, group) => Math.max(most, group.layers), 0);
  const page = kv.groups[0]?.pageBytes ?? 0;
  const uniform = kv.groups[0]?.kind === 'uniform';
  const perBlock = uniform
    ? 'sum of the pages of all layers'
    : `${largest} layers${kv.groups.length > 1 ? ` (the largest of ${kv.groups.length} groups)` : ''} x ${thousands(page)} bytes a page`;
  return [
    { figure: 'bytesPerBlock', formula: perBlock, source, confidence: 'exact' },
    {
      figure: 'numBlocks',
      formula: `${thousands(bytes)} bytes / ${thousands(kv.bytesPerBlock)} bytes a block, rounded down`,
      source,
      confidence: given ? 'exact' : 'estimated',
    },
    {
      figure: 'maxConcurrency',
      formula: `${thousands(kv.numBlocks)} blocks / ${thousands(kv.blocksPerRequest)} blocks of one request of ${thousands(kv.maxModelLen)} tokens`,
      source: 'vllm/v1/core/kv_cache_utils.py get_max_concurrency_for_kv_cache_config',
      confidence: given ? 'exact' : 'estimated',
    },
    {
      figure: 'tokens',
      formula: lines[rule],
      source: `${source} (the start-up line of this release)`,
      confidence: given ? 'exact' : 'estimated',
    },
  ];
}
