// Terms without a closed form: what a release holds outside PyTorch, the CUDA context, NCCL. Each is a measured law of the
// release, by parallelism and interconnect, with its range; never by model.
import { nvlinkDomain } from '../../../accounting/link.ts';
import { KiB, MiB } from '../../../units.ts';
import type { MeasuredLaw } from './rules.ts';
import type { Amount, MemoryInput } from './types.ts';

export function measured(laws: readonly MeasuredLaw[], input: MemoryInput, words: string, source: string): Amount {
  const law = laws.find((entry) => applies(entry, input));
  if (!law) return { bytes: 0, lowBytes: 0, highBytes: 0, formula: `${words}: none`, source, confidence: 'derived' };
  const layers = input.architecture.caches.length / input.options.pipelineParallelSize;
  const grown = Math.round((law.perLayerKib ?? 0) * KiB * layers);
  return {
    bytes: Math.round(law.mib * MiB) + grown,
    lowBytes: Math.round(law.lowMib * MiB) + grown,
    highBytes: Math.round(law.highMib * MiB) + grown,
    // In words only where somebody reads them: sweeps do not.
    get formula() {
      const perLayer = law.perLayerKib ? ` + ${law.perLayerKib} KiB x ${layers} layers` : '';
      return `${words}, measured: ${law.lowMib} to ${law.highMib} MiB${perLayer}`;
    },
    source,
    confidence: 'estimated',
  };
}

/** From 0.14 the replicas of a dense model know nothing of each other. vllm/v1/engine/core.py run_engine_core. */
function replicas({ architecture, options, profile }: MemoryInput): number {
  return profile['memory.denseReplicasAlone'] && !architecture.forward.moe ? 1 : options.dataParallelSize;
}

function applies(law: MeasuredLaw, input: MemoryInput): boolean {
  const { gpu, options } = input;
  const tp = options.tensorParallelSize;
  // Bridges join pairs: beyond them a group goes over PCIe, beyond the node over the network.
  const link = gpu.nvlinkBytesPerSecond && (tp === 1 || tp <= nvlinkDomain(gpu)) ? 'nvlink' : 'pcie';
  return (
    (law.tensorParallel === undefined || law.tensorParallel === (tp > 1 ? 'many' : 'one')) &&
    (law.pipelineParallel === undefined ||
      law.pipelineParallel === (options.pipelineParallelSize > 1 ? 'many' : 'one')) &&
    (law.dataParallel === undefined || law.dataParallel === (replicas(input) > 1 ? 'many' : 'one')) &&
    (law.link === undefined || law.link === link) &&
    (law.vendor === undefined || law.vendor === gpu.vendor) &&
    (law.capability === undefined || law.capability === Math.floor(Number(gpu.computeCapability ?? 0))) &&
    (law.integrated === undefined || law.integrated === (gpu.integrated === true)) &&
    (law.minTensorParallel === undefined || tp >= law.minTensorParallel)
  );
}
