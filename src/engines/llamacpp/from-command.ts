// Reads an existing `llama-server ...` or `llama-cli ...` line as that build's parser does (common/arg.cpp): every spelling, values as
// the next word, underscores in long names, LLAMA_ARG_* variables before the line, the last of a repeated flag. Flags that plan no
// memory are kept apart; unknown ones and those of other builds are returned as such, nothing is dropped.
import { type Diagnostic, isInputError } from '../../diagnostics.ts';
import { type LlamaOptionEntry, llamaOptionTable } from '../../spec/llama-options.ts';
import type { BuildNumber } from './builds.ts';
import {
  findLlamaFlag,
  isRead,
  type LlamaFlag,
  type LlamaFlagIndex,
  type LlamaFlagTable,
  type LlamaProgram,
  type LlamaSpelling,
  lenientFlagIndex,
} from './flags.ts';
import { launchedLlama } from './launcher.ts';
import type { LlamaOptions } from './types.ts';

export interface ReadLlamaFlag {
  /** As the table names it. */
  flag: string;
  /** Raw; true or false of a switch. */
  value: string | boolean;
  /** As it stood on the line, or the environment variable. */
  written: string;
}

export interface ReadLlamaCommand {
  program: LlamaProgram;
  /** --model: a path; or --hf-repo with --hf-file. */
  model?: { path: string } | { hfRepo: string; hfFile?: string };
  options: LlamaOptions;
  /** Flags that the plan has no option for, as they were read. */
  others: ReadLlamaFlag[];
  /** In no build that was read. */
  unknown: string[];
  /** Flags that another build has. */
  otherBuild: { flag: string; since: string; until?: string; use?: string }[];
  /** Values that cannot be read. */
  diagnostics: Diagnostic[];
  env: Record<string, string>;
  gpuCount?: number;
  /** Named by the image or the path. */
  build?: string;
}

export interface ReadLlamaRequest {
  words: readonly string[];
  table: LlamaFlagTable;
  /** The build to read as; a build that the line itself names is for the caller to choose. */
  build: BuildNumber;
}

export function readLlamaCommand({ words, table, build }: ReadLlamaRequest): ReadLlamaCommand {
  const { args, ...launched } = launchedLlama(words);
  const read: ReadLlamaCommand = {
    ...launched,
    options: launched.program === 'llama-cli' ? { program: 'llama-cli' } : {},
    others: [],
    unknown: [],
    otherBuild: [],
    diagnostics: [],
  };
  const index = lenientFlagIndex(table, build, launched.program);
  readVariables(index, read);
  readArguments(args, index, { table, build }, read);
  return read;
}

function readArguments(
  args: readonly string[],
  index: LlamaFlagIndex,
  { table, build }: Omit<ReadLlamaRequest, 'words'>,
  read: ReadLlamaCommand,
): void {
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    const { name, inline } = spellingOf(word, index);
    const found = index.get(name);
    if (!found) {
      noteForeign(name, table, read);
      // The value of a flag that this build does not know is not a word of its own.
      if (name.startsWith('-') && inline === undefined && isValue(args[i + 1])) i++;
      continue;
    }
    if (found.flag.value === undefined) {
      apply(found, { value: !found.negated, written: word }, read);
      const next = args[i + 1] ?? '';
      if (found.flag.flag !== '--flash-attn' || !/^(on|off|auto|[01]|-1)$/.test(next)) continue;
      // -fa on, given to a build where it is a switch, or that may already take the word.
      if (isRead(table, build)) noteForeign(`${name} ${next}`, table, read);
      else read.options.flashAttn = next === 'auto' || next === '-1' ? 'auto' : /^(on|1)$/.test(next) ? 'on' : 'off';
      i++;
      continue;
    }
    const value = inline ?? args[i + 1];
    if (inline === undefined) i++;
    if (value === undefined) {
      read.diagnostics.push(unreadable(name, 'takes a value'));
      continue;
    }
    const second = found.flag.value === 'two texts' ? ` ${args[++i] ?? ''}` : '';
    apply(found, { value: value + second, written: word }, read);
  }
}

/** Long names take underscores for dashes; --name=value is no form of llama.cpp's, but what is meant is plain. */
function spellingOf(word: string, index: LlamaFlagIndex): { name: string; inline?: string } {
  const dashed = (text: string): string => (text.startsWith('--') ? text.replaceAll('_', '-') : text);
  const equals = word.indexOf('=');
  const name = dashed(equals > 0 ? word.slice(0, equals) : word);
  return equals > 0 && index.has(name) ? { name, inline: word.slice(equals + 1) } : { name: dashed(word) };
}

