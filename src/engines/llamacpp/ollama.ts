// Ollama as a planner on top of llama.cpp: from its environment, a model's parameters and the GPUs to the llama-server run that it
// starts, the models it unloads first, and what it expects to fit. Versions from 0.30 on; the law by version is in
// presets/engines/ollama.yaml. What the run then takes is llama.cpp's matter, its --fit included.
import type { Diagnostic } from '../../diagnostics.ts';
import type { GgmlType } from '../../spec/ggml-types.ts';
import { cacheTypes } from '../../spec/llama-options.ts';
import {
  noMmapReason,
  ollamaFlashAttention,
  projectorFitTarget,
  projectorOnCpu,
  serverArguments,
} from './ollama/launch.ts';
import { nextToEvict, type OllamaPlacement, placeOllama, withoutModel } from './ollama/placement.ts';
import {
  automaticBatch,
  batchSurcharge,
  isEmbeddingModel,
  type OllamaContext,
  ollamaContext,
  percentOf,
  predictServerBytes,
} from './ollama/predict.ts';
import type { OllamaGpu, OllamaLoaded, OllamaPlan, OllamaRequest } from './ollama/types.ts';
import type { LlamaOptions } from './types.ts';

export { modelfile, type OllamaEnvironmentForm, ollamaEnvironment } from './ollama/files.ts';
export { type OllamaBook, type OllamaMatch, type OllamaRules, ollamaVersion } from './ollama/rules.ts';
export type {
  OllamaEnvironment,
  OllamaGpu,
  OllamaLibrary,
  OllamaLoaded,
  OllamaParameters,
  OllamaPlan,
  OllamaRequest,
} from './ollama/types.ts';

export function ollamaOptions(request: OllamaRequest): OllamaPlan {
  const context = ollamaContext(request);
  const ctx = context.numCtx * context.numParallel;
  const predictedBytes = predictServerBytes(request.model, request.fileBytes, ctx);
  const decided = decide(request, context, predictedBytes);
  const gpus = decided.gpus.map((at) => decided.allGpus[at]!);
  const onCpu = projectorOnCpu(request, gpus);
  const mmap = noMmapReason({
    request,
    gpus,
    predictedBytes,
    availableBytes: decided.availableBytes,
    loaded: decided.loaded,
  });
  const fitTargetMiB = request.environment?.fitTargetMiB ?? projectorFitTarget(request, onCpu !== undefined);
  const { options, diagnostics } = serverOptions(request, context, decided, {
    noMmap: mmap !== undefined,
    fitTargetMiB,
  });
  const predictedForLoadBytes = predictedBytes + decided.surcharge;
  return {
    numCtx: context.numCtx,
    numCtxAuto: context.auto,
    ...retry(request, context),
    numParallel: context.numParallel,
    numBatch: decided.numBatch,
    predictedBytes,
    predictedForLoadBytes,
    availableBytes: decided.availableBytes,
    placement: decided.placement,
    gpus: decided.gpus,
    predictedToFit:
      decided.placement !== 'cpu' &&
      predictedForLoadBytes <= percentOf(decided.availableBytes, request.rules['fit-percent']),
    evict: decided.evict,
    options,
    env: {
      ...(request.environment?.fit ? { LLAMA_ARG_FIT: request.environment.fit } : {}),
      ...(fitTargetMiB === undefined ? {} : { LLAMA_ARG_FIT_TARGET: String(fitTargetMiB) }),
    },
    ...(onCpu ? { projectorOnCpu: onCpu } : {}),
    ...(mmap ? { noMmapReason: mmap } : {}),
    arguments: serverArguments(options, {
      rules: request.rules,
      gpus,
      os: request.os ?? 'linux',
      numThread: request.parameters?.numThread || undefined,
      projectorOff: onCpu !== undefined,
    }),
    diagnostics,
  };
}

interface Decided extends OllamaPlacement {
  numBatch: number;
  surcharge: number;
  flashAttention: 'on' | 'off' | 'auto';
  evict: string[];
  /** GPUs and models as they are once the others are unloaded. */
  allGpus: readonly OllamaGpu[];
  loaded: readonly OllamaLoaded[];
}

/**
 * Too many models, or a prediction above 80 % of what is free: one model after the other is unloaded. With none left the model is
 * started whatever is predicted.
 */
