// The llama-server line of a planned run: every option spelled and valued as that build takes it (presets/engines/llamacpp-flags.yaml).
// What a build cannot be told is not emitted and comes back as a diagnostic; what it does anyway needs no flag.
import type { Diagnostic } from '../../diagnostics.ts';
import type { FlagSuggestion } from '../../plan/types.ts';
import { shellQuote } from '../../shell.ts';
import { llamaOptionTable } from '../../spec/llama-options.ts';
import { type BuildNumber, newestBuild } from './builds.ts';
import {
  findLlamaFlag,
  type LlamaFlag,
  type LlamaFlagIndex,
  type LlamaFlagTable,
  type LlamaProgram,
  llamaFlagIndex,
} from './flags.ts';
import type { LlamaOptions } from './types.ts';

export interface LlamaEmitRequest {
  /** What the run is told; undefined keys are left to the build. */
  options: LlamaOptions;
  /** Why, per option; an option without a reason was given by the user. */
  because?: Partial<Record<keyof LlamaOptions, string>>;
  table: LlamaFlagTable;
  build: BuildNumber;
  /** As printed in messages, e.g. b6673. */
  buildName?: string;
}

export interface LlamaEmitted {
  flags: FlagSuggestion[];
  diagnostics: Diagnostic[];
}

/** One way to say an option: a flag of the table with its value; value null is a switch. */
interface Spelled {
  flag: string;
  value: string | null;
  /** The off spelling of the flag. */
  negated?: boolean;
}

/** Options in the order of the option table, each as this build takes it. */
export function emitLlamaFlags(request: LlamaEmitRequest): LlamaEmitted {
  const { options, because = {}, table, build } = request;
  const index = llamaFlagIndex(table, build, options.program ?? 'llama-server');
  const emitted: LlamaEmitted = { flags: [], diagnostics: [] };
  for (const key of new Set(llamaOptionTable.map((entry) => entry.key))) {
    if (options[key] === undefined || key === 'program') continue;
    const spelled = spell(key, options, index);
    if (spelled === 'default') continue;
    if ('problem' in spelled) emitted.diagnostics.push(refused(spelled, key, request));
    else emitted.flags.push({ flag: spelled.flag, value: spelled.value, because: because[key] ?? 'as given' });
  }
  return emitted;
}

/** The whole line; every word is quoted for a POSIX shell, and control characters never reach it. */
export function llamaCommand(input: {
  program?: LlamaProgram;
  /** Path or name of the file; `hf` reads it as a repository. */
  model: string;
  hf?: boolean;
  flags: readonly FlagSuggestion[];
  env?: Readonly<Record<string, string>>;
}): string {
  const { program = 'llama-server', model, hf = false, flags, env = {} } = input;
  const words = [
    ...Object.entries(env).map(([name, value]) => `${name}=${shellQuote(printable(value))}`),
    program,
    hf ? '--hf-repo' : '--model',
    shellQuote(printable(model)),
    ...flags.flatMap(({ flag, value }) => [flag, ...(value === null ? [] : [shellQuote(printable(value))])]),
  ];
  return words.join(' ');
}

