// Compiles presets/**/*.yaml to dist/presets/*.json after validation: parsing hundreds of YAML files at start-up would cost
// more than the rest of the program. Models and GPUs get an index of names and byte offsets, so that a plan parses one line.
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ZodType } from 'zod';
import type { Diagnostic } from '../src/diagnostics.ts';
import { buildNumber } from '../src/engines/llamacpp/builds.ts';
import type { FlagEntry } from '../src/engines/vllm/flags.ts';
import {
  compareVersions,
  parseVersion,
  type RuleBook,
  type RuleHistory,
  resolveProfile,
} from '../src/engines/vllm/profile.ts';
import { readReleases } from '../src/engines/vllm/releases.ts';
import { gpuKey, looseKey, modelKey } from '../src/load/names.ts';
import type { ModelTypeFacts, PresetIndex, VariantBook } from '../src/load/presets.ts';
import { parseYaml } from '../src/load/yaml.ts';
import { scenarioRules } from '../src/plan/compare/scenario-rules.ts';
import { deploymentWords } from '../src/plan/deployment/words.ts';
import type { QualityBook, QualityTable } from '../src/plan/quality/book.ts';
import type { WorkloadPreset } from '../src/sim/workload/preset.ts';
import { workloadPresetSchema } from '../src/sim/workload/preset-schema.ts';
import { configKeys } from '../src/spec/config-keys.ts';
import type { DeploymentPreset } from '../src/spec/deployment.ts';
import { engineOptionTable, vllmName } from '../src/spec/engine-options.ts';
import type { GpuSpec } from '../src/spec/gpu.ts';
import { loadingSchema } from '../src/spec/loading-schema.ts';
import type { ModelSpec } from '../src/spec/model.ts';
import type { NodeSpec } from '../src/spec/node.ts';
import { expandModel } from '../src/spec/runs.ts';
import type { ScenarioPreset } from '../src/spec/scenario.ts';
import {
  deploymentPresetSchema,
  gpuSchema,
  modelSchema,
  nodeSchema,
  scenarioSchema,
  variantBookSchema,
} from '../src/spec/schema.ts';
import { type LoadingPolicy, type SharingPolicy, sharingKinds } from '../src/spec/sharing.ts';
import { sharingSchema } from '../src/spec/sharing-schema.ts';

const root = new URL('..', import.meta.url).pathname;
const out = join(root, 'dist/presets');
const problems: Diagnostic[] = [];
const variantFile = 'presets/model-variants.yaml';

mkdirSync(out, { recursive: true });
buildModels();
buildNodes(buildGpus());
writeJson('quantizations.json', yamlFiles('presets/quantizations').flatMap(schemesIn));
const book = rules('presets/engines/vllm', releasesAscend);
writeJson('vllm-rules.json', book);
// A plan reads the rules as they stood in one release.
for (const release of readReleases) writeJson(`vllm-${release}.json`, resolveProfile(book, release));
writeJson('llamacpp-rules.json', rules('presets/engines/llamacpp', buildsAscend));
for (const table of ['vllm-flags', 'vllm-architectures', 'llamacpp-flags', 'ollama']) {
  writeJson(`${table}.json`, load(`presets/engines/${table}.yaml`));
}
// A plan spells only the flags of its own options; reading an existing command takes them all.
const planned = new Set([...engineOptionTable.map(vllmName), '--compilation-config']);
const { flags } = load<{ flags: FlagEntry[] }>('presets/engines/vllm-flags.yaml')!;
writeJson('vllm-flags-planned.json', { flags: flags.filter(({ flag }) => planned.has(flag)) });
writeJson('quality.json', qualityBook());
for (const table of ['hardware-formats', 'kv-cache-schemes']) writeJson(`${table}.json`, load(`presets/${table}.yaml`));
writeJson(
  'workloads.json',
  yamlFiles('presets/workloads').flatMap((path) => checked<WorkloadPreset>(path, workloadPresetSchema) ?? []),
);
writeJson('deployments.json', deployments());
writeJson('scenarios.json', scenarios());
writeJson('sharing.json', sharing());
writeJson(
  'loading.json',
  yamlFiles('presets/loading').flatMap((path) => checked<LoadingPolicy>(path, loadingSchema) ?? []),
);
if (problems.length > 0) {
  for (const { path, message, hint } of problems) {
    console.error(`${path}: ${message}${hint ? ` (${hint})` : ''}`);
  }
  process.exitCode = 1;
}

