// From the words of a command line to a llama.cpp plan: the model as a GGUF description (a file's own, or what the converter and a
// mix would make of a configuration), the GPUs, the options of llama-server, a requirement turned into context and slots.
import { applyMix } from '../accounting/gguf-mix/index.ts';
import { toGguf } from '../architecture/gguf/index.ts';
import { expandArchitecture } from '../architecture/index.ts';
import { type Diagnostic, inputError } from '../diagnostics.ts';
import type { LlamaRequest } from '../engines/llamacpp/request.ts';
import type { Io } from '../io.ts';
import { engineIdOf, resolveLlamaRef, resolveOllamaRef } from '../load/engine.ts';
import { llamaFlags } from '../load/flags.ts';
import { resolveGpus, withGpuMemory } from '../load/gpu.ts';
import { mixNamed } from '../load/mix-name.ts';
import { type ResolvedModel, resolveModel } from '../load/model.ts';
import { printable } from '../load/names.ts';
import { readOllamaEnvironment } from '../load/ollama-environment.ts';
import { completeLlama } from '../plan/llama.ts';
import { completeOllama } from '../plan/ollama.ts';
import type { GgufModel } from '../spec/gguf.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { LlamaOptions } from '../spec/llama-options.ts';
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

export async function resolveLlamaArguments(args: PlanArguments, io: Io): Promise<LlamaAsked> {
  const engine =
    engineIdOf(args.engine) === 'ollama' ? resolveOllamaRef(args.engine).llama : resolveLlamaRef(args.engine);
  const diagnostics = [...engine.diagnostics, ...foreignOptions(args)];
  if (args.model === undefined)
    throw inputError('VRAM161', 'no model is given', {
      hint: 'add --model, e.g. --model llama-3.1-8b, or a .gguf file',
      path: '--model',
    });
  const resolved = await resolveModel(args.model, { env: io.env });
  diagnostics.push(...resolved.diagnostics);
  if (args.assumeArchitecture !== undefined)
    resolved.spec = assumedModel(resolved.spec, args.assumeArchitecture, diagnostics);
  const { model, scheme } = ggufOf(resolved, args, diagnostics);
  const given = withRequirement(cacheTypesOf(args), args);
  const request: Omit<LlamaRequest, 'gpus'> = {
    spec: resolved.spec,
    model,
    scheme,
    version: engine.version,
    build: engine.build,
    rules: engine.rules,
    options: given,
    ...(args.context === undefined ? {} : { context: args.context }),
    ...(args.concurrency === undefined ? {} : { concurrency: args.concurrency }),
    ...(args.assumeArchitecture === undefined ? {} : { assumed: true }),
  };
  const asked = { request, given: cacheTypesOf(args), served: servedFile(args.model, resolved, scheme), diagnostics };
  if (args.gpu === undefined) return asked;
  const devices = await resolveGpus(args.gpu, { env: io.env });
  diagnostics.push(...devices.diagnostics);
  const gpus = args.gpuMemory === undefined ? devices.gpus : withGpuMemory(devices.gpus, args.gpuMemory);
  const free = args.freeMemory === undefined ? devices.freeBytes : freeMemory(args.freeMemory, gpus, gpus.length);
  if (free) request.freeBytes = free.length === gpus.length ? free : gpus.map(() => free[0]!);
  return { ...asked, gpus };
}

/** The file's own description, or that of the configuration under the mix that -q names. */
function ggufOf(
  { spec, gguf }: ResolvedModel,
  { given }: PlanArguments,
  diagnostics: Diagnostic[],
): { model: GgufModel; scheme: string } {
  const asked = given.quantization;
  if (gguf) {
    if (asked !== undefined)
      diagnostics.push({
        severity: 'note',
        code: 'VRAM163',
        message: `the file's own tensor types are planned, not ${printable(asked)}`,
        path: '--quantization',
      });
    return { model: gguf, scheme: fileScheme(gguf) };
  }
  const source = toGguf(spec, expandArchitecture(spec));
  if (!source) {
    throw inputError('VRAM203', `llama.cpp has no architecture for ${printable(spec.architecture)}`, {
      hint: 'give the .gguf file itself, or plan it with --engine vllm',
      path: '--model',
    });
  }
  const wanted = asked === undefined || asked === 'none' ? plainType(spec.config.dtype) : asked;
  const mix = mixNamed(wanted);
  return { model: applyMix(source, mix), scheme: mix };
}

/** A 16-bit checkpoint stays what it is. */
function plainType(dtype: string | undefined): string {
  return dtype === 'bfloat16' ? 'bf16' : 'f16';
}

/** The type that holds most of the bytes. */
function fileScheme(model: GgufModel): string {
  const counts = new Map<string, number>();
  for (const { type, ne } of model.tensors) counts.set(type, (counts.get(type) ?? 0) + ne.reduce((a, b) => a * b, 1));
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'gguf';
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

function servedFile(ref: string, { spec, gguf }: ResolvedModel, scheme: string): LlamaAsked['served'] {
  if (gguf) return { model: ref, hf: false };
  const name = (spec.hfId ?? spec.id).replace(/^.*\//, '');
  return { model: `./${name}-${scheme.toUpperCase()}.gguf`, hf: false };
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
  if (asked.gpus === undefined) {
    throw inputError('VRAM169', 'a llama.cpp plan needs a GPU', {
      hint: 'add --gpu, e.g. --gpu rtx3060, or --gpu auto',
      path: '--gpu',
    });
  }
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
  if (args.env && args.env.length > 0) {
    throw inputError('VRAM146', '--env is for Ollama', { hint: 'use --engine ollama', path: '--env' });
  }
  return { kind: 'plan', output: completeLlama({ ...asked, flags, request }) };
}