function isValue(word: string | undefined): boolean {
  return word !== undefined && !/^-[A-Za-z-]/.test(word);
}

/** Variables come first; the line overrides them. */
function readVariables(index: LlamaFlagIndex, read: ReadLlamaCommand): void {
  const flags = new Set([...index.values()].map(({ flag }) => flag));
  for (const flag of flags) {
    for (const [variable, negated] of [
      [flag.env, false],
      [flag.envOff, true],
    ] as const) {
      const raw = variable === undefined ? undefined : read.env[variable];
      if (raw === undefined) continue;
      const truth = /^(on|enabled|true|1)$/.test(raw);
      if (flag.value !== undefined) apply({ flag, negated: false }, { value: raw, written: variable! }, read);
      else if (truth || flag.negated) apply({ flag, negated }, { value: truth !== negated, written: variable! }, read);
    }
  }
}

/** What a flag says in the words of the option table: the key, and what its two sides mean. */
const switches: Readonly<Record<string, { key: keyof LlamaOptions; on: boolean; off: boolean }>> = {
  '--kv-unified': { key: 'kvUnified', on: true, off: false },
  '--kv-offload': { key: 'noKvOffload', on: false, off: true },
  '--op-offload': { key: 'noOpOffload', on: false, off: true },
  '--mmap': { key: 'noMmap', on: false, off: true },
  '--cpu-moe': { key: 'cpuMoe', on: true, off: false },
  '--swa-full': { key: 'swaFull', on: true, off: false },
  '--embedding': { key: 'embedding', on: true, off: false },
  '--mmproj-auto': { key: 'noMmproj', on: false, off: true },
  '--mmproj-offload': { key: 'noMmprojOffload', on: false, off: true },
};

function apply(
  { flag, negated }: LlamaSpelling,
  given: { value: string | boolean; written: string },
  read: ReadLlamaCommand,
): void {
  const { value, written } = given;
  if (typeof value === 'string' && applyModel(flag, value, read)) return;
  const side = switches[flag.flag];
  if (side && typeof value === 'boolean') {
    Object.assign(read.options, { [side.key]: value ? side.on : side.off });
    return;
  }
  if (flag.flag === '--load-mode' && typeof value === 'string') {
    read.options.noMmap = !/^(mmap|mmap\+mlock|auto)$/.test(value);
    read.others.push({ flag: flag.flag, value, written });
    return;
  }
  const entry = negated ? undefined : optionOf(flag);
  if (!entry) {
    read.others.push({ flag: flag.flag, value, written });
    return;
  }
  try {
    const option = entry.read(typeof value === 'string' ? value : (entry.bare ?? ''), written, read.options[entry.key]);
    if (option !== undefined) Object.assign(read.options, { [entry.key]: option });
    else delete read.options[entry.key];
  } catch (error) {
    if (!isInputError(error)) throw error;
    read.diagnostics.push(...error.diagnostics);
  }
}

function applyModel(flag: LlamaFlag, value: string, read: ReadLlamaCommand): boolean {
  const repository = read.model && 'hfRepo' in read.model ? read.model : undefined;
  switch (flag.flag) {
    case '--model':
      read.model = { path: value };
      return true;
    case '--hf-repo':
      read.model = { ...repository, hfRepo: value };
      return true;
    case '--hf-file':
      read.model = { hfRepo: repository?.hfRepo ?? '', hfFile: value };
      return true;
    default:
      return false;
  }
}

/** The option that a flag sets; --kv-unified and its opposite are in `switches`. */
function optionOf({ flag, names = [] }: LlamaFlag): LlamaOptionEntry | undefined {
  return llamaOptionTable.find(
    ({ key, long }) => key !== 'program' && long.some((name) => name === flag || names.includes(name)),
  );
}

function noteForeign(name: string, table: LlamaFlagTable, read: ReadLlamaCommand): void {
  const entry = findLlamaFlag(table, name.replace(/ .*$/, ''));
  if (!entry) {
    read.unknown.push(name);
    return;
  }
  const { flag, until, use, states } = entry;
  read.otherBuild.push({
    flag: name.includes(' ') ? name : flag,
    since: (name.includes(' ') ? states.at(-1)! : states[0]!).from,
    ...(until ? { until } : {}),
    ...(use ? { use } : {}),
  });
}

function unreadable(flag: string, problem: string): Diagnostic {
  return { severity: 'error', code: 'VRAM145', message: `${flag} ${problem}`, path: flag };
}
