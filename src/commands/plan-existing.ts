// Reads what `--from-command` names: a command line, the words after --, or a config file; the config file that a line names
// with --config too. Tells what it could not take, and turns the flags into options by the option table.
import { type Diagnostic, InputError, inputError } from '../diagnostics.ts';
import {
  overConfig,
  type ReadCommand,
  readCommand,
  readConfigFile,
  splitCommand,
  versionInCommand,
} from '../engines/vllm/from-command.ts';
import type { Io } from '../io.ts';
import { readText } from '../load/context.ts';
import { resolveEngineRef } from '../load/engine.ts';
import { vllmFlags } from '../load/flags.ts';
import { engineOptionTable, vllmName } from '../spec/engine-options.ts';
import type { EngineOptions } from '../spec/options.ts';

type Mapping = Record<string, never>;
const option = '--from-command';

interface ExistingArguments {
  engine?: string;
  fromCommand?: string;
  commandWords?: readonly string[];
}

export async function readExisting(
  args: ExistingArguments,
  io: Io,
  diagnostics: Diagnostic[],
): Promise<ReadCommand | undefined> {
  const { fromCommand, commandWords } = args;
  if (commandWords === undefined && fromCommand === undefined) return undefined;
  const isFile = commandWords === undefined && /^\S+\.ya?ml$/i.test(fromCommand!.trim());
  const words = isFile ? [] : (commandWords ?? splitCommand(fromCommand!));
  const version = versionInCommand(words);
  const { release } = resolveEngineRef(args.engine ?? (version ? `vllm@${version}` : undefined));
  let command = isFile
    ? readConfigFile(await readMapping(fromCommand!.trim(), io), vllmFlags(), release)
    : readCommand(words, vllmFlags(), release);
  if (command.configFile !== undefined)
    command = overConfig(command, readConfigFile(await readMapping(command.configFile, io), vllmFlags(), release));
  diagnostics.push(...notTaken(command, release));
  return command;
}

async function readMapping(file: string, io: Io): Promise<Mapping> {
  const { parseYaml } = await import('../load/yaml.ts');
  const { value, diagnostics } = parseYaml<Mapping>(readText(file, { env: io.env }, option), file);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw diagnostics.length > 0
    ? new InputError(diagnostics)
    : inputError('VRAM164', `${file} is not a mapping of flags`, { path: option });
}

function notTaken({ unknown, otherRelease }: ReadCommand, release: string): Diagnostic[] {
  const foreign = otherRelease.map(({ flag, since, until, use }): Diagnostic => {
    const when = until ? `was removed after ${until}` : `comes with ${since}`;
    return {
      severity: 'warning',
      code: 'VRAM414',
      message: `${flag} ${when}, vLLM ${release} does not have it`,
      ...(use ? { hint: `instead: ${use}` } : {}),
      path: option,
    };
  });
  if (unknown.length === 0) return foreign;
  return [
    {
      severity: 'warning',
      code: 'VRAM413',
      message: `not flags of vLLM ${release}: ${unknown.join(', ')}`,
      hint: 'they are left out of the plan',
      path: option,
    },
    ...foreign,
  ];
}

/** Flags of an existing command -> our options; those without effect on memory are named, unless the caller reads them itself. */
export function optionsOf(
  command: ReadCommand | undefined,
  diagnostics: Diagnostic[],
  alsoRead: readonly string[] = [],
): Partial<EngineOptions> {
  const options: Record<string, unknown> = {};
  const noEffect: string[] = [];
  for (const { flag, value } of command?.options ?? []) {
    const entry = engineOptionTable.find((candidate) => vllmName(candidate) === flag);
    if (entry) options[entry.key] = entry.read(String(value), flag);
    else if (!alsoRead.includes(flag)) noEffect.push(flag);
  }
  if (noEffect.length > 0) {
    diagnostics.push({
      severity: 'note',
      code: 'VRAM415',
      message: `read, but without effect on this plan: ${[...new Set(noEffect)].join(', ')}`,
      path: option,
    });
  }
  return options as Partial<EngineOptions>;
}

/** vLLM's method on a checkpoint that says its own scheme repeats it; on a 16-bit one it is the scheme of that method. */
export function schemeOfMethod(
  method: string,
  model: { spec: { quantization?: { method: string } }; scheme?: string },
): string | undefined {
  const plain = method
    .toLowerCase()
    .replaceAll('-', '_')
    .replace(/^auto_/, '');
  if (model.scheme !== undefined || model.spec.quantization !== undefined) return undefined;
  return methodSchemes[plain] ?? method;
}

const methodSchemes: Readonly<Record<string, string>> = {
  awq_marlin: 'awq',
  gptq_marlin: 'gptq',
  fp8_per_tensor: 'fp8',
  fp8_per_channel: 'fp8',
  modelopt: 'modelopt-fp8',
  modelopt_fp4: 'modelopt-nvfp4',
};
