// What a release says when it refuses a start for lack of memory. Texts are templates of the release; the numbers are filled
// in here. vLLM v1/core/kv_cache_utils.py, v1/worker/gpu_worker.py, v1/worker/utils.py; V0: worker/worker.py.
import type { KvRefusal } from '../kv/types.ts';
import type { MemoryBudget } from '../memory/types.ts';
import type { Profile } from '../profile.ts';
import type { ResolvedOptions } from '../resolved.ts';
import { fill, gib } from './format.ts';
import type { MessageRules } from './rules.ts';

interface Where {
  profile: Profile;
  resolved: Pick<ResolvedOptions, 'engine' | 'gpuMemoryUtilization'>;
}

export type RefusalFigures = Where &
  (
    | {
        kind: 'free-memory';
        rank: number;
        budget: Pick<MemoryBudget, 'initialFreeBytes' | 'totalBytes' | 'requestedBytes'>;
      }
    | { kind: 'kv'; refusal: KvRefusal; kv?: unknown }
  );

/** The exception's text in the release's own words. */
export function refusalText(figures: RefusalFigures): string {
  const rules = figures.profile as Profile<MessageRules>;
  if (figures.kind === 'kv') return kvText(rules, figures.resolved, figures.refusal);
  const { budget, rank, resolved } = figures;
  return fill(rules['messages.freeMemory'] ?? 'torch.OutOfMemoryError: CUDA out of memory.', {
    device: `cuda:${rank}`,
    free: gib(budget.initialFreeBytes),
    total: gib(budget.totalBytes),
    requested: gib(budget.requestedBytes),
    utilization: String(resolved.gpuMemoryUtilization),
  });
}

function kvText(rules: Profile<MessageRules>, resolved: Pick<ResolvedOptions, 'engine'>, refusal: KvRefusal): string {
  switch (refusal.kind) {
    case 'no-memory':
      return rules['messages.noMemory'];
    case 'unsupported':
      return refusal.error;
    case 'too-long':
      return tooLongText(rules, resolved, refusal);
  }
}

/** One request of max_model_len tokens does not fit; V1 adds the longest length that would, when there is one. */
function tooLongText(
  rules: Profile<MessageRules>,
  resolved: Pick<ResolvedOptions, 'engine'>,
  refusal: Extract<KvRefusal, { kind: 'too-long' }>,
): string {
  const { maxModelLen, neededBytes, availableBytes, estimatedMaxLen } = refusal;
  if (resolved.engine === 'v0') return fill(rules['messages.tooLongV0'], { maxModelLen, tokens: estimatedMaxLen });
  const estimate = estimatedMaxLen > 0 ? fill(rules['messages.tooLongEstimate'], { estimate: estimatedMaxLen }) : '';
  return fill(rules['messages.tooLong'], {
    maxModelLen,
    needed: gib(neededBytes),
    available: gib(availableBytes),
    estimate,
  });
}
