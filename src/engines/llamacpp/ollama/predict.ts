// What Ollama expects a model to take and the context, slots and batch it therefore asks for, before llama-server is started.
// Law: llm/llama_server.go PredictServerVRAM, server/routes.go modelOptions, server/sched.go load.
import type { GgufModel } from '../../../spec/gguf.ts';
import { GiB, MiB } from '../../../units.ts';
import type { OllamaRules } from './rules.ts';
import type { OllamaGpu, OllamaRequest } from './types.ts';

/**
 * PredictServerVRAM: bytes of the file + 2 x layers x least KV heads x (embedding / most heads) x context x 2 bytes. The cache is
 * always taken as f16 over all layers, whatever OLLAMA_KV_CACHE_TYPE says; compute buffers are left out.
 */
export function predictServerBytes(model: GgufModel, fileBytes: number, ctx: number): number {
  const kvHeads = leastOf(model.metadata['attention.head_count_kv'], 1) || 1;
  const heads = mostOf(model.metadata['attention.head_count'], 1);
  const headDim = heads > 0 ? Math.floor(numberOf(model, 'embedding_length') / heads) : 0;
  return fileBytes + 2 * numberOf(model, 'block_count') * kvHeads * headDim * ctx * 2;
}

export interface OllamaContext {
  /** Per slot, not above what the model was trained for. */
  numCtx: number;
  auto: boolean;
  numParallel: number;
}

/** num_ctx of the request or the Modelfile, OLLAMA_CONTEXT_LENGTH, or the tier of the GPUs' memory; and the slots. */
export function ollamaContext(request: OllamaRequest): OllamaContext {
  const { rules, model, environment = {}, parameters = {}, gpus } = request;
  const set = parameters.numCtx ?? (environment.contextLength || undefined);
  const asked = Math.max(set ?? tierContext(rules, gpus, environment.gpuOverheadBytes ?? 0), 4);
  // Models that see images get 2048 at least.
  const wanted = request.projectorBytes === undefined ? asked : Math.max(asked, 2048);
  const trained = numberOf(model, 'context_length');
  return {
    numCtx: trained > 0 ? Math.min(wanted, trained) : wanted,
    auto: set === undefined,
    numParallel: slots(request),
  };
}

/** Total memory of all GPUs, the overhead taken off each; what is free does not count. */
export function tierContext(rules: OllamaRules, gpus: readonly OllamaGpu[], overheadBytes: number): number {
  const total = gpus.reduce((sum, { totalBytes }) => sum + totalBytes - overheadBytes, 0);
  const tiers = rules['context-tiers'];
  return (tiers.find(({ fromGiB }) => total >= fromGiB * GiB) ?? tiers.at(-1)!).numCtx;
}

function slots({ rules, model, environment = {} }: OllamaRequest): number {
  const wanted = Math.max(environment.numParallel ?? 1, 1);
  if (isEmbeddingModel(model) || rules['single-slot-families'].includes(model.architecture)) return 1;
  return wanted;
}

/** Files with a pooling type are served with --embedding. */
export function isEmbeddingModel(model: GgufModel): boolean {
  return model.metadata.pooling_type !== undefined;
}

interface BatchInput {
  /** Context of all slots. */
  ctx: number;
  predictedBytes: number;
  availableBytes: number;
  flashAttention: 'on' | 'off' | 'auto';
  gpus: readonly OllamaGpu[];
}

/** num_batch that Ollama chooses itself: larger with the context, as long as the prediction leaves room. */
export function automaticBatch(rules: OllamaRules, input: BatchInput): number {
  const law = rules['generation-batch'];
  if (input.flashAttention === 'off' && input.gpus.some(({ library }) => library === 'CUDA')) {
    const least = law.steps.at(-1)!.aboveCtx;
    const small = input.gpus.some(
      (gpu) => gpu.library === 'CUDA' && memoryOf(gpu) > 0 && memoryOf(gpu) <= law.constrainedMemoryGiB * GiB,
    );
    return input.ctx > least && small ? law.constrained : law.default;
  }
  const steps = law.steps.filter(({ aboveCtx }) => input.ctx > aboveCtx);
  return steps.find((step) => batchFits(rules, step, input))?.batch ?? law.default;
}

/** Extra bytes that a raised batch counts for, before models are evicted. */
export function batchSurcharge(rules: OllamaRules, batch: number): number {
  const step = rules['generation-batch'].steps.find((candidate) => batch >= candidate.batch);
  return (step?.surchargeMiB ?? 0) * MiB;
}

function batchFits(
  rules: OllamaRules,
  { headroomPercent, surchargeMiB }: { headroomPercent: number; surchargeMiB: number },
  { predictedBytes, availableBytes }: BatchInput,
): boolean {
  if (predictedBytes === 0 || availableBytes === 0) return true;
  const threshold = percentOf(availableBytes, rules['fit-percent']);
  if (predictedBytes > threshold || predictedBytes > percentOf(availableBytes, headroomPercent)) return false;
  return surchargeMiB * MiB <= threshold - predictedBytes;
}

/** Free memory of a GPU, or its total where that is less or the other unknown. */
export function memoryOf({ freeBytes, totalBytes }: OllamaGpu): number {
  return freeBytes === 0 || (totalBytes > 0 && totalBytes < freeBytes) ? totalBytes : freeBytes;
}

export function percentOf(bytes: number, percent: number): number {
  return Math.floor((bytes * percent) / 100);
}

function numberOf({ metadata }: GgufModel, key: string): number {
  const value = metadata[key];
  return typeof value === 'number' ? value : 0;
}

function listOf(value: unknown, fallback: number): number[] {
  if (Array.isArray(value)) return value.filter((entry): entry is number => typeof entry === 'number');
  return [typeof value === 'number' ? value : fallback];
}

function leastOf(value: unknown, fallback: number): number {
  return Math.min(...listOf(value, fallback));
}

function mostOf(value: unknown, fallback: number): number {
  return Math.max(...listOf(value, fallback));
}
