// Reads the compiled presets (dist/presets, made by scripts/build-presets.ts). Per kind there is one JSON array, one entry a
// line, and a small index of names and byte offsets beside it: a plan reads the index and one line, a sweep the whole array.
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { assert } from '../assert.ts';
import type { LlamaFlagTable } from '../engines/llamacpp/flags.ts';
import type { OllamaBook } from '../engines/llamacpp/ollama/rules.ts';
import { type LlamaRuleBook, type LlamaRules, resolveLlamaRules } from '../engines/llamacpp/rules.ts';
import type { FlagEntry } from '../engines/vllm/flags.ts';
import type { Profile, RuleBook } from '../engines/vllm/profile.ts';
import type { RegistryEntry } from '../engines/vllm/registry.ts';
import type { QualityBook } from '../plan/quality/book.ts';
import type { KvCacheScheme } from '../plan/quantize/kv-schemes.ts';
import type { HardwareLaws } from '../plan/quantize/support.ts';
import type { WorkloadPreset } from '../sim/workload/preset.ts';
import type { DeploymentPreset } from '../spec/deployment.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { Json, ModelSpec } from '../spec/model.ts';
import type { NodeSpec } from '../spec/node.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';
import type { ScenarioPreset } from '../spec/scenario.ts';
import type { LoadingPolicy, SharingPolicy } from '../spec/sharing.ts';
import { gpuKey, modelKey } from './names.ts';

/** A checkpoint that is a preset with a quantization scheme or a few other settings. */
export interface ModelVariant {
  /** Hugging Face id. */
  id: string;
  /** Preset it is built on. */
  base: string;
  /** Scheme id of its weights; absent: as the base. */
  scheme?: string;
  /** Settings that differ from the base's. */
  config?: Record<string, Json>;
  note?: string;
}

/** Naming habits of publishers: a pattern over ids and the scheme that such a name means. */
export interface VariantRules {
  organisations: readonly string[];
  /** Regular expression over the lower-case name without organisation; what matches is cut off to find the base. */
  suffix: string;
  scheme: string;
  note?: string;
}

export interface VariantBook {
  variants: readonly ModelVariant[];
  rules: readonly VariantRules[];
}

export interface PresetEntries {
  models: ModelSpec;
  gpus: GpuSpec;
  nodes: NodeSpec;
}
export type PresetKind = keyof PresetEntries;

interface PresetFiles {
  models: ModelSpec[];
  gpus: GpuSpec[];
  nodes: NodeSpec[];
  quantizations: QuantizationScheme[];
  'vllm-rules': RuleBook;
  'llamacpp-rules': LlamaRuleBook;
  'llamacpp-flags': LlamaFlagTable;
  ollama: OllamaBook;
  'vllm-flags': { flags: FlagEntry[] };
  'vllm-flags-planned': { flags: FlagEntry[] };
  'vllm-architectures': { architectures: RegistryEntry[] };
  'model-variants': VariantBook;
  quality: QualityBook;
  'hardware-formats': { laws: HardwareLaws };
  'kv-cache-schemes': { schemes: KvCacheScheme[] };
  workloads: WorkloadPreset[];
  deployments: DeploymentPreset[];
  scenarios: ScenarioPreset[];
  sharing: SharingPolicy[];
  loading: LoadingPolicy[];
}

/** What scripts/build-presets.ts writes: key of a name -> positions of the entries in `entries`. */
export interface PresetIndex {
  /** [id, byte offset, byte length] per entry, in file order. */
  entries: [id: string, offset: number, length: number][];
  names: Record<string, number | number[]>;
}

const cache = new Map<string, unknown>();
let found: URL | undefined;

/** Every entry of a kind: for sweeps and listings. */
export function loadPresets<Kind extends keyof PresetFiles>(kind: Kind): PresetFiles[Kind] {
  return readJson(`${kind}.json`) as PresetFiles[Kind];
}

/** The rules of vLLM as they stood in a release that was read. */
export function loadProfile(release: string): Profile {
  return readJson(`vllm-${release}.json`) as Profile;
}

/** The rules of llama.cpp as they stood in a build, by its place in time (engines/llamacpp/builds.ts). */
export function loadLlamaRules(build: number): LlamaRules {
  return resolveLlamaRules(loadPresets('llamacpp-rules'), build);
}

/** The entries that carry this name (id, alias, printed name, Hugging Face id, in any case): usually one, none, or a few. */
export function findPresets<Kind extends PresetKind>(kind: Kind, name: string): PresetEntries[Kind][] {
  const { names } = presetIndex(kind);
  const key = kind === 'models' ? modelKey(name) : gpuKey(name);
  const hit = Object.hasOwn(names, key) ? names[key] : undefined;
  if (hit === undefined) return [];
  return (typeof hit === 'number' ? [hit] : hit).map((at) => readEntry(kind, at));
}

export function findPreset<Kind extends PresetKind>(kind: Kind, name: string): PresetEntries[Kind] | undefined {
  return findPresets(kind, name)[0];
}

/** One entry by its id. */
export function loadPreset<Kind extends PresetKind>(kind: Kind, id: string): PresetEntries[Kind] {
  const at = presetIndex(kind).entries.findIndex((entry) => entry[0] === id);
  assert(at >= 0, `no ${kind} preset ${id}`);
  return readEntry(kind, at);
}

export function presetIds(kind: PresetKind): string[] {
  return presetIndex(kind).entries.map((entry) => entry[0]);
}

/** What the presets of one model_type have in common. */
export interface ModelTypeFacts {
  /** The class that most of them have, for a config.json that names none. */
  architecture: string;
  /** Sizes that all of them state. */
  required: string[];
}

export function modelTypeFacts(modelType: string): ModelTypeFacts | undefined {
  const table = readJson('model-types.json') as Record<string, ModelTypeFacts>;
  return Object.hasOwn(table, modelType) ? table[modelType] : undefined;
}

function presetIndex(kind: PresetKind): PresetIndex {
  return readJson(`${kind}.index.json`) as PresetIndex;
}

function readEntry<Kind extends PresetKind>(kind: Kind, at: number): PresetEntries[Kind] {
  const whole = cache.get(`${kind}.json`) as PresetEntries[Kind][] | undefined;
  if (whole) return whole[at]!;
  const key = `${kind}#${at}`;
  let entry = cache.get(key);
  if (entry === undefined) {
    const [, offset, length] = presetIndex(kind).entries[at]!;
    entry = JSON.parse(readSlice(new URL(`${kind}.json`, directory()), offset, length));
    cache.set(key, entry);
  }
  return entry as PresetEntries[Kind];
}

function readSlice(file: URL, offset: number, length: number): string {
  const handle = openSync(file, 'r');
  try {
    const buffer = Buffer.allocUnsafe(length);
    const read = readSync(handle, buffer, 0, length, offset);
    assert(read === length, `the compiled presets are incomplete: ${file.pathname}`);
    return buffer.toString('utf8');
  } finally {
    closeSync(handle);
  }
}

function readJson(name: string): unknown {
  let value = cache.get(name);
  if (value === undefined) {
    value = JSON.parse(readFileSync(new URL(name, directory()), 'utf8'));
    cache.set(name, value);
  }
  return value;
}

/** dist/presets as seen from a bundle in dist/, from a folder below it, or from src/load. */
function directory(): URL {
  found ??= ['./presets/', '../presets/', '../../dist/presets/']
    .map((path) => new URL(path, import.meta.url))
    .find((url) => existsSync(new URL('gpus.index.json', url)));
  assert(found !== undefined, 'the compiled presets are missing: run npm run presets');
  return found;
}
