// The llama-server run that Ollama starts: flash attention, memory mapping, the projector, and the arguments in its order. Law:
// llm/llama_server.go startLlamaServer, server/sched.go applyLlamaServerMmapDefaults, ml/device.go FlashAttentionSupported.
import { GiB, MiB } from '../../../units.ts';
import type { LlamaOptions } from '../types.ts';
import { memoryOf, percentOf } from './predict.ts';
import type { OllamaRules } from './rules.ts';
import type { OllamaGpu, OllamaLoaded, OllamaRequest } from './types.ts';

/** OLLAMA_FLASH_ATTENTION decides; unset: auto where every GPU has it, else off. */
export function ollamaFlashAttention(
  rules: OllamaRules,
  gpus: readonly OllamaGpu[],
  set: boolean | undefined,
): 'on' | 'off' | 'auto' {
  if (set !== undefined) return set ? 'on' : 'off';
  const least = rules['flash-attention-capability'];
  const has = ({ library, computeCapability }: OllamaGpu): boolean =>
    library !== 'CUDA' ||
    computeCapability === undefined ||
    (Number(computeCapability) >= least && computeCapability !== '7.2');
  return gpus.every(has) ? 'auto' : 'off';
}

export interface MmapInput {
  request: OllamaRequest;
  /** The GPUs that the model is put on. */
  gpus: readonly OllamaGpu[];
  predictedBytes: number;
  availableBytes: number;
  loaded: readonly OllamaLoaded[];
}

/** Why Ollama loads without mmap; undefined: it maps. */
export function noMmapReason({ request, gpus, predictedBytes, availableBytes, loaded }: MmapInput): string | undefined {
  const { parameters = {}, os = 'linux', model, rules, systemFreeBytes = 0, systemTotalBytes = 0 } = request;
  if (parameters.useMmap !== undefined) return parameters.useMmap ? undefined : 'use_mmap false';
  const numGpu = parameters.numGpu ?? -1;
  if (numGpu === 0 || gpus.every(({ library }) => library === 'cpu')) return 'no GPU';
  if (os === 'windows' && gpus.some(({ library }) => library === 'CUDA')) return 'CUDA on Windows';
  if (gpus.some(({ library }) => library === 'Metal')) {
    const blocks = Number(model.metadata.block_count ?? 0);
    const partial = numGpu > 0 ? blocks > 0 && numGpu < blocks + 1 : predictedBytes > availableBytes;
    if (partial && (numGpu > 0 || availableBytes > 0)) return 'partial offload on Metal';
  }
  // Only where the model is still expected to fit on discrete GPUs: there the mapping is of no use after the load.
  const fits = availableBytes > 0 && predictedBytes <= percentOf(availableBytes, rules['fit-percent']);
  if (os !== 'linux' || systemFreeBytes === 0 || !fits || gpus.some(({ integrated }) => integrated)) return undefined;
  const { bytes, percent } = rules['mmap-headroom'];
  const mapped = loaded.reduce((sum, { mmapBytes = 0 }) => sum + mmapBytes, 0);
  const pressure = request.fileBytes + mapped + Math.max(bytes, percentOf(systemTotalBytes, percent));
  return systemFreeBytes < pressure ? 'little host memory free' : undefined;
}

/** Why the projector goes to the CPU; undefined: it goes to the GPU, or there is none. */
export function projectorOnCpu(request: OllamaRequest, gpus: readonly OllamaGpu[]): string | undefined {
  const { projectorBytes, parameters = {}, model, rules } = request;
  if (projectorBytes === undefined) return undefined;
  const numGpu = parameters.numGpu ?? -1;
  if (numGpu === 0) return 'no GPU';
  if (numGpu > 0 && numGpu < Number(model.metadata.block_count ?? 0) + 1) return 'not all layers on the GPU';
  const { smallGpuGiB = 0, headroomMiB, integratedToCpu } = rules.projector;
  const small = gpus.some((gpu) => {
    const memory = memoryOf(gpu);
    const needed = headroomMiB === undefined ? smallGpuGiB * GiB + 1 : projectorBytes + headroomMiB * MiB;
    return memory > 0 && memory < needed;
  });
  if (integratedToCpu && gpus.some(({ integrated }) => integrated)) return 'the GPU shares the host memory';
  return small ? 'little GPU memory' : undefined;
}

/** LLAMA_ARG_FIT_TARGET that Ollama sets for the projector, which llama.cpp's fit does not count; MiB. */
export function projectorFitTarget(request: OllamaRequest, onCpu: boolean): number | undefined {
  const { projectorBytes, rules, environment = {} } = request;
  const { headroomMiB = 0, fitTarget } = rules.projector;
  if (!fitTarget || !projectorBytes || onCpu || environment.fitTargetMiB !== undefined) return undefined;
  return Math.ceil((projectorBytes + headroomMiB * MiB) / MiB);
}

/** Arguments that move memory, in Ollama's order and spelling. */
export function serverArguments(
  options: LlamaOptions,
  {
    rules,
    gpus,
    os,
    numThread,
    projectorOff,
  }: {
    rules: OllamaRules;
    gpus: readonly OllamaGpu[];
    os: OllamaRequest['os'];
    numThread?: number | undefined;
    projectorOff: boolean;
  },
): string[] {
  const { noMmap, integrated } = rules['load-mode'];
  const shared = gpus.some((gpu) => gpu.integrated && (gpu.library === 'CUDA' || gpu.library === 'ROCm'));
  const mode = integrated && shared && os === 'linux' ? integrated : options.noMmap ? noMmap : [];
  const valued = (flag: string, value: string | number | undefined): string[] =>
    value === undefined ? [] : [flag, String(value)];
  return [
    ...valued('-c', options.ctxSize),
    ...valued('-np', options.parallel),
    ...(projectorOff ? ['--no-mmproj-offload'] : []),
    ...mode,
    ...valued('--cache-type-k', options.cacheTypeK),
    ...valued('--cache-type-v', options.cacheTypeV),
    ...valued('--flash-attn', options.flashAttn),
    ...(options.embedding ? ['--embedding'] : []),
    ...valued('-b', options.batch),
    ...valued('-ub', options.ubatch),
    ...valued('-ngl', options.gpuLayers),
    ...valued('-t', numThread),
    ...(options.splitMode === 'none' ? ['--split-mode', 'none', '--main-gpu', String(options.mainGpu)] : []),
  ];
}
