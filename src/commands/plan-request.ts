// From the words of a command line to a finished plan: resolves references, reads an existing command, plans, adds what needs
// several plans (suggestions, matrix) and the flags to run it with.
import { type Diagnostic, InputError, inputError } from '../diagnostics.ts';
import {
  type ReadCommand,
  readCommand,
  readConfigFile,
  splitCommand,
  versionInCommand,
} from '../engines/vllm/from-command.ts';
import type { Io } from '../io.ts';
import { readText } from '../load/context.ts';
import { resolveEngineRef } from '../load/engine.ts';
import { vllmFlags, vllmRegistry } from '../load/flags.ts';
import { resolveGpus, withGpuMemory } from '../load/gpu.ts';
import { resolveModel } from '../load/model.ts';
import { loadPresets } from '../load/presets.ts';
import { parseSizes } from '../load/size.ts';
import { completePlan } from '../plan/complete.ts';
import type { PlanOutput } from '../plan/output.ts';
import type { PlanRequest } from '../plan/request.ts';
import { engineOptionTable, vllmName } from '../spec/engine-options.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import { defaultParallel, type EngineOptions } from '../spec/options.ts';
import { findScheme, type QuantizationScheme, schemeOfCheckpoint } from '../spec/quantization.ts';
import { type GpuRow, gpuRows } from './plan-gpus.ts';

export interface PlanArguments {
  model?: string;
  gpu?: string;
  gpuMemory?: string;
  freeMemory?: string;
  engine?: string;
  context?: number;
  concurrency?: number;
  fromCommand?: string;
  commandWords?: readonly string[];
  require: string[];
  matrix: boolean;
  explain: boolean;
  assumeArchitecture?: string;
  format?: string;
  output?: string;
  given: Partial<EngineOptions>;
}

export type PlannedArguments =
  | { kind: 'plan'; output: PlanOutput }
  | { kind: 'gpus'; rows: GpuRow[]; diagnostics: Diagnostic[] };

export async function planArguments(args: PlanArguments, io: Io): Promise<PlannedArguments> {
  const diagnostics: Diagnostic[] = [];
  const command = await readExisting(args, io, diagnostics);
  const engine = resolveEngineRef(args.engine ?? (command?.version ? `vllm@${command.version}` : undefined));
  diagnostics.push(...engine.diagnostics);
  const given = { ...optionsOf(command, diagnostics), ...args.given };
  const modelRef = args.model ?? command?.model;
  if (modelRef === undefined)
    throw inputError('VRAM161', 'no model is given', {
      hint: 'add --model, e.g. --model llama-3.1-8b (vram list models)',
      path: '--model',
    });
  const model = await resolveModel(modelRef, { env: io.env });
  diagnostics.push(...model.diagnostics);
  const options: EngineOptions = { ...defaultParallel, ...given };
  if (command && Object.keys(command.env).length > 0) options.env = command.env;
  const scheme = schemeFor(options.quantization, model, diagnostics);
  const base: Omit<PlanRequest, 'gpus'> = {
    spec: model.spec,
    ...(scheme ? { scheme } : {}),
    version: engine.version,
    release: engine.release,
    profile: engine.profile,
    options,
    ...(args.context === undefined ? {} : { context: args.context }),
    ...(args.concurrency === undefined ? {} : { concurrency: args.concurrency }),
    ...(args.assumeArchitecture === undefined ? {} : { assumedArchitecture: args.assumeArchitecture }),
  };
  if (args.gpu === undefined) return { kind: 'gpus', rows: gpuRows(base, loadPresets('gpus')), diagnostics };
  const devices = await devicesOf(args, args.gpu, io, command);
  diagnostics.push(...devices.diagnostics);
  const request: PlanRequest = {
    ...base,
    gpus: devices.gpus,
    ...(devices.free ? { freeMemoryBytes: devices.free } : {}),
  };
  checkDeviceCount(request, devices.count);
  const output = completePlan({
    request,
    given,
    engineName: engine.name,
    gpuCount: devices.count,
    matrix: args.matrix,
    flags: vllmFlags(),
    registry: vllmRegistry(),
    schemes: () => loadPresets('quantizations'),
    gpus: () => loadPresets('gpus'),
    diagnostics,
  });
  return { kind: 'plan', output };
}

