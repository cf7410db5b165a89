// The order of waiting requests under lpm: longest cached prefix first; of several that share a prefix nobody has computed yet only
// one goes first, so that the others find it cached. Law: SchedulePolicy in sglang/srt/managers/schedule_policy.py (0.5.9).
import { inBatchPrefix, lpmQueueLimit } from './config.ts';
import type { RadixMemory } from './memory.ts';
import type { RadixRequest } from './request.ts';
import { RadixTree } from './tree.ts';

/** Sorts in place; leaves the queue alone when it is long. */
export function longestPrefixFirst(waiting: RadixRequest[], memory: RadixMemory): void {
  if (waiting.length > lpmQueueLimit) return;
  const queued = new RadixTree();
  const rank = new Map<RadixRequest, number>();
  for (const request of waiting) {
    const known = request.prompt + request.output;
    const { length } = memory.tree.match(request.root, request.tokens, known);
    rank.set(request, length);
    if (length > inBatchPrefix) continue;
    const root = queued.root(request.extra);
    if (queued.match(root, request.tokens, known).length >= inBatchPrefix) rank.set(request, -1);
    else queued.insert(root, request.tokens, known);
  }
  waiting.sort((a, b) => rank.get(b)! - rank.get(a)!);
}
