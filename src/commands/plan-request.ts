// From the words of a command line to a finished plan: resolves references, reads an existing command, plans, adds what needs
// several plans (suggestions, matrix) and the flags to run it with.
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { ReadCommand } from '../engines/vllm/from-command.ts';
import { architectureOf } from '../engines/vllm/memo.ts';
import { planVllm } from '../engines/vllm/plan.ts';
import type { Io } from '../io.ts';
import { engineIdOf, resolveEngineRef } from '../load/engine.ts';
import { plannedFlags, vllmRegistry } from '../load/flags.ts';
import { resolveGpus, withGpuMemory } from '../load/gpu.ts';
import { type ResolvedModel, resolveModel } from '../load/model.ts';
import { loadPresets } from '../load/presets.ts';
import { sixteenBitNote } from '../load/sixteen-bit.ts';
import { completePlan } from '../plan/complete.ts';
import type { PlanOutput } from '../plan/output.ts';
import type { PlanRequest } from '../plan/request.ts';
import { isUnequal } from '../plan/unequal/is-unequal.ts';
import type { GpuListOutput } from '../render/gpus.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import { type LlamaOptions, llamaOptionTable } from '../spec/llama-options.ts';
import type { NodeSpec } from '../spec/node.ts';
import { defaultParallel, type EngineOptions } from '../spec/options.ts';
import { checkListOptions } from './gpu-list.ts';
import { assumedModel, checkChoices, freeMemory, schemeFor } from './plan-checks.ts';
import { draftOf, withDraftMethod } from './plan-draft.ts';
import { optionsOf, readExisting, schemeOfMethod } from './plan-existing.ts';
import { gpuList } from './plan-gpus.ts';
import { servedModel } from './served.ts';

export interface PlanArguments {
  model?: string;
  /** The model that `model` names, where the caller plans it many times. */
  resolvedModel?: ResolvedModel;
  gpu?: string;
  gpuMemory?: string;
  freeMemory?: string;
  engine?: string;
  context?: number;
  concurrency?: number;
  fromCommand?: string;
  commandWords?: readonly string[];
  /** Flags of an existing command that the caller reads itself. */
  alsoRead?: readonly string[];
  require: string[];
  matrix: boolean;
  /** Goal of --auto-parallel; true: none was written. */
  autoParallel?: string | true;
  placement?: boolean;
  /** --disaggregate as written. */
  disaggregate?: string;
  explain: boolean;
  assumeArchitecture?: string;
  format?: string;
  output?: string;
  given: Partial<EngineOptions>;
  /** Options of llama-server. */
  llama?: LlamaOptions;
  /** NAME=VALUE for Ollama's service. */
  env?: readonly string[];
}

export type PlannedArguments = { kind: 'plan'; output: PlanOutput } | { kind: 'gpus'; output: GpuListOutput };

export async function planArguments(args: PlanArguments, io: Io): Promise<PlannedArguments> {
  if (forLlama(args)) return (await import('./plan-llama.ts')).planLlamaArguments(args, io);
  const asked = await resolveArguments(args, io);
  const { base, engineName, diagnostics } = asked;
  if (asked.devices === undefined) {
    checkListOptions(args);
    const list = { base, engineName, gpus: loadPresets('gpus'), diagnostics };
    return { kind: 'gpus', output: gpuList(list) };
  }
  const { devices } = asked;
  if (args.disaggregate !== undefined && (args.autoParallel !== undefined || args.placement))
    throw inputError(
      'VRAM179',
      '--disaggregate goes with a layout that is stated: leave out --auto-parallel, --placement',
      {
        path: '--disaggregate',
      },
    );
  if (args.autoParallel !== undefined || args.placement)
    return { kind: 'plan', output: await completeParallel(asked, devices, args) };
  const output = completeRequest(asked, devices, args.matrix);
  if (args.disaggregate !== undefined || isUnequal(devices.request.gpus))
    await tellSeveral(output, asked, devices, args.disaggregate);
  const { verdict, workload } = output.result;
  if (verdict.fits && workload?.fits) {
    const { tellSpeed } = await import('./plan-several.ts');
    tellSpeed({ output, request: devices.request, plan: (request) => planVllm(request, vllmRegistry()) });
  }
  return { kind: 'plan', output };
}

/** What unequal GPUs could do together, and prefill and decode on servers of their own. */
async function tellSeveral(
  output: PlanOutput,
  asked: ResolvedArguments,
  { request, count }: NonNullable<ResolvedArguments['devices']>,
  disaggregate: string | undefined,
): Promise<void> {
  const { tellDisaggregation, tellUnequal } = await import('./plan-several.ts');
  const plan = (other: PlanRequest) => planVllm(other, vllmRegistry());
  const commandOf = (other: PlanRequest): string => {
    const given = { ...asked.given, ...layoutOf(other.options) };
    return completeRequest({ ...asked, given }, { request: other, count }, false).result.command;
  };
  const input = { output, request, count, plan, commandOf };
  if (disaggregate === undefined) tellUnequal(input);
  else tellDisaggregation(disaggregate, input);
}

