// What a pool can hold of a request, and what of the blocks held is empty. The engine refuses at the door what can never run: prompts
// that leave no room for a token (vllm/v1/engine/processor.py), requests longer than the pool (kv_cache_utils.py checks it at start-up
// for max_model_len).
import { divCeil } from '../../units.ts';
import type { SimRequest } from '../types.ts';
import type { PagedConfig } from './config.ts';
import type { KvGroup } from './groups/group.ts';
import type { KvManager } from './kv-manager.ts';
import type { Sequence } from './sequence.ts';

/** Why a request can never run to its end, undefined when it can. What it will really generate is known to the simulation alone. */
export function neverFits(request: SimRequest, config: PagedConfig, { groups, pool }: KvManager): string | undefined {
  const { maxModelLen, chunkedPrefill, maxNumBatchedTokens, longPrefillTokenThreshold } = config;
  const { promptTokens, outputTokens } = request;
  if (promptTokens >= maxModelLen) return `the prompt has ${promptTokens} tokens, max_model_len is ${maxModelLen}`;
  if (!chunkedPrefill && promptTokens > maxNumBatchedTokens && longPrefillTokenThreshold === 0)
    return `the prompt has ${promptTokens} tokens, a step without chunked prefill takes ${maxNumBatchedTokens}`;
  const tokens = Math.min(promptTokens + outputTokens, maxModelLen);
  let blocks = 0;
  // Groups that give blocks back hold at least one.
  for (const group of groups) blocks += group.type === 'full' ? divCeil(tokens, group.blockSize) : 1;
  return blocks > pool.usable
    ? `it needs ${blocks} blocks for ${tokens} tokens, the pool has ${pool.usable}`
    : undefined;
}

/** Slots of the blocks that sequences hold and no computed token fills; states of Mamba layers have no slots. */
export function slackOf(groups: readonly KvGroup[], running: readonly Sequence[]): number {
  let slack = 0;
  for (const sequence of running) {
    for (let g = 0; g < groups.length; g++) {
      const table = sequence.tables[g];
      const group = groups[g] as KvGroup;
      if (!table || group.type === 'mamba') continue;
      slack += Math.max(0, table.length * group.blockSize - sequence.computed);
    }
  }
  return slack;
}
