// The lists of `vram compare`: words separated by commas, "all", and globs over what ships, resolved to models, GPUs, engines, schemes and
// layouts. A word that means nothing is refused here, before anything is planned.
import { findMix } from '../accounting/gguf-mix/index.ts';
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { type EngineId, engineIdOf, resolveEngineRef, resolveLlamaRef } from '../load/engine.ts';
import { resolveGpus } from '../load/gpu.ts';
import { mixNamed } from '../load/mix-name.ts';
import { resolveModel } from '../load/model.ts';
import { modelKey, nearestNames, printable } from '../load/names.ts';
import { loadPresets } from '../load/presets.ts';
import { parseCount } from '../spec/count.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { NodeSpec } from '../spec/node.ts';
import { findScheme } from '../spec/quantization.ts';
import { unknownScheme } from './plan-checks.ts';

/** A device of the comparison: one GPU that stands for as many as a layout needs, or a box of so many. */
export interface GpuEntry {
  label: string;
  gpus: readonly GpuSpec[];
  /** The box has so many, whether a layout uses them or not. */
  count: number | null;
  nodes: readonly NodeSpec[];
}

export function words(text: string, option: string): string[] {
  const list = text.split(',').map((word) => word.trim());
  if (list.some((word) => word === ''))
    throw inputError('VRAM704', `${option} has an empty word in ${JSON.stringify(printable(text))}`, {
      hint: 'separate words with one comma each',
      path: option,
    });
  return list;
}

export function counts(text: string | undefined, option: string): number[] {
  return text === undefined
    ? [1]
    : distinct(words(text, option).map((word) => parseCount(word, option, { max: 65_536 })));
}

/** References of models: presets by "all" or a glob, everything else as `plan` takes it. */
export async function modelRefs(text: string, io: Io): Promise<string[]> {
  const option = '--model';
  const refs: string[] = [];
  for (const word of words(text, option)) {
    if (word === '-')
      throw inputError('VRAM705', 'a comparison cannot read a model from standard input', {
        hint: 'write it to a file and name that',
        path: option,
      });
    if (word.toLowerCase() === 'all') refs.push(...loadPresets('models').map(({ id }) => id));
    else if (isGlob(word)) refs.push(...matching(word, modelNames(), option));
    else {
      await resolveModel(word, { env: io.env });
      refs.push(word);
    }
  }
  return distinct(refs);
}

export async function gpuEntries(text: string, io: Io): Promise<GpuEntry[]> {
  const option = '--gpu';
  const entries: GpuEntry[] = [];
  const presets = (): readonly GpuSpec[] => loadPresets('gpus');
  const single = (gpu: GpuSpec): GpuEntry => ({ label: gpu.id, gpus: [gpu], count: null, nodes: [] });
  for (const word of words(text, option)) {
    if (word.toLowerCase() === 'all') entries.push(...presets().map(single));
    else if (isGlob(word)) {
      const ids = new Set(matching(word, gpuNames(presets()), option));
      entries.push(
        ...presets()
          .filter(({ id }) => ids.has(id))
          .map(single),
      );
    } else entries.push(await boxOf(word, io));
  }
  return [...new Map(entries.map((entry) => [entry.label, entry])).values()];
}

/** "rtx4090+rtx3090" is one box with both: the comma separates alternatives here. */
async function boxOf(word: string, io: Io): Promise<GpuEntry> {
  const { gpus, nodes = [] } = await resolveGpus(word.replaceAll('+', ','), { env: io.env });
  const one = gpus.length === 1 && nodes.length === 0;
  const label = one ? gpus[0]!.id : printable(word).replace(/\s+/g, '');
  return { label, gpus, count: one ? null : gpus.length, nodes };
}

export interface EngineEntry {
  id: Exclude<EngineId, 'ollama'>;
  /** As `plan` takes it. */
  ref: string;
  /** With the version that is meant. */
  label: string;
}

