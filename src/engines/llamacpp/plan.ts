// A llama.cpp start as a Plan: the options as -fit leaves them, every buffer per place, what is left on each GPU, the lines the build
// prints. Every step is a module of its own; this file only carries the figures from one to the next.
import type { Diagnostic } from '../../diagnostics.ts';
import {
  type BufferKind,
  type Buffers,
  bufferKinds,
  type Plan,
  type SpeedEstimate,
  type SpeedFigure,
} from '../../plan/types.ts';
import { GiB, MiB } from '../../units.ts';
import { memoryPerGpu, offloadAnswers, requirementOf } from './answers.ts';
import { devicePlans, totalsOf } from './devices.ts';
import { FitError, fits, solveFit } from './fit.ts';
import type { LlamaHparams } from './hparams.ts';
import { kvCachePlan } from './kv-plan.ts';
import { bytesAt, type LlamaLoad, loadModel } from './load.ts';
import { loadLines } from './messages.ts';
import { contextOverhead } from './output.ts';
import { readHparams } from './read-hparams.ts';
import type { LlamaRequest } from './request.ts';
import { estimateSpeed, type SpeedRules } from './speed.ts';
import { workOfLoad } from './speed-work.ts';
import type { LlamaOptions } from './types.ts';

export interface LlamaPlanned {
  plan: Plan;
  hparams: LlamaHparams;
  load: LlamaLoad;
  /** Options in effect: as given, with what -fit set. */
  options: LlamaOptions;
  diagnostics: Diagnostic[];
}

export interface LlamaPlanDepth {
  /** Also answer how far the offload can go: some dozens of loads more. */
  answers?: boolean;
}

export function planLlama(request: LlamaRequest, { answers = false }: LlamaPlanDepth = {}): LlamaPlanned {
  const hparams = readHparams(request.model);
  const free = freeBytes(request);
  const input = { model: request.model, hparams, rules: request.rules, freeBytes: free };
  const fit = fitOf(request, hparams, free);
  const options = fit?.options ?? request.options;
  const load = loadModel(input, options);
  const devices = devicePlans(request, load);
  const buffersBytes = load.bytes;
  const short = shortfall(request, load);
  const measured = { load: (o: LlamaOptions) => loadModel(input, o), request, hparams, options };
  const workload = requirementOf(measured, load);
  const plan: Plan = {
    verdict: {
      fits: load.refusal === undefined && short === undefined,
      capacityFits: load.refusal === undefined && short === undefined,
      headroomBytes: headroom(request, load),
      headroomGiB: headroom(request, load) / GiB,
      ...(short && load.refusal === undefined ? { shortfallBytes: short.bytes } : {}),
      reason: load.refusal ?? short?.reason ?? (workload?.fits === false ? workload.reason : null),
      engineError: load.refusal ?? short?.error ?? null,
    },
    devices,
    kvCache: kvCachePlan(load),
    workload: workload?.plan ?? null,
    startupLog: load.refusal === undefined ? loadLines(request, load) : [],
    flags: [],
    command: '',
    suggestions: [],
    buffers: inMiB(buffersBytes),
    buffersBytes,
    ...(fit
      ? {
          fit: {
            status: fit.status,
            nCtx: fit.nCtx,
            ...(request.options.ctxSize ? { askedCtx: request.options.ctxSize } : {}),
            ngl: fit.gpuLayers,
            ...(fit.tensorSplit ? { tensorSplit: [...fit.tensorSplit] } : {}),
            ...(fit.overrides ? { overrides: fit.overrides.map(({ pattern, place }) => `${pattern}=${place}`) } : {}),
          },
        }
      : {}),
    ...(answers && load.refusal === undefined ? { offload: offloadAnswers(measured, memoryPerGpu(measured)) } : {}),
    ...(answers && load.refusal === undefined ? speedOf(request, hparams, load) : {}),
  };
  const diagnostics = load.notes.map((message): Diagnostic => ({ severity: 'note', code: 'VRAM511', message }));
  return { plan, hparams, load, options, diagnostics };
}

