// CUDA graphs: how many are captured, what their pool takes, and what the release subtracts for them. Sizes have no closed
// form: the driver keeps memory per node of every graph, so the law is a constant, a part that
// grows with the largest captured batch, and a part per layer and graph.
import { KiB, MiB } from '../../../units.ts';
import type { Amount, MemoryInput } from './types.ts';

/** PIECEWISE graphs for all sizes, FULL decode graphs for the sizes up to max_num_seqs. vLLM v1/cudagraph_dispatcher.py. */
function graphCount({ options }: MemoryInput): number {
  const sizes = options.captureSizes;
  const decode = sizes.filter((size) => size <= options.maxNumSeqs * (1 + options.speculativeTokens)).length;
  switch (options.cudagraphMode) {
    case 'NONE':
      return 0;
    case 'PIECEWISE':
      return sizes.length;
    case 'FULL_AND_PIECEWISE':
      return sizes.length + decode;
    default:
      return decode;
  }
}

export function graphPool(input: MemoryInput): Amount {
  const source = 'vllm/v1/worker/gpu_model_runner.py capture_model';
  const graphs = graphCount(input);
  if (graphs === 0) {
    return { bytes: 0, lowBytes: 0, highBytes: 0, formula: 'no CUDA graphs', source, confidence: 'exact' };
  }
  const law = input.profile['memory.graphPool'];
  const layers = input.architecture.caches.length / input.options.pipelineParallelSize;
  const expertLayers = (input.architecture.forward.moe?.layers ?? 0) / input.options.pipelineParallelSize;
  const perGraph = law.perLayerGraphKib * layers + law.perExpertLayerGraphKib * expertLayers;
  const largest = Math.min(Math.max(0, ...input.options.captureSizes), input.options.maxNumSeqs);
  const bytes = Math.round(law.baseMib * MiB + law.perCapturedTokenKib * KiB * largest + graphs * perGraph * KiB);
  return {
    bytes,
    lowBytes: Math.round(bytes * law.lowFactor),
    highBytes: Math.round(bytes * law.highFactor),
    formula: `${law.baseMib} MiB + ${law.perCapturedTokenKib} KiB x ${largest} tokens + ${graphs} graphs x (${law.perLayerGraphKib} KiB x ${layers} layers${
      expertLayers > 0 ? ` + ${law.perExpertLayerGraphKib} KiB x ${expertLayers} expert layers` : ''
    })`,
    source,
    confidence: 'estimated',
  };
}

/** What is taken off the budget for graphs, and whether the start-up log shows an estimate. */
export function graphEstimate(input: MemoryInput, pool: Amount): { bytes: number; estimate: number; logged: boolean } {
  const { options, profile, gpu } = input;
  const rule = profile['memory.graphEstimate'];
  if (pool.bytes === 0 || options.engine === 'v0' || rule === 'none') return { bytes: 0, estimate: 0, logged: false };
  if (gpu.vendor === 'amd' && !profile['memory.graphEstimateOnAmd']) return { bytes: 0, estimate: 0, logged: false };
  const second = options.runner === 'v2';
  if (second && profile['memory.graphEstimateSecondRunner'] !== 'captured')
    return { bytes: 0, estimate: 0, logged: false };
  const asked = options.env?.VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS;
  const subtracted = asked === undefined ? rule === 'subtracted' : asked === '1';
  const bytes = pool.bytes + stateTransientBytes(input);
  return { bytes: subtracted ? bytes : 0, estimate: bytes, logged: !second };
}

/**
 * From 0.26 the first FULL sample of the first runner runs a long sequence, and the transients of recurrent layers, which grow
 * with the tokens of a step, count as graph memory. vLLM v1/worker/gpu_model_runner.py profile_cudagraph_memory, issue 50780.
 */
function stateTransientBytes({ architecture, options, profile }: MemoryInput): number {
  const stateful = architecture.caches.some((entry) => entry.caches.some((cache) => cache.kind === 'state'));
  if (!stateful || options.runner === 'v2') return 0;
  return (profile['memory.stateGraphTransientKib'] * KiB * options.maxNumBatchedTokens) / options.tensorParallelSize;
}