function decide(request: OllamaRequest, context: OllamaContext, predictedBytes: number): Decided {
  const { rules, environment = {}, parameters = {}, model } = request;
  let gpus = request.gpus;
  let loaded = request.loaded ?? [];
  const evict: string[] = [];
  const most = environment.maxLoadedModels || rules['models-per-gpu'] * Math.max(gpus.length, 1);
  const blocks = Number(model.metadata.block_count ?? 0);
  const explicitPart = (parameters.numGpu ?? -1) > 0 && parameters.numGpu! < blocks + 1;
  for (;;) {
    const placed = placeOllama({ ...request, gpus }, predictedBytes);
    const chosen = placed.gpus.map((at) => gpus[at]!);
    const flashAttention = ollamaFlashAttention(rules, chosen, environment.flashAttention);
    const numBatch = batchOf(request, context, {
      predictedBytes,
      availableBytes: placed.availableBytes,
      flashAttention,
      gpus: chosen,
    });
    const surcharge = isEmbeddingModel(model) ? 0 : batchSurcharge(rules, numBatch);
    const tooLarge = predictedBytes + surcharge > percentOf(placed.availableBytes, rules['fit-percent']);
    const mustEvict = loaded.length >= most || (tooLarge && !explicitPart && chosen.length > 0);
    const next = loaded.length > 0 && mustEvict ? nextToEvict(loaded) : undefined;
    if (!next) return { ...placed, numBatch, surcharge, flashAttention, evict, allGpus: gpus, loaded };
    evict.push(next.name);
    loaded = loaded.filter((other) => other !== next);
    gpus = withoutModel(gpus, next);
  }
}

function batchOf(
  { rules, model, parameters = {} }: OllamaRequest,
  { numCtx, numParallel }: OllamaContext,
  room: Omit<Parameters<typeof automaticBatch>[1], 'ctx'>,
): number {
  const ctx = numCtx * numParallel;
  if (isEmbeddingModel(model)) return Math.min(parameters.numBatch ?? rules['embedding-batch'], ctx);
  return parameters.numBatch ?? automaticBatch(rules, { ctx, ...room });
}

function serverOptions(
  request: OllamaRequest,
  context: OllamaContext,
  decided: Decided,
  { noMmap, fitTargetMiB }: { noMmap: boolean; fitTargetMiB: number | undefined },
): { options: LlamaOptions; diagnostics: Diagnostic[] } {
  const { environment = {}, parameters = {}, model } = request;
  const { type, diagnostics } = cacheType(environment.kvCacheType);
  const numGpu = parameters.numGpu ?? -1;
  const options: LlamaOptions = {
    ctxSize: context.numCtx * context.numParallel,
    parallel: context.numParallel,
    batch: decided.numBatch,
    ubatch: decided.numBatch,
    flashAttn: decided.flashAttention,
    ...(type ? { cacheTypeK: type, cacheTypeV: type } : {}),
    ...(numGpu >= 0 ? { gpuLayers: numGpu } : {}),
    ...(decided.mainGpu === undefined ? {} : { splitMode: 'none', mainGpu: decided.mainGpu }),
    ...(isEmbeddingModel(model) ? { embedding: true } : {}),
    ...(environment.fit ? { fit: environment.fit === 'on' } : {}),
    ...(fitTargetMiB === undefined ? {} : { fitTargetMiB: [fitTargetMiB] }),
    ...(noMmap ? { noMmap: true } : {}),
  };
  if (environment.gpuOverheadBytes) {
    diagnostics.push({
      severity: 'note',
      code: 'VRAM551',
      message: 'OLLAMA_GPU_OVERHEAD lowers the default context only: from 0.30 on no placement leaves it free',
      hint: 'LLAMA_ARG_FIT_TARGET (MiB) is the margin that llama.cpp keeps on every GPU',
      path: 'OLLAMA_GPU_OVERHEAD',
    });
  }
  return { options, diagnostics };
}

/** Passed on in lower case as it is; llama-server refuses what it does not know. */
function cacheType(text: string | undefined): { type?: GgmlType; diagnostics: Diagnostic[] } {
  if (!text) return { diagnostics: [] };
  const type = cacheTypes.find((known) => known === text.toLowerCase());
  if (type) return { type, diagnostics: [] };
  const message = `OLLAMA_KV_CACHE_TYPE ${JSON.stringify(text.slice(0, 40))}: llama-server does not start with it`;
  return {
    diagnostics: [
      {
        severity: 'error',
        code: 'VRAM145',
        message,
        hint: `it takes ${cacheTypes.join(', ')}`,
        path: 'OLLAMA_KV_CACHE_TYPE',
      },
    ],
  };
}

/** An automatic context that ran out of memory is lowered one step, once. */
function retry({ rules }: OllamaRequest, { numCtx, auto }: OllamaContext): { retryNumCtx?: number } {
  const lower = auto ? rules['context-after-out-of-memory'].find((candidate) => candidate < numCtx) : undefined;
  return lower === undefined ? {} : { retryNumCtx: lower };
}
