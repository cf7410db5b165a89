// The memory flow of one rank at start-up: what the engine allows itself, what the profile run finds used, and what is left
// for the KV cache, by the formula of the release. Weights and KV layout come from their own rules.
import { gib } from '../../../numbers.ts';
import { divFloor } from '../../../units.ts';
import { communicationAmount } from './all-reduce.ts';
import { runnerBuffers } from './buffers.ts';
import { graphEstimate, graphPool } from './graphs.ts';
import { loraSlotBytes } from './lora.ts';
import { measured } from './measured.ts';
import { activationPeak } from './peak.ts';
import type { Amount, MemoryBudget, MemoryInput, PeakTerms } from './types.ts';

export { memoryItems } from './items.ts';
export type { MemoryRules } from './rules.ts';
export type { MemoryBudget, MemoryInput, MemoryItem } from './types.ts';

export function memoryBudget(input: MemoryInput): MemoryBudget {
  const { gpu } = input;
  const loraBytes = loraSlotBytes(input);
  const weights = { ...input.weights, loadedBytes: input.weights.loadedBytes + loraBytes, loraBytes };
  const totalBytes = input.totalBytes ?? gpu.cudaTotalBytes;
  const requestedBytes = requested(totalBytes, input);
  const peak = activationPeak(input);
  const activations = activationAmount(peak, otherSamplerPeak(input));
  const outside = outsideTorch(input);
  const graphs = graphPool(input);
  const estimate = graphEstimate(input, graphs);
  const buffers = runnerBuffers(input);
  const charged = chargedBytes(input, {
    loadedBytes: weights.loadedBytes,
    activations,
    ...outside,
    buffers,
    estimate: estimate.bytes,
    graphs,
  });
  const initialFreeBytes = input.freeBytes ?? totalBytes - outside.context.bytes - outside.communication.bytes;
  const consumed = weights.loadedBytes + peak.kept + outside.nonTorch.bytes + buffers.bytes;
  const transient = peak.total - peak.kept;
  const consumedRule = formulaOf(input) === 'consumed-transient-graphs';
  return {
    totalBytes,
    requestedBytes,
    initialFreeBytes,
    weights,
    peak,
    activations,
    ...outside,
    buffers,
    graphs,
    graphEstimateBytes: estimate.bytes,
    graphEstimate: estimate.estimate,
    graphEstimateLogged: estimate.logged,
    availableBytes: requestedBytes - charged.bytes,
    availableLowBytes: requestedBytes - charged.highBytes,
    availableHighBytes: requestedBytes - charged.lowBytes,
    printed: {
      activationBytes: consumedRule ? transient + estimate.bytes : peak.total,
      nonTorchBytes: outside.nonTorch.bytes,
      ...(consumedRule ? { consumedBytes: consumed } : {}),
    },
    freeShortfallBytes: freeShortfall(input, totalBytes, requestedBytes, outside),
  };
}

/** total x utilization; rounded up to a byte from 0.14. vLLM v1/worker/gpu_worker.py, v1/worker/utils.py request_memory. */
function requested(totalBytes: number, { options, profile }: MemoryInput): number {
  const product = totalBytes * options.gpuMemoryUtilization;
  return profile['memory.roundsRequestedUp'] ? Math.ceil(product) : divFloor(product, 1);
}

function formulaOf({ options, profile }: MemoryInput) {
  return options.engine === 'v0' ? profile['memory.formulaV0'] : profile['memory.formula'];
}

/** Memory of this process that PyTorch does not see, split by where the release charges it. */
function outsideTorch(input: MemoryInput): Pick<MemoryBudget, 'nonTorch' | 'context' | 'communication'> {
  const { options, profile } = input;
  const laws = options.engine === 'v0' ? profile['memory.nonTorchV0'] : profile['memory.nonTorch'];
  const nonTorch = measured(
    laws,
    input,
    'growth outside PyTorch while profiling',
    'vllm/utils/mem_utils.py memory_profiling',
  );
  const context = measured(profile['memory.context'], input, 'CUDA context', 'CUDA driver');
  const communication = communicationAmount(input);
  const contextOutside = profile[options.engine === 'v0' ? 'memory.contextOutsideV0' : 'memory.contextOutside'];
  const communicationOutside = profile['memory.communicationOutside'] && options.engine === 'v1';
  return {
    nonTorch: formulaOf(input) === 'peak-plus-outside' ? withOthers(input, nonTorch, context) : nonTorch,
    context: contextOutside ? context : inside(context),
    communication: communicationOutside ? communication : inside(communication),
  };
}

