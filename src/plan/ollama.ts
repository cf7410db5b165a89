// Ollama as an engine: from its environment and parameters to the llama-server run that it starts, that run planned, and the Modelfile
// and environment that ask for it.
import { tensorDataBytes } from '../accounting/gguf-mix/index.ts';
import type { Diagnostic } from '../diagnostics.ts';
import type { LlamaFlagTable } from '../engines/llamacpp/flags.ts';
import {
  modelfile,
  type OllamaEnvironment,
  type OllamaGpu,
  type OllamaMatch,
  type OllamaParameters,
  ollamaEnvironment,
  ollamaOptions,
} from '../engines/llamacpp/ollama.ts';
import type { LlamaRequest } from '../engines/llamacpp/request.ts';
import { shellQuote } from '../shell.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { LlamaOptions } from '../spec/llama-options.ts';
import { completeLlama } from './llama.ts';
import type { PlanOutput } from './output.ts';

export interface CompleteOllamaInput {
  request: LlamaRequest;
  given: LlamaOptions;
  served: string;
  match: OllamaMatch;
  environment: OllamaEnvironment;
  flags: LlamaFlagTable;
  diagnostics: readonly Diagnostic[];
}

/** Vocabulary, names and other metadata of a file that is not there to be measured (fact: 6 to 8 MiB of a whole header). */
const typicalHeaderBytes = 8_000_000;

export function completeOllama(input: CompleteOllamaInput): PlanOutput {
  const { request, match, served } = input;
  const environment = environmentOf(input);
  const parameters = parametersOf(input.given);
  const { model } = request;
  const decided = ollamaOptions({
    rules: match.rules,
    model,
    fileBytes: model.file?.fileBytes ?? tensorDataBytes(model) + typicalHeaderBytes,
    gpus: request.gpus.map((gpu, i) => gpuOf(gpu, request.freeBytes?.[i])),
    environment,
    parameters,
  });
  const chosen = decided.gpus.length > 0 ? decided.gpus : request.gpus.map((_, i) => i);
  const onCpu = decided.gpus.length === 0;
  // The default of today's llama-server is to fit; LLAMA_ARG_FIT=off turns it off.
  const options: LlamaOptions = { ...decided.options, ...(onCpu ? { gpuLayers: 0 } : {}) };
  const only = options.splitMode === 'none' && decided.gpus.length === 1;
  const { splitMode: _, mainGpu: __, ...spread } = options;
  const output = completeLlama({
    request: {
      ...request,
      options: only ? spread : options,
      gpus: chosen.map((at) => request.gpus[at]!),
      ...(request.freeBytes ? { freeBytes: chosen.map((at) => request.freeBytes![at]!) } : {}),
    },
    given: decided.options,
    served: { model: served, hf: false },
    flags: input.flags,
    diagnostics: [...input.diagnostics, ...decided.diagnostics],
  });
  const { result } = output;
  result.ollama = {
    llamaCppBuild: match.build,
    numCtx: decided.numCtx,
    numParallel: decided.numParallel,
    numBatch: decided.numBatch,
    placement: decided.placement,
    gpus: decided.gpus,
    predictedBytes: decided.predictedBytes,
    availableBytes: decided.availableBytes,
    predictedToFit: decided.predictedToFit,
    arguments: decided.arguments,
    modelfile: modelfile({ from: served, parameters: { ...parameters, numCtx: decided.numCtx } }),
    environment: ollamaEnvironment(environment),
  };
  result.flags = [];
  result.command = ['ollama', 'create', 'planned', '-f', 'Modelfile'].map(shellQuote).join(' ');
  output.input.engine = {
    ...output.input.engine,
    id: 'ollama',
    name: 'Ollama',
    version: match.version,
    release: match.version,
  };
  output.input.gpu.count = request.gpus.length;
  return output;
}

/** What is said on our command line in llama-server's words, in Ollama's. */
function environmentOf({ given, environment }: CompleteOllamaInput): OllamaEnvironment {
  const { parallel, cacheTypeK, flashAttn, fit, fitTargetMiB } = given;
  return {
    ...(parallel === undefined ? {} : { numParallel: parallel }),
    ...(cacheTypeK === undefined ? {} : { kvCacheType: cacheTypeK }),
    ...(flashAttn === undefined || flashAttn === 'auto' ? {} : { flashAttention: flashAttn === 'on' }),
    ...(fit === undefined ? {} : { fit: fit ? 'on' : 'off' }),
    ...(fitTargetMiB?.[0] === undefined ? {} : { fitTargetMiB: fitTargetMiB[0] }),
    ...environment,
  };
}

function parametersOf({ ctxSize, batch, ubatch, gpuLayers, mainGpu, noMmap }: LlamaOptions): OllamaParameters {
  const numBatch = ubatch ?? batch;
  const numGpu = gpuLayers === 'all' ? 999 : gpuLayers === 'auto' ? undefined : gpuLayers;
  return {
    ...(ctxSize ? { numCtx: ctxSize } : {}),
    ...(numBatch === undefined ? {} : { numBatch }),
    ...(numGpu === undefined ? {} : { numGpu }),
    ...(mainGpu === undefined ? {} : { mainGpu }),
    ...(noMmap ? { useMmap: false } : {}),
  };
}

function gpuOf(gpu: GpuSpec, free: number | undefined): OllamaGpu {
  const library = ({ nvidia: 'CUDA', amd: 'ROCm', apple: 'Metal' } as const)[gpu.vendor as 'nvidia'] ?? 'Vulkan';
  return {
    library,
    totalBytes: gpu.cudaTotalBytes,
    freeBytes: free ?? gpu.cudaTotalBytes,
    ...(gpu.integrated ? { integrated: true } : {}),
    ...(gpu.computeCapability === undefined ? {} : { computeCapability: gpu.computeCapability }),
  };
}