/** Control characters, which a terminal or a shell would act on, become a visible mark. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd');
}

interface Unsaid {
  problem: string;
  flag: string;
  hint?: string;
}

type Spelling = Spelled | Unsaid | 'default';

function spell(key: keyof LlamaOptions, options: LlamaOptions, index: LlamaFlagIndex): Spelling {
  switch (key) {
    case 'ctxSize':
      return valued(index, '--ctx-size', options.ctxSize);
    case 'parallel':
      return valued(index, '--parallel', options.parallel);
    case 'batch':
      return valued(index, '--batch-size', options.batch);
    case 'ubatch':
      return valued(index, '--ubatch-size', options.ubatch);
    case 'mainGpu':
      return valued(index, '--main-gpu', options.mainGpu);
    case 'cacheTypeK':
      return valued(index, '--cache-type-k', options.cacheTypeK);
    case 'cacheTypeV':
      return valued(index, '--cache-type-v', options.cacheTypeV);
    case 'splitMode':
      return valued(index, '--split-mode', options.splitMode);
    case 'tensorSplit':
      return valued(index, '--tensor-split', options.tensorSplit?.join(','));
    case 'fitTargetMiB':
      return valued(index, '--fit-target', options.fitTargetMiB?.join(','));
    case 'fitCtx':
      return valued(index, '--fit-ctx', options.fitCtx);
    case 'overrideTensor':
      return spellOverrides(index, options.overrideTensor ?? []);
    case 'flashAttn':
      return spellFlashAttention(index, options.flashAttn!);
    case 'gpuLayers':
      return spellGpuLayers(index, '--n-gpu-layers', options.gpuLayers!);
    case 'noMmap':
      return spellMmap(index, options.noMmap!);
    case 'cpuMoe':
    case 'cpuMoeLayers':
      return spellExperts(index, key, options);
    // A build without the flag shares one cache between its slots, keeps sliding layers whole and fits nothing.
    case 'kvUnified':
      return switched(index, '--kv-unified', options.kvUnified!, { without: true });
    case 'swaFull':
      return switched(index, '--swa-full', options.swaFull!, { without: true });
    case 'fit':
      return index.has('--fit')
        ? valued(index, '--fit', options.fit ? 'on' : 'off')
        : switched(index, '--fit', options.fit!, { without: false });
    case 'noKvOffload':
      return switched(index, '--kv-offload', !options.noKvOffload, { without: true });
    case 'noOpOffload':
      return switched(index, '--op-offload', !options.noOpOffload, { without: true });
    case 'embedding':
      return switched(index, '--embedding', options.embedding!, { without: false });
    case 'mmproj':
      return valued(index, '--mmproj', options.mmproj);
    case 'noMmproj':
      return switched(index, '--mmproj-auto', !options.noMmproj, { without: false });
    case 'noMmprojOffload':
      return switched(index, '--mmproj-offload', !options.noMmprojOffload, { without: true });
    case 'modelDraft':
      return valued(index, '--model-draft', options.modelDraft);
    case 'gpuLayersDraft':
      return spellGpuLayers(index, '--gpu-layers-draft', options.gpuLayersDraft!);
    case 'cacheTypeKDraft':
      return valued(index, '--cache-type-k-draft', options.cacheTypeKDraft);
    case 'cacheTypeVDraft':
      return valued(index, '--cache-type-v-draft', options.cacheTypeVDraft);
    case 'ctxSizeDraft':
      return valued(index, '--ctx-size-draft', options.ctxSizeDraft);
    case 'draftMax':
      return valued(index, spelled(index, '--draft') ? '--draft' : '--spec-draft-n-max', options.draftMax);
    case 'specType':
      return valued(index, '--spec-type', options.specType?.join(','));
    case 'draftQuantization':
    case 'program':
      return 'default';
  }
}

function valued(index: LlamaFlagIndex, flag: string, value: string | number | undefined): Spelling {
  const known = spelled(index, flag);
  if (!known) return { problem: 'has no', flag };
  const text = String(value);
  if (known.choices && !known.choices.includes(text)) {
    return { problem: `does not take ${text} for`, flag, hint: `it takes ${known.choices.join(', ')}` };
  }
  return { flag, value: text };
}

/** A switch that is to be on or off. `without`: what a build does that has no such flag. */
function switched(index: LlamaFlagIndex, flag: string, on: boolean, { without }: { without: boolean }): Spelling {
  const known = spelled(index, flag);
  if (!known) return on === without ? 'default' : { problem: 'has no', flag };
  const long = (names: readonly string[] | undefined): string | undefined =>
    names?.find((name) => name.startsWith('--'));
  const name = on ? long(known.names) : long(known.negated);
  if (name) return { flag: on && known.names?.includes(flag) ? flag : name, value: null };
  const isDefault = known.default === (on ? 'on' : 'off');
  return isDefault ? 'default' : { problem: `cannot switch ${on ? 'on' : 'off'}`, flag };
}