/** Prompts of the length of a physical batch or of what fits in the context. */
function speedOf(request: LlamaRequest, hparams: LlamaHparams, load: LlamaLoad): { speed?: SpeedEstimate } {
  const { context, placement } = load;
  const seen = Math.min(request.context ?? context.nCtxSeq, context.nCtxSeq);
  const sequences = Math.min(request.concurrency ?? 1, context.nSeqMax);
  const promptTokens = Math.min(seen, defaultPrompt);
  const found = estimateSpeed({
    work: workOfLoad({ model: request.model, hparams, load }, seen),
    gpus: request.gpus,
    rules: request.rules.speed as SpeedRules,
    sequences,
    promptTokens,
    ubatch: context.nUbatch,
    opOffload: context.opOffload,
    pipeline: placement.full && placement.devices > 1,
  });
  if (!found) return {};
  const figure = ({ tokensPerSecond, low, high, bound }: typeof found.decode): SpeedFigure => ({
    tokensPerSecond,
    lowTokensPerSecond: low,
    highTokensPerSecond: high,
    bound,
  });
  const { assumptions } = found;
  return {
    speed: {
      decode: figure(found.decode),
      prefill: figure(found.prefill),
      sequences,
      context: seen,
      promptTokens,
      assumptions,
    },
  };
}

const defaultPrompt = 2048;

/** Free when the engine asks: as given, else what CUDA reports less the context that this process has then made. */
function freeBytes({ gpus, freeBytes: given, rules }: LlamaRequest): number[] {
  return gpus.map((gpu, i) => given?.[i] ?? Math.max(0, gpu.cudaTotalBytes - contextOverhead(rules).bytes));
}

/** Where the build fits options to the memory, and something is left to be fitted. */
function fitOf(
  request: LlamaRequest,
  hparams: LlamaHparams,
  free: readonly number[],
): ReturnType<typeof solveFit> | undefined {
  const { options, rules, model } = request;
  if (!fits(options, rules) || request.gpus.length === 0) return undefined;
  const settled = options.ctxSize !== undefined && options.ctxSize > 0 && typeof options.gpuLayers === 'number';
  if (settled && options.fit !== true) return undefined;
  return solveFit({
    options,
    hparams,
    freeBytes: free,
    totalBytes: request.gpus.map((gpu, i) => Math.max(gpu.cudaTotalBytes, free[i]!)),
    rules,
    measure: (asked) => {
      const load = loadModel({ model, hparams, rules, freeBytes: free, measuring: true }, asked);
      if (load.refusal !== undefined) throw new FitError(load.refusal);
      const at = (places: readonly string[]) => ({
        modelBytes: sumAt(load, ['model'], places),
        contextBytes: sumAt(load, ['kv', 'rs'], places),
        recurrentBytes: sumAt(load, ['rs'], places),
        computeBytes: sumAt(load, ['compute'], places),
      });
      return {
        nCtx: load.context.nCtx,
        devices: free.map((_, i) => at([`gpu${i}`])),
        host: at(['pinned', 'cpu', 'mapped']),
      };
    },
  });
}

function sumAt({ bytes }: LlamaLoad, kinds: readonly BufferKind[], places: readonly string[]): number {
  return kinds.reduce((sum, kind) => sum + places.reduce((s, place) => s + (bytes[kind][place] ?? 0), 0), 0);
}

/** MiB with the two decimals that llama.cpp prints. */
function inMiB(bytes: LlamaLoad['bytes']): Buffers {
  const rounded = (places: Record<string, number>): Record<string, number> =>
    Object.fromEntries(Object.entries(places).map(([place, n]) => [place, Number((n / MiB).toFixed(2))]));
  return Object.fromEntries(bufferKinds.map((kind) => [kind, rounded(bytes[kind])]));
}

/** Least that is left on a GPU after every buffer and the context. */
function headroom(request: LlamaRequest, load: LlamaLoad): number {
  const left = totalsOf(request).map(({ usableBytes }, i) => usableBytes - bytesAt(load, `gpu${i}`));
  return left.length > 0 ? Math.min(...left) : 0;
}

interface Shortfall {
  bytes: number;
  reason: string;
  error: string;
}

/** The allocation that fails first: the model on one GPU after the other, then the caches, then the compute buffers. */
function shortfall(request: LlamaRequest, load: LlamaLoad): Shortfall | undefined {
  const left = totalsOf(request).map(({ usableBytes }) => usableBytes);
  const bytes = Math.max(0, -headroom(request, load));
  if (bytes === 0) return undefined;
  for (const kind of bufferKinds) {
    for (const [i] of left.entries()) {
      const need = load.bytes[kind][`gpu${i}`] ?? 0;
      left[i]! -= need;
      if (left[i]! >= 0) continue;
      const name = {
        model: 'the model',
        kv: 'the KV cache',
        rs: 'the recurrent state',
        compute: 'the compute buffer',
        output: 'the output buffer',
      }[kind];
      return {
        bytes,
        reason: `${name} does not fit on GPU ${i} (${(need / GiB).toFixed(2)} GiB)`,
        error: `ggml_backend_cuda_buffer_type_alloc_buffer: allocating ${(need / MiB).toFixed(2)} MiB on device ${i}: cudaMalloc failed: out of memory`,
      };
    }
  }
  return undefined;
}
