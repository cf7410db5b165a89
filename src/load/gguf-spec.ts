// A GGUF description read backwards: the configuration of the checkpoint it was converted from, as far as the file tells, for every
// part that knows Hugging Face's architectures (parameters, other engines' plans). Keys as convert_hf_to_gguf.py of llama.cpp writes
// them. The file's parameter count judges the result: where it differs, the figures of other engines are said to be estimates.
import { expandArchitecture } from '../architecture/index.ts';
import type { Diagnostic } from '../diagnostics.ts';
import type { GgufModel } from '../spec/gguf.ts';
import type { Json, ModelConfig, ModelSpec, RopeConfig } from '../spec/model.ts';
import { sum } from '../units.ts';
import { checkExpansion } from './check-expansion.ts';
import { sizeProblems } from './check-sizes.ts';
import { safeId } from './config-json.ts';
import { ggufFamilies } from './gguf-families.ts';
import { GgufKeys } from './gguf-keys.ts';
import { printable } from './names.ts';
import { elementsOf } from './sixteen-bit.ts';

/** Never throws: an architecture that is not known here, or does not fit the file, keeps its name from the file. */
export function specFromGguf(model: GgufModel, file: string): { spec: ModelSpec; diagnostics: Diagnostic[] } {
  const keys = new GgufKeys(model);
  const parameters = elementsOf(model.tensors);
  const name = model.metadata['general.name'];
  const common = {
    id: safeId(file.replace(/(-\d{5}-of-\d{5})?\.gguf$/i, '')),
    ...(typeof name === 'string' && name !== '' ? { name: printable(name) } : {}),
    parameters,
    source: printable(file, 300),
  };
  const bare = { ...common, ...unknown(model), config: configOf(keys) };
  const family = Object.hasOwn(ggufFamilies, model.architecture) ? ggufFamilies[model.architecture]!(keys) : undefined;
  if (!family) return { spec: bare, diagnostics: [] };
  const { modelType, architecture, config } = family;
  const spec: ModelSpec = { ...common, architecture, modelType, config: stated({ ...configOf(keys), ...config }) };
  const problem = problemOf(spec, file);
  if (problem !== undefined) return { spec: bare, diagnostics: [warning(`not read as ${architecture}: ${problem}`)] };
  const expanded = expandedElements(spec);
  const stored = parameters - uncounted(model);
  if (Math.abs(expanded - stored) <= stored / 200) return { spec, diagnostics: [] };
  const counts = `${architecture} of these sizes has ${expanded} parameters, the file ${stored}`;
  return { spec, diagnostics: [warning(`${counts}: plans for other engines than llama.cpp are estimates`)] };
}

function warning(message: string): Diagnostic {
  return { severity: 'warning', code: 'VRAM127', message, path: '--model' };
}

function unknown({ architecture }: GgufModel): Pick<ModelSpec, 'architecture' | 'modelType'> {
  return { architecture: `gguf:${architecture}`, modelType: `gguf:${architecture}` };
}

/** What nearly every family states. */
function configOf(keys: GgufKeys): ModelConfig {
  const config: Record<string, Json | RopeConfig | undefined> = {
    dtype: 'bfloat16',
    hiddenSize: keys.number('embedding_length') ?? 0,
    layers: keys.layers,
    heads: keys.most('attention.head_count') ?? 0,
    kvHeads: keys.most('attention.head_count_kv'),
    headDim: keys.number('attention.key_length'),
    intermediateSize: keys.most('feed_forward_length'),
    vocabSize: keys.vocabSize,
    maxPositionEmbeddings: keys.number('context_length'),
    tieWordEmbeddings: !keys.has('output.weight'),
    slidingWindow: keys.number('attention.sliding_window') || undefined,
    rope: ropeOf(keys),
    experts: keys.number('expert_count') || undefined,
    expertsPerToken: keys.number('expert_used_count') || undefined,
    moeIntermediateSize: keys.number('expert_feed_forward_length'),
  };
  return stated(config);
}

function stated(config: Readonly<Record<string, Json | RopeConfig | undefined>>): ModelConfig {
  return Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined)) as ModelConfig;
}

function ropeOf(keys: GgufKeys): RopeConfig | undefined {
  const theta = keys.number('rope.freq_base');
  const type = keys.text('rope.scaling.type');
  const factor = keys.number('rope.scaling.factor');
  const original = keys.number('rope.scaling.original_context_length');
  const scaled = type !== undefined && type !== 'none' && factor !== undefined;
  if (theta === undefined && !scaled) return undefined;
  return {
    ...(theta === undefined ? {} : { theta }),
    ...(scaled ? { type, factor } : {}),
    ...(scaled && original !== undefined ? { originalMaxPositionEmbeddings: original } : {}),
  };
}

/** Tables that the converter adds, and blocks that only draft: neither counts as a parameter of the model. */
function uncounted(model: GgufModel): number {
  const drafts = Number(model.metadata.nextn_predict_layers ?? 0);
  const first = Number(model.metadata.block_count) - (Number.isInteger(drafts) ? drafts : 0);
  const extra = model.tensors.filter(({ name }) => {
    const block = /^blk\.(\d+)\./.exec(name);
    return /rope_(freqs|factors_\w+)\.weight$/.test(name) || (block !== null && Number(block[1]) >= first);
  });
  return elementsOf(extra);
}

/** Why the configuration cannot be that of its family; undefined when it can. */
function problemOf(spec: ModelSpec, file: string): string | undefined {
  const [problem] = sizeProblems(spec, file);
  if (problem) return problem.message;
  const broken = Object.entries(spec.config).find(([, value]) => typeof value === 'number' && !isCount(value));
  if (broken) return `${broken[0]} would be ${broken[1]}`;
  try {
    checkExpansion(spec, file);
    return undefined;
  } catch (error) {
    return printable((error as Error).message, 300);
  }
}

/** Sizes are whole; shares and the like stand in rope. */
function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function expandedElements(spec: ModelSpec): number {
  const stored = expandArchitecture(spec).tensors.filter(
    ({ buffer, derived, idleKv, part }) => !buffer && !derived && !idleKv && part === 'text',
  );
  return sum(
    stored.map(({ shape, layers = [0], experts = 1 }) => shape.reduce((a, b) => a * b, 1) * layers.length * experts),
  );
}
