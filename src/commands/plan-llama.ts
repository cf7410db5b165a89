// From the words of a command line to a plan of llama.cpp or Ollama: the engine's build, the model, the GPUs, the options of
// llama-server, a requirement turned into context and slots.
import { type Diagnostic, inputError } from '../diagnostics.ts';
import { planLlama } from '../engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../engines/llamacpp/request.ts';
import type { Io } from '../io.ts';
import { engineIdOf, resolveLlamaRef, resolveOllamaRef } from '../load/engine.ts';
import { llamaFlags } from '../load/flags.ts';
import { resolveGpus, withGpuMemory } from '../load/gpu.ts';
import type { ResolvedModel } from '../load/model.ts';
import { readOllamaEnvironment } from '../load/ollama-environment.ts';
import { loadPresets } from '../load/presets.ts';
import { completeLlama } from '../plan/llama.ts';
import { completeOllama } from '../plan/ollama.ts';
import { envelope } from '../plan/output.ts';
import { llamaPlacement } from '../plan/placement/llama.ts';
import type { Plan } from '../plan/types.ts';
import type { GpuListOutput } from '../render/gpus.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { LlamaOptions } from '../spec/llama-options.ts';
import { checkListOptions, gpuRowsBy } from './gpu-list.ts';
import { withCompanions } from './llama-companions.ts';
import { withExisting } from './llama-existing.ts';
import { ggufOf, llamaModel, servedFile } from './llama-model.ts';
import { assumedModel, freeMemory } from './plan-checks.ts';
import type { PlanArguments, PlannedArguments } from './plan-request.ts';

export interface LlamaAsked {
  request: Omit<LlamaRequest, 'gpus'>;
  gpus?: GpuSpec[];
  given: LlamaOptions;
  /** What the command serves: a file or a repository. */
  served: { model: string; hf: boolean };
  diagnostics: Diagnostic[];
}

export async function resolveLlamaArguments(given: PlanArguments, io: Io): Promise<LlamaAsked> {
  const { args, diagnostics, gpuCount } = withExisting(given);
  const ollama = engineIdOf(args.engine) === 'ollama';
  const engine = ollama ? resolveOllamaRef(args.engine).llama : resolveLlamaRef(args.engine);
  diagnostics.push(...engine.diagnostics, ...foreignOptions(args));
  if (args.model === undefined)
    throw inputError('VRAM161', 'no model is given', {
      hint: 'add --model, e.g. --model llama-3.1-8b, or a .gguf file',
      path: '--model',
    });
  const { resolved, mix }: { resolved: ResolvedModel; mix?: string } = args.resolvedModel
    ? { resolved: { ...args.resolvedModel } }
    : await llamaModel(args.model, io, diagnostics);
  diagnostics.push(...resolved.diagnostics);
  if (args.assumeArchitecture !== undefined)
    resolved.spec = assumedModel(resolved.spec, args.assumeArchitecture, diagnostics);
  const drafts = args.llama?.specType?.includes('draft-mtp') === true;
  const { model, scheme } = ggufOf(resolved, args.given.quantization ?? mix, diagnostics, drafts);
  const alone: Omit<LlamaRequest, 'gpus'> = {
    spec: resolved.spec,
    model,
    scheme,
    version: engine.version,
    build: engine.build,
    rules: engine.rules,
    options: withRequirement(cacheTypesOf(args), args),
    ...(args.context === undefined ? {} : { context: args.context }),
    ...(args.concurrency === undefined ? {} : { concurrency: args.concurrency }),
    ...(args.assumeArchitecture === undefined ? {} : { assumed: true }),
  };
  const request = ollama
    ? alone
    : await withCompanions(alone, { resolved, mix: args.given.quantization ?? mix }, io, diagnostics);
  const asked = { request, given: cacheTypesOf(args), served: servedFile(args.model, resolved, scheme), diagnostics };
  if (args.gpu === undefined) return asked;
  const devices = await resolveGpus(args.gpu, { env: io.env });
  diagnostics.push(...devices.diagnostics);
  if (devices.nodes) request.nodes = devices.nodes;
  const named = args.gpuMemory === undefined ? devices.gpus : withGpuMemory(devices.gpus, args.gpuMemory);
  const gpus = named.length === 1 && gpuCount !== undefined ? Array.from({ length: gpuCount }, () => named[0]!) : named;
  const free = args.freeMemory === undefined ? devices.freeBytes : freeMemory(args.freeMemory, gpus, gpus.length);
  if (free) request.freeBytes = free.length === gpus.length ? free : gpus.map(() => free[0]!);
  return { ...asked, gpus };
}

