// One scheme under vLLM: planned like any deployment, with the scheme in place of the model's own form. A scheme that the release does not
// have gets its size from the tensor list, split evenly.
import { planVllm } from '../../engines/vllm/plan.ts';
import type { RegistryEntry } from '../../engines/vllm/registry.ts';
import type { QuantizationScheme } from '../../spec/quantization.ts';
import type { PlanRequest } from '../request.ts';
import type { Plan } from '../types.ts';
import { type Outcome, refusedOutcome } from './outcome.ts';
import { type EngineAt, type EngineSupport, engineSupport } from './support.ts';
import type { KvCapacity } from './types.ts';

export interface VllmSide {
  /** The deployment in 16 bit, with devices, options and the requirement. */
  request: PlanRequest;
  registry: readonly RegistryEntry[];
  engine: EngineAt;
}

/** The request as it is planned with a scheme. */
export function withScheme({ request }: VllmSide, scheme: QuantizationScheme): PlanRequest {
  const { scheme: _, ...rest } = request;
  const plain = scheme.format === 'none';
  const options = { ...request.options, ...(scheme.dtype ? { dtype: scheme.dtype } : {}) };
  return { ...rest, options, ...(plain ? {} : { scheme }) };
}

export function vllmOutcome(side: VllmSide, scheme: QuantizationScheme, evenShareBytes: number): Outcome {
  const support = engineSupport(scheme, side.engine);
  if (!support.supported) return unsupported(support, evenShareBytes);
  const { plan } = planVllm(withScheme(side, scheme), side.registry);
  return outcomeOf(plan, evenShareBytes);
}

/** What the rows say of a plan of vLLM's. */
export function outcomeOf(plan: Plan, evenShareBytes: number): Outcome {
  const { verdict, workload, kvCache, devices } = plan;
  const fits = verdict.fits && workload?.fits !== false;
  const loaded = Math.max(0, ...devices.map(({ weights }) => weights.loadedBytes));
  const shortfallBytes = fits ? 0 : Math.max(-verdict.headroomBytes, verdict.shortfallBytes ?? 0, 0);
  const lacksMemory = (verdict.shortfallBytes ?? 0) > 0 || (verdict.fits && workload?.fits === false);
  const capacity: KvCapacity = {
    tokens: kvCache.tokens,
    sequencesAtContext: workload?.maxConcurrencyAtContext ?? Math.floor(kvCache.maxConcurrency),
  };
  return {
    weightBytesPerGpu: loaded > 0 ? loaded : evenShareBytes,
    kv: fits ? capacity : null,
    state: fits ? 'fits' : lacksMemory ? 'short' : 'refused',
    fits,
    // What a GPU lacks for the whole requirement, whichever check of the engine fails first.
    shortfallBytes: lacksMemory ? shortfallBytes : 0,
    reason: fits || lacksMemory ? verdict.reason : refusalOf(verdict),
    confidence: loaded > 0 ? 'derived' : 'estimated',
  };
}

/** The engine's own words, without the name of the exception. */
function refusalOf({ reason, engineError }: Plan['verdict']): string | null {
  const text = engineError?.replace(/^\w+(?:Error|Exception): /, '').split(/(?<=\.) |\n/)[0];
  return text && text.length > 0 ? text : reason;
}

function unsupported({ version, since, until }: EngineSupport, bytes: number): Outcome {
  const range =
    since || until ? ` (${[since && `from ${since}`, until && `up to ${until}`].filter(Boolean).join(' ')})` : '';
  return refusedOutcome(`vLLM ${version} does not have it${range}`, bytes);
}

/** Bytes of the checkpoint, and an even share of them per GPU. */
export function evenShare({ request }: VllmSide, total: number): number {
  const { tensorParallelSize, pipelineParallelSize } = request.options;
  return Math.ceil(total / (tensorParallelSize * pipelineParallelSize));
}