function layoutOf(options: EngineOptions): Partial<EngineOptions> {
  const { tensorParallelSize, pipelineParallelSize } = options;
  return {
    ...(tensorParallelSize > 1 ? { tensorParallelSize } : {}),
    ...(pipelineParallelSize > 1 ? { pipelineParallelSize } : {}),
  };
}

/** With the best layout in place of the one asked for, and with what sits where. */
async function completeParallel(
  asked: ResolvedArguments,
  devices: NonNullable<ResolvedArguments['devices']>,
  { autoParallel, placement, matrix }: PlanArguments,
): Promise<PlanOutput> {
  const { chooseLayout, placementPlan } = await import('./plan-parallel.ts');
  const plan = (request: PlanRequest) => planVllm(request, vllmRegistry());
  const { request, count } = devices;
  const { given } = asked;
  const choice =
    autoParallel === undefined
      ? undefined
      : chooseLayout({ request, count, given, goal: autoParallel, flags: plannedFlags(), plan });
  const chosen = choice ?? { request, given };
  const output = completeRequest({ ...asked, given: chosen.given }, { request: chosen.request, count }, matrix);
  if (choice) output.result.layouts = choice.layouts;
  if (placement) output.result.placement = placementPlan(chosen.request, plan, architectureOf);
  return output;
}

/** Whether llama.cpp plans: asked for, started by an existing line, or the only engine with such a file, mix or option. */
function forLlama(args: PlanArguments): boolean {
  const { engine, fromCommand, commandWords, model = '', given, llama = {} } = args;
  if (engine !== undefined) return engineIdOf(engine) !== 'vllm';
  const line = commandWords?.join(' ') ?? fromCommand;
  if (line !== undefined) {
    const starts = /(?:^|[\s/])llama-(?:server|cli|bench|completion|perplexity)(?:\.exe)?(?:\s|$)|llama\.cpp/;
    return starts.test(line) && !/\bvllm\b/.test(line);
  }
  if (/\.gguf$|-gguf(?::[\w.-]+)?$/i.test(model) || Object.keys(llama).length > 0) return true;
  return /^(?:I?Q\d|TQ\d)_?\w*$/i.test(given.quantization ?? '');
}

/** llama-server's options, which vLLM does not have. */
function llamaOnly(llama: LlamaOptions): Diagnostic[] {
  const given = llamaOptionTable.filter(({ key }) => llama[key] !== undefined).map(({ long }) => long.at(-1)!);
  if (given.length === 0) return [];
  return [
    {
      severity: 'warning',
      code: 'VRAM418',
      message: `options of llama.cpp, without effect on vLLM: ${[...new Set(given)].join(', ')}`,
      hint: 'plan llama.cpp with --engine llama.cpp',
    },
  ];
}

/** What the words of a command line stand for; without --gpu there are no devices. */
export interface ResolvedArguments {
  base: Omit<PlanRequest, 'gpus'>;
  given: Partial<EngineOptions>;
  /** The existing command, where one was named. */
  command: ReadCommand | undefined;
  served: () => { name: string; diagnostics: Diagnostic[] };
  engineName: string;
  devices: { request: PlanRequest; count: number } | undefined;
  diagnostics: Diagnostic[];
}