export function engineEntries(text: string | undefined): EngineEntry[] {
  return words(text ?? 'vllm', '--engine').map((ref) => {
    const id = engineIdOf(ref);
    if (id === 'ollama')
      throw inputError('VRAM718', 'Ollama is not compared: it decides context and placement by itself', {
        hint: 'compare llama.cpp, which it starts, and plan the one you take with vram plan --engine ollama',
        path: '--engine',
      });
    return { id, ref, label: `${id}@${versionOf(id, ref)}` };
  });
}

function versionOf(id: EngineEntry['id'], ref: string): string {
  switch (id) {
    case 'vllm':
      return resolveEngineRef(ref).version;
    case 'llama.cpp':
      return resolveLlamaRef(ref).version;
  }
}

/** Schemes by engine: AWQ means nothing to llama.cpp, Q4_K_M nothing to vLLM. Unknown to both is a mistake. */
export function schemesFor(text: string | undefined): {
  all: (string | undefined)[];
  of(engine: EngineId): (string | undefined)[];
} {
  if (text === undefined) return { all: [undefined], of: () => [undefined] };
  const presets = loadPresets('quantizations');
  const all = words(text, '-q').flatMap((word) =>
    isGlob(word) ? matching(word, new Map(presets.map(({ id }) => [id, [id]])), '-q') : [word],
  );
  const forVllm = (id: string): boolean => id === 'none' || (findScheme(presets, id) !== undefined && !isMixOnly(id));
  const forLlama = (id: string): boolean => isMix(id);
  const unknown = all.find((id) => !forVllm(id) && !forLlama(id));
  if (unknown !== undefined) throw unknownScheme(unknown, '--quantization');
  return { all: distinct(all), of: (engine) => distinct(all).filter(engine === 'vllm' ? forVllm : forLlama) };
}

function isMix(id: string): boolean {
  try {
    mixNamed(id);
    return true;
  } catch {
    return false;
  }
}

/** A mix of llama-quantize that is no checkpoint of vLLM. */
function isMixOnly(id: string): boolean {
  return findMix(id) !== undefined && findScheme(loadPresets('quantizations'), id)?.format === 'gguf';
}

function isGlob(word: string): boolean {
  return /[*?]/.test(word);
}

function matching(glob: string, names: ReadonlyMap<string, readonly string[]>, option: string): string[] {
  const pattern = modelKey(glob);
  const found = [...names].filter(([, all]) => all.some((name) => isLike(modelKey(name), pattern))).map(([id]) => id);
  if (found.length > 0) return found;
  const near = nearestNames(glob.replace(/[*?]/g, ''), names.keys()).join(', ');
  throw inputError('VRAM706', `nothing that ships matches ${JSON.stringify(printable(glob))}`, {
    ...(near ? { hint: `near: ${near}` } : {}),
    path: option,
  });
}

/** `*` is anything, `?` one letter. Goes back to the last star only, so that no pattern takes long. */
function isLike(name: string, pattern: string): boolean {
  let at = 0;
  let next = 0;
  let star = -1;
  let from = 0;
  while (at < name.length) {
    if (pattern[next] === '*') {
      star = next++;
      from = at;
    } else if (next < pattern.length && (pattern[next] === '?' || pattern[next] === name[at])) {
      next++;
      at++;
    } else if (star >= 0) {
      next = star + 1;
      at = ++from;
    } else return false;
  }
  return /^\**$/.test(pattern.slice(next));
}

function modelNames(): Map<string, readonly string[]> {
  return new Map(loadPresets('models').map(({ id, hfId }) => [id, hfId ? [id, hfId] : [id]]));
}

function gpuNames(gpus: readonly GpuSpec[]): Map<string, readonly string[]> {
  return new Map(gpus.map(({ id, aliases = [] }) => [id, [id, ...aliases]]));
}

function distinct<Value>(values: readonly Value[]): Value[] {
  return [...new Set(values)];
}
