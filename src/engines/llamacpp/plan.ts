// A llama.cpp start as a Plan: the options as -fit leaves them, every buffer per place, what is left on each GPU, the lines the build
// prints. Every step is a module of its own; this file only carries the figures from one to the next.
import type { Diagnostic } from '../../diagnostics.ts';
import { printedMiB } from '../../numbers.ts';
import { type Buffers, bufferKinds, type Plan, type SpeedEstimate } from '../../plan/types.ts';
import { GiB } from '../../units.ts';
import { memoryPerGpu, offloadAnswers, requirementOf } from './answers.ts';
import { hparamsIn } from './build-hparams.ts';
import { companionsOf, loadTogether } from './companions.ts';
import { devicePlans } from './devices.ts';
import type { LlamaHparams } from './hparams.ts';
import { kvCachePlan } from './kv-plan.ts';
import type { LlamaLoad } from './load.ts';
import { allLines } from './messages.ts';
import { contextOverhead } from './output.ts';
import { fitOf } from './plan-fit.ts';
import { llamaSpeed } from './plan-speed.ts';
import type { LlamaRequest } from './request.ts';
import { headroom, shortfall } from './shortfall.ts';
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
  const hparams = hparamsIn(request.model, request.rules);
  const free = freeBytes(request);
  const input = { model: request.model, hparams, rules: request.rules, freeBytes: free };
  const companions = companionsOf(request);
  const fit = fitOf({ request, hparams, companions, free });
  const options = fit?.options ?? request.options;
  const load = loadTogether(input, companions, options);
  const devices = devicePlans(request, load);
  const buffersBytes = load.bytes;
  const short = shortfall(request, load);
  const measured = { load: (o: LlamaOptions) => loadTogether(input, companions, o), request, hparams, options };
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
    startupLog: load.refusal === undefined ? allLines(request, load) : [],
    flags: [],
    command: '',
    suggestions: [],
    buffers: inMiB(buffersBytes),
    buffersBytes,
    ...besidePlan(request, load),
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
  const { context } = load;
  const seen = Math.min(request.context ?? context.nCtxSeq, context.nCtxSeq);
  const sequences = Math.min(request.concurrency ?? 1, context.nSeqMax);
  const promptTokens = Math.min(seen, defaultPrompt);
  const speed = llamaSpeed({ request, hparams, load }, { seen, sequences, promptTokens });
  return speed ? { speed } : {};
}

const defaultPrompt = 2048;

/** Free when the engine asks: as given, else what CUDA reports less the context that this process has then made. */
function freeBytes({ gpus, freeBytes: given, rules }: LlamaRequest): number[] {
  return gpus.map((gpu, i) => given?.[i] ?? Math.max(0, gpu.cudaTotalBytes - contextOverhead(rules).bytes));
}

/** What a draft and a projector take, beside the model's own buffers. */
function besidePlan({ draft }: LlamaRequest, load: LlamaLoad): Pick<Plan, 'draft' | 'projector'> {
  const { bytes, contexts, ownBlocks } = load.draft ?? {};
  return {
    ...(bytes && contexts !== undefined
      ? {
          draft: {
            model: ownBlocks || !draft ? null : `${draft.name} ${draft.scheme}`,
            contexts,
            buffers: inMiB(bytes),
            buffersBytes: bytes,
          },
        }
      : {}),
    ...(load.projector
      ? {
          projector: {
            modelBytes: load.projector.modelBytes,
            computeBytes: load.projector.computeBytes,
            largestBytes: load.projector.computeHigh,
            place: load.projector.place,
          },
        }
      : {}),
  };
}

/** MiB with the two decimals that llama.cpp prints. */
function inMiB(bytes: LlamaLoad['bytes']): Buffers {
  const rounded = (places: Record<string, number>): Record<string, number> =>
    Object.fromEntries(Object.entries(places).map(([place, n]) => [place, Number(printedMiB(n))]));
  return Object.fromEntries(bufferKinds.map((kind) => [kind, rounded(bytes[kind])]));
}