/** Releases without a baseline charge what other processes hold as well. */
function withOthers(input: MemoryInput, nonTorch: Amount, context: Amount): Amount {
  if (input.freeBytes === undefined) return nonTorch;
  const others = Math.max(0, (input.totalBytes ?? input.gpu.cudaTotalBytes) - input.freeBytes - context.bytes);
  return {
    ...nonTorch,
    bytes: nonTorch.bytes + others,
    lowBytes: nonTorch.lowBytes + others,
    highBytes: nonTorch.highBytes + others,
    formula: `${nonTorch.formula}; with what other processes hold`,
  };
}

/** Memory that the release counts as non-torch is in that figure already. */
function inside(amount: Amount): Amount {
  return {
    ...amount,
    bytes: 0,
    lowBytes: 0,
    highBytes: 0,
    formula: `${amount.formula}; inside non-torch in this release`,
  };
}

const none = { bytes: 0, lowBytes: 0, highBytes: 0 };

interface Charged {
  loadedBytes: number;
  activations: Amount;
  nonTorch: Amount;
  buffers: Amount;
  estimate: number;
  /** The real pool, whose range is that of the estimate. */
  graphs: Amount;
}

/** What the release takes off the requested memory before it sizes the KV cache. */
function chargedBytes(
  input: MemoryInput,
  { loadedBytes, activations, nonTorch, buffers, estimate, graphs }: Charged,
): { bytes: number; lowBytes: number; highBytes: number } {
  const fixed = loadedBytes + estimate;
  const spread = estimate > 0 ? graphs : none;
  const kept = input.profile['memory.buffersCharged'] ? buffers.bytes : 0;
  return {
    bytes: fixed + kept + activations.bytes + nonTorch.bytes,
    lowBytes: fixed - (spread.bytes - spread.lowBytes) + kept + activations.lowBytes + nonTorch.lowBytes,
    highBytes: fixed + (spread.highBytes - spread.bytes) + kept + activations.highBytes + nonTorch.highBytes,
  };
}

/**
 * Up to 0.11.0 the sampler depends on whether FlashInfer is installed: the peak with the other one, where the user did not say.
 */
function otherSamplerPeak(input: MemoryInput): number | undefined {
  const { options, profile } = input;
  if (!profile['memory.samplerFlashInfer'] || options.env?.VLLM_USE_FLASHINFER_SAMPLER !== undefined) return undefined;
  const value = profile['memory.flashInferSamplerAssumed'] ? '0' : '1';
  const env = { ...options.env, VLLM_USE_FLASHINFER_SAMPLER: value };
  return activationPeak({ ...input, options: { ...options, env } }).total;
}

/** vLLM refuses when less is free than it asks for; what the context takes is given the benefit of the doubt. */
function freeShortfall(
  input: MemoryInput,
  totalBytes: number,
  requestedBytes: number,
  { context, communication }: Pick<MemoryBudget, 'context' | 'communication'>,
): number {
  if (!input.profile['memory.checksFreeMemory'] || input.options.engine === 'v0') return 0;
  const free = input.freeBytes ?? totalBytes - context.lowBytes - communication.lowBytes;
  return Math.max(0, requestedBytes - free);
}

function activationAmount(peak: PeakTerms, other: number | undefined): Amount {
  const leadsEncoder = peak.total > Math.max(peak.sampler, peak.forward) + peak.workspace + peak.encoder + peak.cublas;
  return {
    bytes: Math.round(peak.total),
    lowBytes: Math.round(Math.min(peak.total, other ?? peak.total)),
    highBytes: Math.round(Math.max(peak.total, other ?? peak.total)),
    // In words only where somebody reads them: sweeps do not.
    get formula() {
      return activationTerms(peak, leadsEncoder).join(' + ');
    },
    source: 'vllm/v1/worker/gpu_model_runner.py profile_run',
    confidence: leadsEncoder ? 'estimated' : 'derived',
  };
}

function activationTerms(peak: PeakTerms, leadsEncoder: boolean): string[] {
  const term = (name: string, bytes: number): string => (bytes > 0 ? `${name} ${gib(bytes)}` : '');
  const cublas = term('cuBLAS workspace', peak.cublas);
  if (leadsEncoder) return ['forward pass of the encoder', cublas].filter(Boolean);
  return [
    `max(${[term('sampler', peak.sampler), term('forward pass', peak.forward)].filter(Boolean).join(', ')})`,
    term('expert workspace', peak.workspace),
    term('encoder inputs and outputs', peak.encoder),
    cublas,
  ].filter(Boolean);
}