function buildModels(): void {
  const models = yamlFiles('presets/models').flatMap((path) => {
    const value = checked<ModelSpec>(path, modelSchema);
    return value ? [expandModel(value)] : [];
  });
  const names: Names = {};
  models.forEach((model, at) => {
    for (const name of [model.id, model.hfId, ...(model.aliases ?? []), ...(model.shortNames ?? [])])
      if (name) addName(names, modelKey(name), at, model.id);
  });
  // A repository name without its organisation is a name too, unless something else is called that.
  models.forEach((model, at) => {
    for (const name of [model.hfId, ...(model.aliases ?? [])]) {
      if (!name?.includes('/')) continue;
      const short = modelKey(name.slice(name.indexOf('/') + 1));
      names[short] ??= at;
      names[short.replace(/^meta-/, '')] ??= at;
    }
  });
  writeIndexed('models', models, names);
  writeJson('model-types.json', modelTypes(models));
  const book = checked<VariantBook>(variantFile, variantBookSchema);
  if (!book) return;
  checkVariants(book, models, names);
  writeJson('model-variants.json', book);
}

/** A file holds one scheme, or a list of them. */
function schemesIn(path: string): { id: string }[] {
  const value = load<{ id: string } | { id: string }[]>(path);
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

/** measures.yaml and the tables of all files beside it; names that it does not explain are mistakes. */
function qualityBook(): QualityBook {
  const folder = 'presets/quality';
  const measures = load<Omit<QualityBook, 'tables'> & { compared: Record<string, string> }>(`${folder}/measures.yaml`)!;
  const files = yamlFiles(folder).filter((path) => !path.endsWith('/measures.yaml'));
  const weights = new Set([
    ...yamlFiles('presets/quantizations')
      .flatMap(schemesIn)
      .map(({ id }) => id),
    ...Object.keys(measures.compared),
  ]);
  const caches = load<{ schemes: { id: string }[] }>('presets/kv-cache-schemes.yaml')!.schemes.map(({ id }) => id);
  const tables: QualityTable[] = [];
  for (const path of files) {
    for (const { tables: own, ...origin } of load<QualityFile>(path)?.sources ?? []) {
      for (const table of own) {
        tables.push({ ...origin, ...table });
        if (!measures.metrics[table.metric]) problem(path, `no metric ${table.metric}`);
        if (!measures.models[table.model]) problem(path, `no model ${table.model}`);
        for (const scheme of Object.keys(table.values))
          if (!(table.of === 'kv-cache' ? caches.includes(scheme) : weights.has(scheme)))
            problem(path, `no scheme ${scheme}`);
      }
    }
  }
  const { metrics, models, lineages } = measures;
  return { metrics, models, lineages, tables };
}

interface QualityFile {
  sources: { source: string; note?: string; tables: QualityTable[] }[];
}

/** Options must be known to the engine, what is corrected must exist. */
function deployments(): DeploymentPreset[] {
  const all = yamlFiles('presets/deployments').flatMap(
    (path) => checked<DeploymentPreset>(path, deploymentPresetSchema) ?? [],
  );
  for (const preset of all) {
    const { id, corrects } = preset;
    if (corrects !== undefined && !all.some((other) => other.id === corrects))
      problem(id, `corrects: no deployment ${corrects}`);
    try {
      deploymentWords(preset, 'plan');
    } catch (error) {
      problem(id, (error as Error).message);
    }
  }
  return all;
}

/** Expressions must be readable, and no name belong to two scenarios. */
function scenarios(): ScenarioPreset[] {
  const all = yamlFiles('presets/scenarios').flatMap((path) => checked<ScenarioPreset>(path, scenarioSchema) ?? []);
  const names = new Map<string, string>();
  for (const preset of all) {
    try {
      scenarioRules(preset, preset.load);
    } catch (error) {
      problem(preset.id, (error as Error).message);
    }
    for (const word of [preset.id, preset.name, ...(preset.aliases ?? [])]) {
      const other = names.get(looseKey(word)) ?? preset.id;
      if (other !== preset.id) problem(preset.id, `the name ${word} belongs to ${other} too`);
      names.set(looseKey(word), preset.id);
    }
  }
  return all;
}

/** What engines do first, then what moves memory, the bound last. */
function sharing(): SharingPolicy[] {
  const all = yamlFiles('presets/sharing').flatMap((path) => {
    const policy = checked<SharingPolicy>(path, sharingSchema);
    if (policy && !path.endsWith(`/${policy.id}.yaml`)) problem(path, `its id is ${policy.id}`);
    return policy ?? [];
  });
  const place = ({ kind }: SharingPolicy) => sharingKinds.indexOf(kind);
  return all.sort((a, b) => place(a) - place(b) || (a.id < b.id ? -1 : 1));
}

/** Bases and schemes must exist, settings must be known keys, ids must not be a preset's. */
function checkVariants(book: VariantBook, models: readonly ModelSpec[], names: Names): void {
  const ids = new Set(models.map((model) => model.id));
  const known = new Set([...configKeys, 'rope', 'vision', 'audio']);
  const schemes = new Set(
    yamlFiles('presets/quantizations')
      .flatMap(schemesIn)
      .map(({ id }) => id),
  );
  for (const { id, base, config } of book.variants) {
    if (!ids.has(base)) problem(variantFile, `${id}: no model preset ${base}`);
    if (names[modelKey(id)] !== undefined) problem(variantFile, `${id} is also a preset's name`);
    for (const key of Object.keys(config ?? {})) if (!known.has(key)) problem(variantFile, `${id}: unknown key ${key}`);
  }
  for (const { scheme = 'none' } of [...book.variants, ...book.rules]) {
    if (!schemes.has(scheme)) problem(variantFile, `no quantization ${scheme}`);
  }
}

/** The GPUs and every name of theirs. */
function buildGpus(): { gpus: readonly GpuSpec[]; names: Names } {
  const gpus = yamlFiles('presets/gpus').flatMap((path) => checked<GpuSpec>(path, gpuSchema) ?? []);
  const names: Names = {};
  gpus.forEach((gpu, at) => {
    for (const name of [gpu.id, ...(gpu.aliases ?? [])]) addName(names, gpuKey(name), at, gpu.id);
  });
  // Several cards can print one name (RTX 3080 with 10 and 12 GB): all are kept, after the one whose id or alias it is the
  // smallest first.
  const bySize = gpus.map((gpu, at) => ({ gpu, at })).sort((a, b) => a.gpu.cudaTotalBytes - b.gpu.cudaTotalBytes);
  for (const { gpu, at } of bySize) {
    for (const name of [gpu.name, ...(gpu.printedNames ?? [])]) addSharedName(names, gpuKey(name), at);
    if (gpu.sliceOf !== undefined && !gpus.some((other) => other.id === gpu.sliceOf)) {
      problem(gpu.id, `sliceOf: no GPU preset ${gpu.sliceOf}`);
    }
  }
  writeIndexed('gpus', gpus, names);
  return { gpus, names };
}

/** A node stands where a GPU does on the command line, so their names must differ. */
function buildNodes({ gpus, names: gpuNames }: ReturnType<typeof buildGpus>): void {
  const nodes = yamlFiles('presets/nodes').flatMap((path) => checked<NodeSpec>(path, nodeSchema) ?? []);
  const names: Names = {};
  nodes.forEach((node, at) => {
    if (!gpus.some(({ id }) => id === node.gpu)) problem(node.id, `no GPU preset ${node.gpu}`);
    for (const name of [node.id, ...(node.aliases ?? [])]) {
      if (gpuNames[gpuKey(name)] !== undefined) problem(node.id, `${name} is also a GPU's name`);
      addName(names, gpuKey(name), at, node.id);
    }
  });
  writeIndexed('nodes', nodes, names);
}

/** Per model_type the class that most presets have, and the sizes that all of them state. */
function modelTypes(models: readonly ModelSpec[]): Record<string, ModelTypeFacts> {
  const table: Record<string, ModelTypeFacts> = {};
  for (const { modelType } of models) {
    if (table[modelType]) continue;
    const same = models.filter((model) => model.modelType === modelType);
    const count = (architecture: string) => same.filter((model) => model.architecture === architecture).length;
    const [architecture] = same.map((model) => model.architecture).sort((a, b) => count(b) - count(a));
    const required = ['layers', 'heads', 'intermediateSize'].filter((key) => same.every(({ config }) => key in config));
    table[modelType] = { architecture: architecture!, required };
  }
  return table;
}

type Names = PresetIndex['names'];

/** A name that belongs to one entry. */
function addName(names: Names, key: string, at: number, owner: string): void {
  const held = names[key];
  if (held !== undefined && held !== at) problem(owner, `the name ${key} belongs to two entries`);
  names[key] = at;
}

/** A name that several entries may carry; the first one comes first. */
function addSharedName(names: Names, key: string, at: number): void {
  const held = names[key];
  const all = held === undefined ? [] : typeof held === 'number' ? [held] : held;
  if (!all.includes(at)) names[key] = all.length === 0 ? at : [...all, at];
}

/** One entry a line, ASCII only, so that the offset of a character is the offset of its byte. */
function writeIndexed(kind: string, entries: readonly { id: string }[], names: Names): void {
  const index: PresetIndex = { entries: [], names };
  const seen = new Set<string>();
  let text = '[\n';
  entries.forEach((entry, at) => {
    if (seen.has(entry.id)) problem(entry.id, 'two entries have this id');
    seen.add(entry.id);
    const line = JSON.stringify(entry).replace(
      /[^\x20-\x7e]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
    );
    index.entries.push([entry.id, text.length, line.length]);
    text += at + 1 < entries.length ? `${line},\n` : `${line}\n`;
  });
  writeWhole(`${kind}.json`, `${text}]\n`);
  writeJson(`${kind}.index.json`, index);
}

function checked<Value extends { id?: string } | object>(path: string, schema: ZodType): Value | undefined {
  const { value, diagnostics } = parseYaml(readFileSync(join(root, path), 'utf8'), path, schema);
  problems.push(...diagnostics);
  if (value === undefined) return undefined;
  const id = (value as { id?: string }).id;
  if (id !== undefined && !path.endsWith(`/${id}.yaml`))
    problem(path, `the id is ${id}, the file should be ${id}.yaml`);
  return value as Value;
}

function yamlFiles(dir: string): string[] {
  return readdirSync(join(root, dir), { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.yaml'))
    .map((entry) => join(dir, entry.name))
    .sort();
}

/** Positions of two releases in time; undefined where one of them is none. */
type Ascends = (before: string, after: string) => boolean | undefined;

function releasesAscend(before: string, after: string): boolean | undefined {
  const [a, b] = [parseVersion(before), parseVersion(after)];
  return a && b ? compareVersions(a, b) < 0 : undefined;
}

function buildsAscend(before: string, after: string): boolean | undefined {
  const [a, b] = [buildNumber(before), buildNumber(after)];
  return a !== undefined && b !== undefined ? a < b : undefined;
}

/** The rules of all files of an engine; a name belongs to one file, a history runs upwards. */
function rules(dir: string, ascends: Ascends): RuleBook {
  const book: Record<string, RuleHistory> = {};
  const homes = new Map<string, string>();
  for (const path of yamlFiles(dir)) {
    for (const [name, history] of Object.entries(load<{ rules?: RuleBook }>(path)?.rules ?? {})) {
      if (homes.has(name)) problem(path, `the rule ${name} is also in ${homes.get(name)}`);
      homes.set(name, path);
      book[name] = history;
      history.forEach(({ from }, i) => {
        const before = history[i - 1]?.from;
        if (ascends(from, from) === undefined) problem(path, `${name}: "${from}" is no version`);
        else if (before !== undefined && !ascends(before, from)) problem(path, `${name}: versions do not ascend`);
      });
    }
  }
  return book;
}

function load<Value>(path: string): Value | undefined {
  const { value, diagnostics } = parseYaml<Value>(readFileSync(join(root, path), 'utf8'), path);
  problems.push(...diagnostics);
  return value;
}

function problem(path: string, message: string): void {
  problems.push({ severity: 'error', code: 'VRAM101', message, path });
}

function writeJson(name: string, value: unknown): void {
  writeWhole(name, JSON.stringify(value));
}

/** Under its final name a file is always complete, also while another build runs. */
function writeWhole(name: string, text: string): void {
  const temporary = join(out, `${name}.${process.pid}`);
  writeFileSync(temporary, text);
  renameSync(temporary, join(out, name));
}
