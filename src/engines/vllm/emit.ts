// The flags to run a plan with: what the user fixed, what the plan relies on, each with its reason, spelled and valued as that
// release takes it. A flag that the release does not have is never emitted; it comes back as a diagnostic instead.
import type { Diagnostic } from '../../diagnostics.ts';
import type { FlagSuggestion } from '../../plan/types.ts';
import { type EngineOptionEntry, engineOptionTable, vllmName } from '../../spec/engine-options.ts';
import type { EngineOptions } from '../../spec/options.ts';
import { GiB } from '../../units.ts';
import { type FlagEntry, type FlagInRelease, findFlag, flagIndex } from './flags.ts';

export interface EmitRequest {
  /** Options as the user gave them. */
  given: Partial<EngineOptions>;
  /** Options that the plan relies on although the user did not give them, with the reason. */
  relied: readonly { key: keyof EngineOptions; value: unknown; because: string }[];
  /** vLLM's own name for the quantization method, null when the checkpoint says it itself. */
  quantizationFlag: string | null;
  flags: readonly FlagEntry[];
  release: string;
  /** The planned length, for releases that cannot be told "auto". */
  maxModelLen: number;
}

export interface Emitted {
  flags: FlagSuggestion[];
  diagnostics: Diagnostic[];
}

export function emitFlags(request: EmitRequest): Emitted {
  const index = flagIndex(request.flags, request.release);
  const given = inOtherWords(request.given, index);
  const emitted: Emitted = { flags: [], diagnostics: [] };
  for (const entry of engineOptionTable) {
    const own = given[entry.key];
    const relied = request.relied.find(({ key }) => key === entry.key);
    const value = entry.key === 'quantization' && own !== undefined ? request.quantizationFlag : (own ?? relied?.value);
    if (value === undefined || value === null || isDefaultSize(entry, value)) continue;
    const because = own === undefined ? relied!.because : 'as given';
    emitOne(entry, value, because, index, request, emitted);
  }
  return emitted;
}

/** Graph sizes go into --compilation-config where the release has no flag of their own. */
function inOtherWords(
  given: Partial<EngineOptions>,
  index: ReadonlyMap<string, FlagInRelease>,
): Partial<EngineOptions> {
  const { cudagraphCaptureSizes: sizes, compilationConfig } = given;
  if (!sizes || index.has('--cudagraph-capture-sizes') || !index.has('--compilation-config')) return given;
  return {
    ...given,
    cudagraphCaptureSizes: undefined,
    compilationConfig: { ...compilationConfig, cudagraph_capture_sizes: sizes },
  };
}

/** A parallel size of 1 and a switch that is off need no flag. */
function isDefaultSize(entry: EngineOptionEntry, value: unknown): boolean {
  return entry.group === 'Parallelism' && (value === 1 || value === false);
}

function emitOne(
  entry: EngineOptionEntry,
  value: unknown,
  because: string,
  index: ReadonlyMap<string, FlagInRelease>,
  request: EmitRequest,
  emitted: Emitted,
): void {
  const name = vllmName(entry);
  const flag = index.get(name);
  if (!flag) {
    emitted.diagnostics.push(missingFlag(name, request));
    return;
  }
  if (typeof value === 'boolean') {
    const spelled = value ? flag.flag : negated(flag);
    if (spelled) emitted.flags.push({ flag: spelled, value: null, because });
    else if (offIsNotDefault.has(entry.key)) emitted.diagnostics.push(notSpelled(name, 'false', flag, request));
    return;
  }
  const legal = legalValue(entry, value, flag, request);
  const { because: reason = because } = legal;
  if (flag.choices && !flag.choices.includes(legal.text)) {
    emitted.diagnostics.push(notSpelled(name, legal.text, flag, request));
    return;
  }
  emitted.flags.push({ flag: flag.flag, value: legal.text, because: reason, ...(legal.list ? { list: true } : {}) });
}

/** Switches that the engine decides itself when nothing is said: "off" has to be written. */
const offIsNotDefault = new Set<keyof EngineOptions>([
  'enablePrefixCaching',
  'enableChunkedPrefill',
  'asyncScheduling',
  'performanceMode',
]);

function notSpelled(name: string, text: string, flag: FlagInRelease, { release }: EmitRequest): Diagnostic {
  return {
    severity: 'warning',
    code: 'VRAM412',
    message: `${name} ${text} is not a value that vLLM ${release} takes; it is planned but not emitted`,
    ...(flag.choices ? { hint: `it takes ${flag.choices.join(', ')}` } : {}),
    path: name,
  };
}

function missingFlag(name: string, { flags, release }: EmitRequest): Diagnostic {
  const elsewhere = findFlag(flags, name);
  const when = elsewhere?.since ? ` (since ${elsewhere.since})` : elsewhere?.until ? ` (until ${elsewhere.until})` : '';
  return {
    severity: 'warning',
    code: 'VRAM411',
    message: `vLLM ${release} has no ${name}${when}; it is planned but not emitted`,
    ...(elsewhere?.use ? { hint: `instead: ${elsewhere.use}` } : {}),
    path: name,
  };
}

/** The opposite spelling of a switch, where the release has one. */
function negated(flag: FlagInRelease): string | undefined {
  return flag.aliases.find((alias) => /^--(no|disable)-/.test(alias));
}

interface LegalValue {
  text: string;
  list?: boolean;
  /** The reason, where the value is not what was given. */
  because?: string;
}

/** The value as the type of that release spells it. */
function legalValue(
  entry: EngineOptionEntry,
  value: unknown,
  { type }: FlagInRelease,
  request: EmitRequest,
): LegalValue {
  if (entry.key === 'cpuOffloadBytes') return { text: String(Number(((value as number) / GiB).toFixed(4))) };
  if (value === 'auto' && entry.key === 'maxModelLen' && !type.includes('auto')) {
    return { text: String(request.maxModelLen), because: 'the length that fits; this release does not search for it' };
  }
  if (Array.isArray(value)) return { text: value.join(' '), list: true };
  if (typeof value !== 'object' || value === null) return { text: String(value) };
  if (type.startsWith('key=value')) {
    const pairs = Object.entries(value).map(([key, count]) => `${key}=${String(count)}`);
    return { text: pairs.join(',') };
  }
  return { text: asciiJson(value) };
}

/** JSON whose texts hold nothing that a terminal would act on: everything outside printable ASCII as \u escapes. */
function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
