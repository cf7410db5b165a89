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
}

export interface Emitted {
  flags: FlagSuggestion[];
  diagnostics: Diagnostic[];
}

export function emitFlags(request: EmitRequest): Emitted {
  const index = flagIndex(request.flags, request.release);
  const emitted: Emitted = { flags: [], diagnostics: [] };
  for (const entry of engineOptionTable) {
    const given = request.given[entry.key];
    const relied = request.relied.find(({ key }) => key === entry.key);
    const value =
      entry.key === 'quantization' && given !== undefined ? request.quantizationFlag : (given ?? relied?.value);
    if (value === undefined || value === null || isDefaultSize(entry, value)) continue;
    const because = given === undefined ? relied!.because : 'as given';
    emitOne(entry, value, because, index, request, emitted);
  }
  return emitted;
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
    return;
  }
  const text = valueText(entry, value);
  if (flag.choices && flag.type.startsWith('str') && !flag.choices.includes(text)) {
    emitted.diagnostics.push({
      severity: 'warning',
      code: 'VRAM412',
      message: `${name} ${text} is not a value that vLLM ${request.release} takes; it is planned but not emitted`,
      hint: `it takes ${flag.choices.join(', ')}`,
      path: name,
    });
    return;
  }
  emitted.flags.push({ flag: flag.flag, value: text, because });
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

function valueText(entry: EngineOptionEntry, value: unknown): string {
  if (entry.key === 'cpuOffloadBytes') return String(Number(((value as number) / GiB).toFixed(4)));
  if (Array.isArray(value)) return value.join(',');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
