// Reads the arguments of an existing deployment, `vllm serve ...` or the mapping of its config file, into flag-value pairs as
// that release's parser would see them (vllm/utils/argparse_utils.py FlexibleArgumentParser); what they mean is decided by the
// option table. Nothing is dropped silently: unknown flags and flags of other releases are returned as such.
import type { Json } from '../../spec/model.ts';
import { type FlagEntry, type FlagInRelease, findFlag, flagIndex } from './flags.ts';
import { launched, versionInCommand } from './launcher.ts';
import { inOurTerms } from './older-flags.ts';

export { splitCommand, versionInCommand } from './launcher.ts';

export interface ReadOption {
  /** As that release names it. */
  flag: string;
  /** Raw; true or false for switches. */
  value: string | boolean;
  /** As it stood on the line. */
  written: string;
}

export interface ReadCommand {
  model?: string;
  /** From the image tag (vllm/vllm-openai:v0.11.0). */
  version?: string;
  /** --gpus of docker run, CUDA_VISIBLE_DEVICES: how many devices. */
  gpuCount?: number;
  /** --config FILE on the line: its flags come before those of the line. */
  configFile?: string;
  env: Record<string, string>;
  options: ReadOption[];
  unknown: string[];
  /** Flags that another release has: name and what the table says. */
  otherRelease: { flag: string; since?: string; until?: string; use?: string }[];
}

export function readCommand(words: readonly string[], flags: readonly FlagEntry[], release: string): ReadCommand {
  const version = versionInCommand(words);
  const { args, env, gpuCount } = launched(words);
  return {
    ...readArguments(args, flags, release),
    ...(version ? { version } : {}),
    ...(gpuCount === undefined ? {} : { gpuCount }),
    env,
  };
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
    if (value === false) return [`--no-${key.replaceAll('_', '-')}`];
    if (value === null || (Array.isArray(value) && value.length === 0)) return [];
    if (Array.isArray(value)) return [flag, ...value.map(String)];
    return [flag, typeof value === 'object' ? JSON.stringify(value) : String(value)];
  });
  return readArguments(words, flags, release);
}

/** A line over its config file: what the line says wins. */
export function overConfig(line: ReadCommand, file: ReadCommand): ReadCommand {
  return {
    ...file,
    ...line,
    options: [...file.options, ...line.options],
    unknown: [...file.unknown, ...line.unknown],
    otherRelease: [...file.otherRelease, ...line.otherRelease],
  };
}

function readArguments(args: readonly string[], flags: readonly FlagEntry[], release: string): ReadCommand {
  const result: ReadCommand = { env: {}, options: [], unknown: [], otherRelease: [] };
  const index = flagIndex(flags, release);
  const words = args.flatMap((word, i) => optimizationLevel(word, args[i + 1], index));
  const nested = new Map<string, Record<string, Json>>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (!/^-[A-Za-z-]/.test(word)) {
      if (result.model === undefined) result.model = word;
      else result.unknown.push(word);
      continue;
    }
    const { name, inline } = nameAndInline(word);
    const found = lookUp(index, name);
    const next = words[i + 1];
    const hasNext = next !== undefined && !/^-[A-Za-z-]/.test(next);
    if (!found) {
      noteForeign(name, flags, result);
      if (inline === undefined && hasNext && (result.model !== undefined || i > 0)) i++;
      continue;
    }
    if (found.path) {
      const raw = inline ?? (hasNext ? words[++i]! : 'true');
      setNested(nested, found.flag.flag, found.path, raw);
      continue;
    }
    const values = inline === undefined ? [] : [inline];
    if (found.flag.type === 'bool') {
      if (inline === undefined && next !== undefined && /^(true|false)$/i.test(next)) values.push(words[++i]!);
      const stated = !/^(false|0)$/i.test(values[0] ?? '');
      result.options.push({ flag: found.flag.flag, value: stated !== found.negated, written: name });
      continue;
    }
    if (inline === undefined && hasNext) {
      values.push(words[++i]!);
      const list = found.flag.type.startsWith('list') || found.flag.type.startsWith('key=value');
      while (list && words[i + 1] !== undefined && !words[i + 1]!.startsWith('-')) values.push(words[++i]!);
    }
    if (found.flag.flag === '--model') result.model = values[0];
    else if (found.flag.flag === '--config') result.configFile = values[0];
    else
      result.options.push({ flag: found.flag.flag, value: values.length > 0 ? values.join(',') : true, written: name });
  }
  for (const [flag, value] of nested) mergeJson(result.options, flag, value);
  result.options = inOurTerms(result.options);
  return result;
}