export async function resolveArguments(args: PlanArguments, io: Io): Promise<ResolvedArguments> {
  const diagnostics: Diagnostic[] = [];
  const command = await readExisting(args, io, diagnostics);
  const engine = resolveEngineRef(args.engine ?? (command?.version ? `vllm@${command.version}` : undefined));
  diagnostics.push(...engine.diagnostics, ...llamaOnly(args.llama ?? {}));
  const existing = optionsOf(command, diagnostics, args.alsoRead);
  const given = { ...existing, ...args.given };
  const modelRef = args.model ?? command?.model;
  if (modelRef === undefined)
    throw inputError('VRAM161', 'no model is given', {
      hint: 'add --model, e.g. --model llama-3.1-8b (vram list models)',
      path: '--model',
    });
  checkChoices(given, plannedFlags());
  const model = args.resolvedModel
    ? { ...args.resolvedModel }
    : await withProgress(io, modelRef, () => resolveModel(modelRef, { env: io.env }));
  diagnostics.push(...model.diagnostics);
  if (model.gguf) diagnostics.push(sixteenBitNote(model.gguf));
  if (args.assumeArchitecture !== undefined)
    model.spec = assumedModel(model.spec, args.assumeArchitecture, diagnostics);
  if (existing.quantization !== undefined && args.given.quantization === undefined)
    given.quantization = schemeOfMethod(existing.quantization, model);
  const options = withDraftMethod({ ...defaultParallel, ...given });
  if (command && Object.keys(command.env).length > 0) options.env = command.env;
  const named = schemeFor(options.quantization, model, diagnostics);
  // fp32, fp16 and bf16 are dtypes of the whole model, not forms of checkpoints.
  const scheme = named?.format === 'none' ? undefined : named;
  if (named && !scheme) {
    given.quantization = 'none';
    if (named.dtype) {
      options.dtype ??= named.dtype;
      given.dtype ??= named.dtype;
    }
  }
  const draft = await draftOf(options, model.spec, io, diagnostics);
  const base: Omit<PlanRequest, 'gpus'> = {
    spec: model.spec,
    ...(scheme ? { scheme } : {}),
    ...(draft ? { draft } : {}),
    version: engine.version,
    release: engine.release,
    profile: engine.profile,
    options,
    ...(args.context === undefined ? {} : { context: args.context }),
    ...(args.concurrency === undefined ? {} : { concurrency: args.concurrency }),
    ...(args.assumeArchitecture === undefined ? {} : { assumedArchitecture: args.assumeArchitecture }),
  };
  const served = (): { name: string; diagnostics: Diagnostic[] } =>
    servedModel({ ref: modelRef, model, ...(given.quantization && scheme ? { chosen: scheme } : {}) });
  const resolved = { base, given, command, served, engineName: engine.name, diagnostics };
  if (args.gpu === undefined) return { ...resolved, devices: undefined };
  const devices = await devicesOf(args, args.gpu, io, command);
  diagnostics.push(...devices.diagnostics);
  const request: PlanRequest = {
    ...base,
    gpus: devices.gpus,
    ...(devices.nodes ? { nodes: devices.nodes } : {}),
    ...(devices.free ? { freeMemoryBytes: devices.free } : {}),
  };
  checkDeviceCount(request, devices.count);
  return { ...resolved, devices: { request, count: devices.count } };
}

/** The whole answer for resolved arguments that name devices. */
export function completeRequest(
  { given, served, engineName, diagnostics }: ResolvedArguments,
  { request, count }: NonNullable<ResolvedArguments['devices']>,
  matrix: boolean,
): PlanOutput {
  const { name, diagnostics: ofServed } = served();
  return completePlan({
    request,
    given,
    served: name,
    engineName,
    gpuCount: count,
    matrix,
    flags: plannedFlags(),
    registry: vllmRegistry(),
    schemes: () => loadPresets('quantizations'),
    gpus: () => loadPresets('gpus'),
    quality: () => loadPresets('quality'),
    diagnostics: [...diagnostics, ...ofServed],
  });
}

async function devicesOf(
  args: PlanArguments,
  ref: string,
  io: Io,
  command: ReadCommand | undefined,
): Promise<{ gpus: GpuSpec[]; nodes?: NodeSpec[]; count: number; free?: number[]; diagnostics: Diagnostic[] }> {
  const resolved = await resolveGpus(ref, { env: io.env });
  const gpus = args.gpuMemory === undefined ? resolved.gpus : withGpuMemory(resolved.gpus, args.gpuMemory);
  const count = gpus.length > 1 ? gpus.length : (command?.gpuCount ?? 1);
  const free = args.freeMemory === undefined ? resolved.freeBytes : freeMemory(args.freeMemory, gpus, count);
  const { nodes, diagnostics } = resolved;
  return { gpus, ...(nodes ? { nodes } : {}), count, ...(free ? { free } : {}), diagnostics };
}

/** "2x rtx4090" with tp 4 cannot run; one GPU named alone stands for as many as the layout needs. */
function checkDeviceCount({ options }: PlanRequest, count: number): void {
  const needed = options.tensorParallelSize * options.pipelineParallelSize * options.dataParallelSize;
  if (count > 1 && needed > count) {
    throw inputError('VRAM416', `the layout needs ${needed} GPUs (tp x pp x dp), ${count} are given`, {
      hint: `--gpu "${needed}x ..." or a smaller --tensor-parallel-size`,
      path: '--gpu',
    });
  }
}

/** Only the hub takes long. */
async function withProgress<Value>(io: Io, ref: string, work: () => Promise<Value>): Promise<Value> {
  const done = /^hf:/i.test(ref.trim()) ? await io.progress?.('asking the Hugging Face hub') : undefined;
  try {
    return await work();
  } finally {
    done?.();
  }
}
