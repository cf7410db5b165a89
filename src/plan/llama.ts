// Turns one planned llama.cpp start into the whole answer: the llama-server line, what to try when it does not fit, the echo of what
// was asked for.
import type { Diagnostic } from '../diagnostics.ts';
import { emitLlamaFlags, llamaCommand } from '../engines/llamacpp/emit.ts';
import type { LlamaFlagTable } from '../engines/llamacpp/flags.ts';
import { type LlamaPlanned, planLlama } from '../engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../engines/llamacpp/request.ts';
import { gib } from '../numbers.ts';
import type { LlamaOptions } from '../spec/llama-options.ts';
import { suggestLlama } from './llama-ways-out.ts';
import { envelope, nodesEcho, type PlanInputEcho, type PlanOutput } from './output.ts';
import { suggestSplit } from './unequal/llama.ts';

export interface CompleteLlamaInput {
  request: LlamaRequest;
  /** Options as the user gave them. */
  given: LlamaOptions;
  served: { model: string; hf: boolean };
  flags: LlamaFlagTable;
  diagnostics: readonly Diagnostic[];
}

export function completeLlama(input: CompleteLlamaInput): PlanOutput {
  const { request, served } = input;
  const planned = planLlama(request, { answers: true });
  const { plan } = planned;
  const emitted = emitLlamaFlags({
    options: reliedOn(planned, request),
    because: reasons(planned, input),
    table: input.flags,
    build: request.build,
    buildName: request.version,
  });
  plan.flags = emitted.flags;
  plan.command = llamaCommand({
    program: request.options.program ?? 'llama-server',
    model: served.model,
    hf: served.hf,
    flags: emitted.flags,
  });
  if (!plan.verdict.fits || plan.workload?.fits === false) plan.suggestions = suggestLlama(request, planned);
  plan.suggestions.unshift(...suggestSplit(request, planned));
  const diagnostics = [
    ...input.diagnostics,
    ...planned.diagnostics,
    ...pitfalls(planned, request),
    ...emitted.diagnostics,
  ];
  return envelope('plan', echo(input, planned), plan, diagnostics);
}

/** What the plan rests on, said outright, so that another default cannot move it. */
function reliedOn({ load, options }: LlamaPlanned, { options: asked }: LlamaRequest): LlamaOptions {
  const { context, placement } = load;
  return {
    ...asked,
    ctxSize: context.nCtx,
    parallel: context.nSeqMax,
    ...(context.nSeqMax > 1 ? { kvUnified: context.kvUnified } : {}),
    gpuLayers: placement.gpuLayers,
    ...(options.tensorSplit ? { tensorSplit: options.tensorSplit } : {}),
    ...(options.overrideTensor ? { overrideTensor: options.overrideTensor } : {}),
  };
}

function reasons(
  { plan, options }: LlamaPlanned,
  { given, request }: CompleteLlamaInput,
): Partial<Record<keyof LlamaOptions, string>> {
  const fitted = plan.fit?.status === 'success' && plan.fit.nCtx > 0;
  const because: Partial<Record<keyof LlamaOptions, string>> = {};
  const say = (key: keyof LlamaOptions, text: string): void => {
    if (given[key] === undefined) because[key] = text;
  };
  say(
    'ctxSize',
    request.options.ctxSize !== undefined
      ? 'the requirement'
      : fitted
        ? 'what fits (-fit)'
        : 'the default of this build',
  );
  say('parallel', request.options.parallel !== undefined ? 'the requirement' : 'the default of this build');
  say('kvUnified', 'the default of this build');
  say('gpuLayers', plan.fit?.ngl !== null && plan.fit !== undefined ? 'what fits (-fit)' : 'all of them');
  say('specType', 'the server drops the draft without it');
  if (options.tensorSplit) say('tensorSplit', 'what fits (-fit)');
  if (options.overrideTensor) say('overrideTensor', 'what fits (-fit)');
  return because;
}

