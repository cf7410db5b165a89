// `--matrix`: which combinations of context and concurrency the KV cache holds, without preempting anybody.
import type { VllmPlanned } from '../engines/vllm/plan.ts';
import type { PlanRequest } from './request.ts';
import type { PlanMatrix } from './types.ts';

const concurrencies = [1, 2, 4, 8, 16, 32, 64, 128, 256];

export function planMatrix(planned: VllmPlanned, { options }: PlanRequest): PlanMatrix {
  const { maxModelLen } = planned.plan.kvCache;
  const contexts = [1024, 2048, 4096, 8192, 16_384, 32_768, 65_536, 131_072, 262_144, 524_288, 1_048_576].filter(
    (length) => length < maxModelLen,
  );
  contexts.push(maxModelLen);
  const maxConcurrency = contexts.map((context) => planned.sequencesAt(context) * options.dataParallelSize);
  return {
    contexts,
    concurrencies,
    fits: maxConcurrency.map((most) => concurrencies.map((count) => count <= most)),
    maxConcurrency,
  };
}