/** --kv-cache-dtype names both types at once. */
function cacheTypesOf({ llama = {}, given }: PlanArguments): LlamaOptions {
  const type = given.kvCacheDtype;
  if (type === undefined || type === 'auto') return llama;
  return { cacheTypeK: type as never, cacheTypeV: type as never, ...llama };
}

/** n sequences of so many tokens: as many slots, each with a context of its own, unless the options say otherwise. */
function withRequirement(options: LlamaOptions, { context, concurrency }: PlanArguments): LlamaOptions {
  if (context === undefined && concurrency === undefined) return options;
  const parallel = options.parallel ?? concurrency ?? 1;
  const ctxSize = options.ctxSize ?? (context === undefined ? undefined : context * (concurrency ?? parallel));
  return { ...options, parallel, ...(ctxSize === undefined ? {} : { ctxSize }) };
}

/** vLLM's options, which llama.cpp does not have. */
function foreignOptions({ given }: PlanArguments): Diagnostic[] {
  const taken = new Set(['quantization', 'kvCacheDtype']);
  const names = Object.keys(given).filter((key) => !taken.has(key));
  if (names.length === 0) return [];
  const flags = names.map((name) => `--${name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`);
  return [
    {
      severity: 'warning',
      code: 'VRAM418',
      message: `options of vLLM, without effect on llama.cpp: ${flags.join(', ')}`,
      hint: 'llama.cpp has -c, -np, -b, -ub, -ngl, -ts, -ctk, -ctv, ... (vram plan --help)',
    },
  ];
}

/** The whole answer for `vram plan --engine llama.cpp`. */
export async function planLlamaArguments(args: PlanArguments, io: Io): Promise<PlannedArguments> {
  const asked = await resolveLlamaArguments(args, io);
  if (asked.gpus === undefined) return { kind: 'gpus', output: llamaGpuList(asked, args) };
  const request: LlamaRequest = { ...asked.request, gpus: asked.gpus };
  const flags = llamaFlags();
  if (engineIdOf(args.engine) === 'ollama') {
    const { match } = resolveOllamaRef(args.engine);
    const environment = readOllamaEnvironment(args.env ?? []);
    const { served, ...rest } = asked;
    return {
      kind: 'plan',
      output: completeOllama({ ...rest, request, served: served.model, match, environment, flags }),
    };
  }
  if (args.autoParallel !== undefined) {
    throw inputError('VRAM149', '--auto-parallel is for vLLM; llama.cpp splits a model by -ts and -sm', {
      hint: 'use --engine vllm, or --placement to see the split',
      path: '--auto-parallel',
    });
  }
  if (args.disaggregate !== undefined) {
    throw inputError('VRAM179', '--disaggregate is for vLLM; a llama-server does both', { path: '--disaggregate' });
  }
  if (args.env && args.env.length > 0) {
    throw inputError('VRAM146', '--env is for Ollama', { hint: 'use --engine ollama', path: '--env' });
  }
  const output = completeLlama({ ...asked, flags, request });
  if (args.placement) output.result.placement = { devices: llamaPlacement(request.model, planLlama(request)) };
  return { kind: 'plan', output };
}

/** Which GPUs hold it, each by itself: with everything on the GPU where no offload is stated. */
function llamaGpuList({ request, diagnostics }: LlamaAsked, args: PlanArguments): GpuListOutput {
  checkListOptions(args);
  const { spec, model, scheme, version } = request;
  const options: LlamaOptions = { gpuLayers: 'all', ...request.options, fit: false };
  const ctxSize = options.ctxSize ?? defaultListContext;
  const input: GpuListOutput['input'] = {
    model: {
      id: spec.id,
      name: spec.name ?? spec.id,
      hfId: spec.hfId ?? null,
      architecture: model.architecture,
      scheme,
    },
    gpu: null,
    engine: { id: 'llama.cpp', name: 'llama.cpp', version, release: version },
    parallel: { tp: 1, pp: 1, dp: 1, ep: 1 },
  };
  const plan = (gpu: GpuSpec): Plan => planLlama({ ...request, gpus: [gpu], options: { ...options, ctxSize } }).plan;
  return envelope('plan', input, { gpus: gpuRowsBy(loadPresets('gpus'), plan) }, diagnostics);
}

/** What llama.cpp itself held to be a usable context for years. */
const defaultListContext = 4096;