function pitfalls({ plan, load }: LlamaPlanned, request: LlamaRequest): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  const { vendor } = request.gpus[0]!;
  if (vendor !== 'nvidia') {
    diagnostics.push({
      severity: 'warning',
      code: 'VRAM525',
      message: `the compute buffers are those of CUDA builds; on ${vendor} hardware they were seen to differ by a few per cent`,
    });
  }
  if (load.compute.confidence === 'estimated' && load.refusal === undefined) {
    diagnostics.push({
      severity: 'note',
      code: 'VRAM526',
      message: `the graph of ${load.placement ? request.model.architecture : ''} is not known here: its compute buffers are estimated`,
    });
  }
  const { nSeqMax, nCtxSeq, nCtx } = load.context;
  if (nSeqMax > 1 && nCtxSeq < nCtx && request.options.parallel !== undefined) {
    diagnostics.push({
      severity: 'note',
      code: 'VRAM523',
      message: `the context is divided: each of the ${nSeqMax} slots has ${nCtxSeq} of ${nCtx} tokens`,
      hint: '-kvu shares all of it among the slots',
    });
  }
  const cpuLayers = plan.offload ? plan.offload.layers - plan.offload.gpuLayers : 0;
  if (cpuLayers > 0 && plan.verdict.fits && plan.fit === undefined && request.options.gpuLayers === undefined) {
    diagnostics.push({
      severity: 'warning',
      code: 'VRAM524',
      message: `${cpuLayers} layers stay on the CPU, because this build offloads none by itself`,
      hint: 'add -ngl 99',
    });
  }
  return [...diagnostics, ...beside({ plan, load }, request)];
}

/** What a draft and a projector bring that the server does not reckon with. */
function beside({ plan, load }: Pick<LlamaPlanned, 'plan' | 'load'>, { rules }: LlamaRequest): Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  const uncounted = [
    ...(load.draft && rules['speculation.fit'] === 'none' ? ['the draft'] : []),
    ...(load.projector && rules['projector.fit'] === 'none' ? ['the projector'] : []),
  ];
  if (plan.fit && !plan.verdict.fits && uncounted.length > 0) {
    diagnostics.push({
      severity: 'warning',
      code: 'VRAM533',
      message: `-fit of this build does not count ${uncounted.join(' and ')}: what it leaves is too little`,
      hint: 'a larger margin (--fit-target), or a smaller context',
      path: '--fit',
    });
  }
  const { projector } = load;
  const more = projector?.place === 'gpu0' ? projector.computeHigh - projector.computeBytes : 0;
  const left = plan.verdict.headroomBytes;
  if (plan.verdict.fits && more > left) {
    diagnostics.push({
      severity: 'warning',
      code: 'VRAM534',
      message: `the largest pictures take ${gib(more)} more than the warm-up, ${gib(left)} is left: the server would run out of memory`,
      hint: '--image-max-tokens bounds them',
      path: '--mmproj',
    });
  }
  return diagnostics;
}

function echo({ request, served }: CompleteLlamaInput, { load, options }: LlamaPlanned): PlanInputEcho {
  const { spec, gpus, model } = request;
  const gpu = gpus[0]!;
  const parameters = model.tensors.reduce((sum, { ne }) => sum + ne.reduce((a, b) => a * b, 1), 0);
  const { context, placement } = load;
  return {
    model: {
      id: spec.id,
      name: spec.name ?? spec.id,
      hfId: spec.hfId ?? null,
      served: served.model,
      architecture: model.architecture,
      parameters: spec.parameters ?? parameters,
      activeParameters: activeParameters(request, spec.parameters ?? parameters),
      scheme: request.scheme,
      source: spec.source ?? null,
    },
    gpu: {
      id: gpu.id,
      name: [...new Set(gpus.map(({ name }) => name))].join(' + '),
      vendor: gpu.vendor,
      count: gpus.length,
      driverTotalBytes: gpu.driverTotalBytes,
      cudaTotalBytes: gpu.cudaTotalBytes,
      computeCapability: gpu.computeCapability ?? null,
      ...nodesEcho(request.nodes),
    },
    engine: {
      id: 'llama.cpp',
      name: 'llama.cpp',
      version: request.version,
      release: request.version,
      options: { ...options, ...context, gpuLayers: placement.gpuLayers, layersPerGpu: [...placement.layersPerGpu] },
    },
    parallel: { tp: 1, pp: 1, dp: 1, ep: 1 },
  };
}

/** Parameters that one token passes through: of the experts only those used. */
function activeParameters({ model }: LlamaRequest, total: number): number {
  const { expert_count: experts, expert_used_count: used } = model.metadata;
  if (typeof experts !== 'number' || typeof used !== 'number' || experts === 0) return total;
  const routed = model.tensors
    .filter(({ name }) => /_exps\./.test(name))
    .reduce((sum, { ne }) => sum + ne.reduce((a, b) => a * b, 1), 0);
  return Math.round(total - routed + (routed * used) / experts);
}