/** -O3, -O=3, -O 3: the optimization level, part of --compilation-config before 0.12. */
function optimizationLevel(
  word: string,
  next: string | undefined,
  index: ReadonlyMap<string, FlagInRelease>,
): string[] {
  const level = /^-O=?(\w+)$/.exec(word)?.[1];
  if (level !== undefined)
    return index.has('--optimization-level') ? ['--optimization-level', level] : [`-O.level=${level}`];
  if (word === '-O' && next !== undefined)
    return [/^\d$/.test(next) ? (index.has('--optimization-level') ? '--optimization-level' : '-O.level') : '-O'];
  return [word];
}

/** Underscores count as dashes up to the first dot. */
function nameAndInline(word: string): { name: string; inline?: string } {
  const equals = word.indexOf('=');
  const raw = equals > 0 ? word.slice(0, equals) : word;
  const dot = raw.indexOf('.');
  const head = dot > 0 ? raw.slice(0, dot) : raw;
  const name = (head.startsWith('--') ? head.replaceAll('_', '-') : head) + raw.slice(head.length);
  return equals > 0 ? { name, inline: word.slice(equals + 1) } : { name };
}

interface Found {
  flag: FlagInRelease;
  negated: boolean;
  /** Keys below a JSON flag: --compilation-config.cudagraph_mode. */
  path?: string[];
}

/** Exact name, an opposite form, a dotted JSON path, or the beginning of exactly one flag. */
function lookUp(index: ReadonlyMap<string, FlagInRelease>, name: string): Found | undefined {
  const dot = name.indexOf('.');
  if (dot > 0) {
    const flag = lookUp(index, name.slice(0, dot))?.flag;
    return flag
      ? {
          flag,
          negated: false,
          path: name
            .slice(dot + 1)
            .replace(/\+$/, '')
            .split('.'),
        }
      : undefined;
  }
  const exact = index.get(name);
  if (exact) return { flag: exact, negated: exact.type === 'bool' && name !== exact.flag && opposes(name, exact.flag) };
  if (name === '-O') {
    const flag = index.get('--compilation-config');
    return flag ? { flag, negated: false } : undefined;
  }
  const positive = name.startsWith('--no-') ? index.get(`--${name.slice(5)}`) : undefined;
  if (positive?.type === 'bool') return { flag: positive, negated: true };
  if (!name.startsWith('--') || name.length < 6) return undefined;
  const begun = new Set([...index].filter(([long]) => long.startsWith(name)).map(([, flag]) => flag));
  return begun.size === 1 ? { flag: [...begun][0]!, negated: false } : undefined;
}

/** --no-x, --disable-x of --enable-x, --enable-x of --disable-x; a short name does not oppose. */
function opposes(name: string, flag: string): boolean {
  if (name.startsWith('--no-') || /^--disable-/.test(name)) return true;
  return name.startsWith('--enable-') && flag.startsWith('--disable-');
}

function setNested(
  nested: Map<string, Record<string, Json>>,
  flag: string,
  path: readonly string[],
  raw: string,
): void {
  let level = nested.get(flag) ?? {};
  nested.set(flag, level);
  for (const key of path.slice(0, -1)) {
    const below = level[key];
    const child = typeof below === 'object' && below !== null && !Array.isArray(below) ? below : {};
    Object.defineProperty(level, key, { value: child, enumerable: true, configurable: true, writable: true });
    level = child;
  }
  const value = { value: jsonOrText(raw), enumerable: true, configurable: true, writable: true };
  Object.defineProperty(level, path.at(-1)!, value);
}

function jsonOrText(raw: string): Json {
  try {
    return JSON.parse(raw) as Json;
  } catch {
    return raw;
  }
}

/** The parser adds dotted keys to the JSON of the same flag. */
function mergeJson(options: ReadOption[], flag: string, value: Record<string, Json>): void {
  const same = options.find((option) => option.flag === flag && typeof option.value === 'string');
  const before = same ? jsonOrText(String(same.value)) : {};
  const base = typeof before === 'object' && before !== null && !Array.isArray(before) ? before : {};
  const merged = JSON.stringify({ ...base, ...value });
  if (same) same.value = merged;
  else options.push({ flag, value: merged, written: flag });
}

function noteForeign(name: string, flags: readonly FlagEntry[], result: ReadCommand): void {
  const plain = name.replace(/\..*$/, '');
  const elsewhere = findFlag(flags, plain) ?? findFlag(flags, plain.replace(/^--no-/, '--'));
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