/** A switch before it took on, off and auto. */
function spellFlashAttention(index: LlamaFlagIndex, mode: 'on' | 'off' | 'auto'): Spelling {
  if (spelled(index, '--flash-attn')?.value) return valued(index, '--flash-attn', mode);
  if (mode === 'auto')
    return { problem: 'cannot choose by itself about', flag: '--flash-attn', hint: 'it is off here' };
  return switched(index, '--flash-attn', mode === 'on', { without: false });
}

/** A number only before it took auto and all; more than the model has is all. */
function spellGpuLayers(index: LlamaFlagIndex, flag: string, layers: number | 'auto' | 'all'): Spelling {
  const words = spelled(index, flag)?.value === 'text';
  if (words || typeof layers === 'number') return valued(index, flag, layers);
  return layers === 'all' ? valued(index, flag, 999) : 'default';
}

/** --load-mode replaced --mmap and --no-mmap. */
function spellMmap(index: LlamaFlagIndex, noMmap: boolean): Spelling {
  if (index.has('--load-mode')) return valued(index, '--load-mode', noMmap ? 'none' : 'mmap');
  return switched(index, '--mmap', !noMmap, { without: true });
}

const expertTensors = '\\.ffn_(up|down|gate|gate_up)_(ch|)exps';

/** Builds before the two flags say the same with a pattern (common/common.h LLM_FFN_EXPS_REGEX). */
function spellExperts(index: LlamaFlagIndex, key: 'cpuMoe' | 'cpuMoeLayers', options: LlamaOptions): Spelling {
  const flag = key === 'cpuMoe' ? '--cpu-moe' : '--n-cpu-moe';
  if (key === 'cpuMoe' ? !options.cpuMoe : options.cpuMoeLayers === 0) return 'default';
  if (index.has(flag)) {
    return key === 'cpuMoe' ? { flag, value: null } : valued(index, flag, options.cpuMoeLayers);
  }
  if (!index.has('--override-tensor')) return { problem: 'has no', flag };
  const blocks = Array.from({ length: options.cpuMoeLayers ?? 0 }, (_, layer) => `blk\\.${layer}${expertTensors}=CPU`);
  return { flag: '--override-tensor', value: key === 'cpuMoe' ? `${expertTensors}=CPU` : blocks.join(',') };
}

/** One list: later builds warn of a repeated flag. A comma always ends an entry, so that no pattern may contain one. */
function spellOverrides(index: LlamaFlagIndex, overrides: NonNullable<LlamaOptions['overrideTensor']>): Spelling {
  const bad = overrides.find(({ pattern, place }) => /,/.test(pattern + place) || pattern.includes('='));
  if (bad) return { problem: `cannot read the pattern ${JSON.stringify(bad.pattern)} of`, flag: '--override-tensor' };
  if (overrides.length === 0) return 'default';
  return valued(index, '--override-tensor', overrides.map(({ pattern, place }) => `${pattern}=${place}`).join(','));
}

function spelled(index: LlamaFlagIndex, flag: string): LlamaFlag | undefined {
  const direct = index.get(flag);
  if (direct) return direct.flag;
  for (const spelling of index.values()) if (spelling.flag.flag === flag) return spelling.flag;
  return undefined;
}

function refused(
  { problem, flag, hint }: Unsaid,
  key: string,
  { table, buildName = newestBuild }: LlamaEmitRequest,
): Diagnostic {
  const elsewhere = problem === 'has no' ? findLlamaFlag(table, flag) : undefined;
  const since = elsewhere?.states[0]?.from;
  const when = elsewhere?.until ? ` (until ${elsewhere.until})` : since ? ` (${since} has it)` : '';
  const advice = hint ?? (elsewhere?.use ? `instead: ${elsewhere.use}` : undefined);
  return {
    severity: 'warning',
    code: problem === 'has no' ? 'VRAM411' : 'VRAM412',
    message: `llama.cpp ${buildName} ${problem} ${flag}${when}; ${key} is planned but not emitted`,
    ...(advice ? { hint: advice } : {}),
    path: flag,
  };
}
