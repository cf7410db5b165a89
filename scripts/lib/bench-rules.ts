// The scheduler's rules of the newest release, for benchmarks.
import { resolveEngineRef } from '../../src/load/engine.ts';
import { schedulerRules } from '../../src/load/scheduler-rules.ts';
import type { PagedRules } from '../../src/sim/paged/config.ts';

let rules: PagedRules | undefined;

export function defaultRules(): PagedRules {
  rules ??= schedulerRules(resolveEngineRef('vllm@0.33.0').profile);
  return rules;
}
