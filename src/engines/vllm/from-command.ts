// Reads an existing deployment: `vllm serve ...`, `python -m vllm.entrypoints.openai.api_server ...`, `docker run ...
// vllm/vllm-openai:vX ...`, or the mapping of a config file. It yields flag-value pairs as that release's parser would see
// them; what they mean is decided by the option table. Nothing is dropped silently: unknown flags are returned as such.
import { parse as shellParse } from 'shell-quote';
import { inputError } from '../../diagnostics.ts';
import type { Json } from '../../spec/model.ts';
import { type FlagEntry, type FlagInRelease, findFlag, flagIndex } from './flags.ts';

export interface ReadCommand {
  model?: string;
  /** From the image tag (vllm/vllm-openai:v0.11.0). */
  version?: string;
  /** --gpus of docker run, CUDA_VISIBLE_DEVICES: how many devices. */
  gpuCount?: number;
  env: Record<string, string>;
  /** Flag (as that release names it) and raw value; true / false for switches. */
  options: { flag: string; value: string | boolean; written: string }[];
  unknown: string[];
  /** Flags that another release has: name and what the table says. */
  otherRelease: { flag: string; since?: string; until?: string; use?: string }[];
}

/** Splits a command line into words as a POSIX shell would; variables stay literal. */
export function splitCommand(text: string): string[] {
  const joined = text.replace(/\\\r?\n/g, ' ');
  const words: string[] = [];
  for (const token of shellParse(joined, (name: string) => `$${name}`)) {
    if (typeof token === 'string') words.push(token);
    else if ('pattern' in token) words.push(token.pattern);
    else if ('comment' in token) continue;
    else if (token.op === ';' || token.op === '&&' || token.op === '|' || token.op === '&') {
      if (words.some((word) => /vllm/.test(word))) break;
      words.length = 0;
    }
  }
  return words;
}

/** The release named by the image tag of a command, before its flags are read. */
export function versionInCommand(words: readonly string[]): string | undefined {
  for (const word of words) {
    const tag = /vllm[\w/-]*:v?(\d+\.\d+(?:\.\d+)?(?:\.post\d+)?)/.exec(word);
    if (tag) return tag[1];
  }
  return undefined;
}

export function readCommand(words: readonly string[], flags: readonly FlagEntry[], release: string): ReadCommand {
  const result: ReadCommand = { env: {}, options: [], unknown: [], otherRelease: [] };
  const version = versionInCommand(words);
  if (version) result.version = version;
  const args = engineArguments(words, result);
  readArguments(args, result, flags, release);
  return result;
}

/** The mapping of a `vllm serve --config` file: keys are long flags without dashes. */
export function readConfigFile(
  config: Readonly<Record<string, Json>>,
  flags: readonly FlagEntry[],
  release: string,
): ReadCommand {
  const words = Object.entries(config).flatMap(([key, value]) => {
    const flag = `--${key.replaceAll('_', '-')}`;
    if (value === true) return [flag];
    if (value === false || value === null) return [];
    return [flag, typeof value === 'object' ? JSON.stringify(value) : String(value)];
  });
  const result: ReadCommand = { env: {}, options: [], unknown: [], otherRelease: [] };
  readArguments(words, result, flags, release);
  return result;
}

/** Cuts the launcher off (env, python -m, docker run) and returns the arguments that vLLM sees. */
function engineArguments(words: readonly string[], result: ReadCommand): string[] {
  readEnvironment(words, result);
  const image = words.findIndex(
    (word, i) =>
      words[0]?.match(/docker|podman|nerdctl/) &&
      i > 0 &&
      /vllm[\w/-]*(?::|$)/.test(word) &&
      !word.startsWith('-') &&
      !words[i - 1]!.match(/^(-v|--volume|--name|-e|--env|--mount)$/),
  );
  if (image > 0) {
    readDockerGpus(words.slice(0, image), result);
    const rest = words.slice(image + 1);
    return rest[0] === 'vllm' && rest[1] === 'serve' ? rest.slice(2) : rest[0] === 'serve' ? rest.slice(1) : rest;
  }
  const serve = words.findIndex((word, i) => word === 'serve' && /(^|\/)vllm$/.test(words[i - 1] ?? ''));
  if (serve > 0) return words.slice(serve + 1);
  const module = words.findIndex((word, i) => words[i - 1] === '-m' && word.startsWith('vllm.entrypoints'));
  if (module > 0) return words.slice(module + 1);
  throw inputError('VRAM120', 'the command does not start vLLM', {
    hint: 'give a line like: vllm serve MODEL --max-model-len 8192, python -m vllm.entrypoints.openai.api_server ..., or docker run ... vllm/vllm-openai:v0.19.0 ...',
    path: '--from-command',
  });
}

