// The simulator's step-time model for a planned vLLM deployment. Sweeps ask for the same model on many GPUs: what one forward pass
// has to move and to compute depends on model, scheme and tensor parallelism alone and is summed once.
import { type ForwardWork, forwardWork } from '../../accounting/work.ts';
import { identity, recent } from '../../engines/recent.ts';
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import { createStepTime, type StepTime } from '../../sim/time/index.ts';
import type { PlanRequest } from '../request.ts';

const forwards = recent<ForwardWork>(5000);

/** Undefined where the bandwidth of the device is not known. Drafts are left out: what they save depends on the text. */
export function stepTimeOf({ resolved, architecture }: VllmPlanned, request: PlanRequest): StepTime | undefined {
  const { spec, scheme, gpus } = request;
  const { dtype, kvCacheDtype, tensorParallelSize } = resolved;
  const key = `${identity(spec)}/${identity(scheme)}/${dtype}/${kvCacheDtype}/${tensorParallelSize}`;
  const forward = forwards(key, () =>
    forwardWork({ spec, architecture, scheme, dtype, kvCacheDtype, tensorParallelSize }),
  );
  return createStepTime({
    spec,
    architecture,
    forward,
    scheme,
    gpu: gpus[0]!,
    node: request.nodes?.[0],
    options: resolved.speculativeTokens > 0 ? { ...resolved, speculativeTokens: 0 } : resolved,
  });
}