async function readExisting(args: PlanArguments, io: Io, diagnostics: Diagnostic[]): Promise<ReadCommand | undefined> {
  const { fromCommand } = args;
  const words = args.commandWords ?? (fromCommand === undefined ? undefined : await wordsOrFile(fromCommand, io));
  if (words === undefined) return undefined;
  const list = Array.isArray(words) ? words : [];
  const engine = resolveEngineRef(
    args.engine ?? (versionInCommand(list) ? `vllm@${versionInCommand(list)}` : undefined),
  );
  const command = Array.isArray(words)
    ? readCommand(words, vllmFlags(), engine.release)
    : readConfigFile(words as Record<string, never>, vllmFlags(), engine.release);
  if (command.unknown.length > 0) {
    diagnostics.push({
      severity: 'warning',
      code: 'VRAM413',
      message: `not flags of vLLM ${engine.release}: ${command.unknown.join(', ')}`,
      hint: 'they are left out of the plan',
      path: '--from-command',
    });
  }
  for (const { flag, since, until, use } of command.otherRelease) {
    const when = since && !until ? `comes with ${since}` : `was removed after ${until}`;
    diagnostics.push({
      severity: 'warning',
      code: 'VRAM414',
      message: `${flag} ${when}, vLLM ${engine.release} does not have it`,
      ...(use ? { hint: `instead: ${use}` } : {}),
      path: '--from-command',
    });
  }
  return command;
}

/** A command line, or the mapping of a config file when the text names one. */
async function wordsOrFile(text: string, io: Io): Promise<string[] | Record<string, unknown>> {
  if (/^[^\s]+\.ya?ml$/i.test(text.trim())) {
    const file = text.trim();
    const { parseYaml } = await import('../load/yaml.ts');
    const { value, diagnostics } = parseYaml<Record<string, unknown>>(
      readText(file, { env: io.env }, '--from-command'),
      file,
    );
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw diagnostics.length > 0
        ? new InputError(diagnostics)
        : inputError('VRAM164', `${file} is not a mapping of flags`, { path: '--from-command' });
    }
    return value;
  }
  return splitCommand(text);
}

/** Flags of an existing command -> our options, by the option table; those without effect on memory are ignored. */
function optionsOf(command: ReadCommand | undefined, diagnostics: Diagnostic[]): Partial<EngineOptions> {
  const options: Record<string, unknown> = {};
  const noEffect: string[] = [];
  for (const { flag, value } of command?.options ?? []) {
    const entry = engineOptionTable.find((candidate) => vllmName(candidate) === flag);
    if (entry) options[entry.key] = entry.read(String(value), flag);
    else noEffect.push(flag);
  }
  if (noEffect.length > 0) {
    diagnostics.push({
      severity: 'note',
      code: 'VRAM415',
      message: `read, but without effect on this plan: ${noEffect.join(', ')}`,
      path: '--from-command',
    });
  }
  return options as Partial<EngineOptions>;
}

/** The scheme asked for, else what the reference or the checkpoint says. */
function schemeFor(
  asked: string | undefined,
  model: { spec: PlanRequest['spec']; scheme?: string },
  diagnostics: Diagnostic[],
): QuantizationScheme | undefined {
  const id = asked ?? model.scheme;
  const own = model.spec.quantization ? schemeOfCheckpoint(model.spec.quantization) : undefined;
  if (id === undefined) return own;
  if (id === 'none') return undefined;
  const scheme = findScheme(loadPresets('quantizations'), id);
  if (!scheme && own?.method === id) return own;
  if (!scheme) {
    const ids = loadPresets('quantizations').flatMap((entry) => [entry.id, ...(entry.synonyms ?? [])]);
    throw inputError('VRAM162', `there is no quantization ${JSON.stringify(id)}`, {
      hint: `known: ${ids.join(', ')}`,
      path: '--quantization',
    });
  }
  if (own && asked !== undefined && own.method !== scheme.method) {
    diagnostics.push({
      severity: 'note',
      code: 'VRAM163',
      message: `planned as ${scheme.id} instead of the checkpoint's own ${own.method}`,
      path: '--quantization',
    });
  }
  return scheme;
}

async function devicesOf(
  args: PlanArguments,
  ref: string,
  io: Io,
  command: ReadCommand | undefined,
): Promise<{ gpus: GpuSpec[]; count: number; free?: number[]; diagnostics: Diagnostic[] }> {
  const resolved = await resolveGpus(ref, { env: io.env });
  const gpus = args.gpuMemory === undefined ? resolved.gpus : withGpuMemory(resolved.gpus, args.gpuMemory);
  const free = args.freeMemory === undefined ? resolved.freeBytes : parseSizes(args.freeMemory, '--free-memory');
  const count = gpus.length > 1 ? gpus.length : (command?.gpuCount ?? 1);
  return { gpus, count, ...(free ? { free } : {}), diagnostics: resolved.diagnostics };
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