function readEnvironment(words: readonly string[], result: ReadCommand): void {
  words.forEach((word, i) => {
    const previous = words[i - 1];
    const flagged = previous === '-e' || previous === '--env';
    const assignment = /^(?:--env=|-e)?([A-Z][A-Z0-9_]*)=(.*)$/.exec(word);
    if (
      assignment &&
      (flagged ||
        word.startsWith('-e') ||
        word.startsWith('--env=') ||
        words.slice(0, i).every((w) => /^[A-Za-z_]\w*=|^(env|sudo|exec|export)$/.test(w)))
    ) {
      result.env[assignment[1]!] = assignment[2]!;
    }
  });
  const visible = result.env.CUDA_VISIBLE_DEVICES;
  if (visible && /^[\w-]+(,[\w-]+)*$/.test(visible)) result.gpuCount = visible.split(',').length;
}

function readDockerGpus(words: readonly string[], result: ReadCommand): void {
  words.forEach((word, i) => {
    const value = word === '--gpus' ? words[i + 1] : word.startsWith('--gpus=') ? word.slice(7) : undefined;
    const listed = value?.replaceAll('"', '').match(/^(?:(\d+)|device=([\w,-]+))$/);
    if (listed) result.gpuCount = listed[1] ? Number(listed[1]) : listed[2]!.split(',').length;
  });
}

function readArguments(
  args: readonly string[],
  result: ReadCommand,
  flags: readonly FlagEntry[],
  release: string,
): void {
  const index = flagIndex(flags, release);
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!;
    if (!word.startsWith('-')) {
      if (result.model === undefined) result.model = word;
      else result.unknown.push(word);
      continue;
    }
    const { name, inline } = nameAndInline(word);
    const found = lookUp(index, name);
    const next = args[i + 1];
    const hasNext = next !== undefined && (!next.startsWith('-') || /^-\d/.test(next));
    if (!found) {
      noteForeign(name, flags, result);
      if (inline === undefined && hasNext) i++;
      continue;
    }
    if (isSwitch(found.flag)) {
      const off = found.negated !== (inline === 'false' || inline === 'False');
      result.options.push({ flag: found.flag.flag, value: !off, written: name });
      continue;
    }
    const values: string[] = inline === undefined ? [] : [inline];
    if (inline === undefined && hasNext) {
      values.push(args[++i]!);
      if (found.flag.type.startsWith('list'))
        while (args[i + 1] !== undefined && !args[i + 1]!.startsWith('-')) values.push(args[++i]!);
    }
    if (found.flag.flag === '--model') result.model = values[0];
    else
      result.options.push({ flag: found.flag.flag, value: values.length > 0 ? values.join(',') : true, written: name });
  }
}

function nameAndInline(word: string): { name: string; inline?: string } {
  const equals = word.indexOf('=');
  const raw = equals > 0 ? word.slice(0, equals) : word;
  const name = raw.startsWith('--') ? raw.replaceAll('_', '-') : raw;
  return equals > 0 ? { name, inline: word.slice(equals + 1) } : { name };
}

function isSwitch(flag: FlagInRelease): boolean {
  return flag.type === 'bool';
}

/** Exact name, an opposite form, or a dotted JSON path (--compilation-config.level). */
function lookUp(
  index: ReadonlyMap<string, FlagInRelease>,
  name: string,
): { flag: FlagInRelease; negated: boolean } | undefined {
  const exact = index.get(name);
  if (exact)
    return { flag: exact, negated: name !== exact.flag && /^--(no-|disable-)/.test(name) && exact.type === 'bool' };
  const positive = name.startsWith('--no-') ? index.get(`--${name.slice(5)}`) : undefined;
  if (positive?.type === 'bool') return { flag: positive, negated: true };
  const dotted = name.includes('.') ? index.get(name.slice(0, name.indexOf('.'))) : undefined;
  return dotted ? { flag: { ...dotted, flag: name }, negated: false } : undefined;
}

function noteForeign(name: string, flags: readonly FlagEntry[], result: ReadCommand): void {
  const elsewhere = findFlag(flags, name);
  if (!elsewhere) result.unknown.push(name);
  else {
    const { flag, since, until, use } = elsewhere;
    result.otherRelease.push({
      flag,
      ...(since ? { since } : {}),
      ...(until ? { until } : {}),
      ...(use ? { use } : {}),
    });
  }
}
