// A recipe in the words of llama-quantize: the file type, --output-tensor-type, --token-embedding-type and one --tensor-type for
// each set of tensors that the file type's own mix would give another type. Law: tools/quantize/quantize.cpp and
// src/llama-quant.cpp llama_tensor_get_type (v0.5.0): patterns are searched for in the name, the first that is found decides and
// no mix is asked; rows that a type does not divide take another, so that only types that do are named.
import { applyMix, type MixName, type MixOptions } from '../../accounting/gguf-mix/index.ts';
import { assert } from '../../assert.ts';
import { shellQuote } from '../../shell.ts';
import { type GgmlType, isQuantized, tensorBytes } from '../../spec/ggml-types.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import { layerPattern } from './layers.ts';
import { quantizeFileTypes } from './legal.ts';
import type { LlamaQuantizeRecipe, TensorTypeOption } from './types.ts';

type Options = Pick<
  LlamaQuantizeRecipe,
  'fileType' | 'tensorTypes' | 'outputTensorType' | 'tokenEmbeddingType' | 'imatrix'
>;

/** File types whose mixes name the fewest other types; a recipe says the rest itself. */
const plainestMix: Partial<Record<GgmlType, MixName>> = {
  q2_k: 'q2_k',
  q3_k: 'q3_k_s',
  q4_k: 'q4_k_s',
  q5_k: 'q5_k_s',
  iq2_xs: 'iq2_xs',
  iq2_s: 'iq2_m',
  iq3_s: 'iq3_s',
};

/**
 * The options under which llama-quantize gives every tensor of the model the type in `types` (by tensor name; those of tensors that
 * it does not quantize are their own).
 */
export function quantizeOptions(model: GgufModel, types: ReadonlyMap<string, GgmlType>, imatrix: boolean): Options {
  const fileType = fileTypeFor(model, types);
  if (!isQuantized(quantizeFileTypes[fileType])) return { fileType, tensorTypes: [], imatrix };
  const named = namedOptions(types);
  const ordinary = (name: string) =>
    !(name === 'output.weight' && named.outputTensorType) &&
    !(name === 'token_embd.weight' && named.tokenEmbeddingType);
  // Tensors whose type the mix would not choose by itself; what is named moves the mix's counters, so that this may take turns.
  const spoken = new Set<string>();
  const base = quantizeFileTypes[fileType];
  for (const [name, type] of types) if (ordinary(name) && type !== base) spoken.add(name);
  // Of what is quantized already the mix must not be asked at all.
  for (const { name, type } of model.tensors) if (isQuantized(type) && types.has(name)) spoken.add(name);
  for (;;) {
    const options: Options = { fileType, ...named, tensorTypes: patternsFor(model, types, spoken), imatrix };
    const wrong = mismatches(model, types, options).filter((name) => types.has(name));
    if (wrong.length === 0) return options;
    const before = spoken.size;
    for (const name of wrong) spoken.add(name);
    assert(spoken.size > before, `no options give ${wrong[0]} its type`);
  }
}

/** Names of the tensors that llama-quantize would give another type than the recipe says. */
export function mismatches(model: GgufModel, types: ReadonlyMap<string, GgmlType>, options: Options): string[] {
  return applyOptions(model, options)
    .tensors.filter((tensor) => types.has(tensor.name) && types.get(tensor.name) !== tensor.type)
    .map(({ name }) => name);
}

/** The model as llama-quantize leaves it under the recipe's options. */
export function applyOptions(model: GgufModel, options: Options): GgufModel {
  const { fileType, tensorTypes, outputTensorType, tokenEmbeddingType, imatrix } = options;
  const mixOptions: MixOptions = { overrides: tensorTypes, imatrix, rules: 'current' };
  if (outputTensorType) mixOptions.outputTensorType = outputTensorType;
  if (tokenEmbeddingType) mixOptions.tokenEmbdType = tokenEmbeddingType;
  return applyMix(model, fileType, mixOptions);
}

export interface QuantizeFiles {
  /** The 16-bit GGUF file. */
  input?: string;
  output?: string;
  imatrixFile?: string;
}

/** The command, one argument each, unquoted. */
export function quantizeArguments(recipe: LlamaQuantizeRecipe, files: QuantizeFiles = {}): string[] {
  const { input = 'model-16bit.gguf', output = 'model-recipe.gguf', imatrixFile = 'imatrix.gguf' } = files;
  return [
    'llama-quantize',
    ...(recipe.imatrix ? ['--imatrix', imatrixFile] : []),
    ...(recipe.outputTensorType ? ['--output-tensor-type', recipe.outputTensorType] : []),
    ...(recipe.tokenEmbeddingType ? ['--token-embedding-type', recipe.tokenEmbeddingType] : []),
    ...recipe.tensorTypes.flatMap(({ pattern, type }) => ['--tensor-type', `${pattern}=${type}`]),
    input,
    output,
    recipe.fileType.toUpperCase(),
  ];
}

/** The command for a shell, an option a line. */
export function quantizeCommand(recipe: LlamaQuantizeRecipe, files: QuantizeFiles = {}): string {
  const [program, ...rest] = quantizeArguments(recipe, files);
  const lines: string[] = [program!];
  for (let i = 0; i < rest.length; ) {
    const option = rest[i]!.startsWith('--');
    const words = option ? rest.slice(i, i + 2) : rest.slice(i);
    lines.push(`  ${words.map(shellQuote).join(' ')}`);
    i += words.length;
  }
  return lines.join(' \\\n');
}

/** What --tensor-type-file reads: the patterns, one a line. */
export function tensorTypeFile(recipe: LlamaQuantizeRecipe): string {
  return recipe.tensorTypes.map(({ pattern, type }) => `${pattern}=${type}\n`).join('');
}

/** The plainest file type of the chosen type that most bytes have; a model that stays in 16 bits is only converted. */
function fileTypeFor(model: GgufModel, types: ReadonlyMap<string, GgmlType>): MixName {
  const bytes = new Map<GgmlType, number>();
  const chosen = model.tensors.filter(({ name, type }) => types.has(name) && !isQuantized(type));
  for (const { name, ne } of chosen) {
    const type = types.get(name)!;
    if (isQuantized(type)) bytes.set(type, (bytes.get(type) ?? 0) + tensorBytes(type, ne));
  }
  const names = Object.keys(quantizeFileTypes) as MixName[];
  const [most] = [...bytes].sort((a, b) => b[1] - a[1]);
  if (!most) {
    const kept = model.tensors.some(({ name, type }) => types.has(name) && isQuantized(type));
    if (kept) return 'q8_0';
    return chosen.every(({ name }) => types.get(name) === 'bf16') ? 'bf16' : 'f16';
  }
  const name = plainestMix[most[0]] ?? names.find((candidate) => quantizeFileTypes[candidate] === most[0]);
  assert(name !== undefined, `no file type starts from ${most[0]}`);
  return name;
}

/**
 * --output-tensor-type and --token-embedding-type. Builds before v0.5.0 give per_layer_token_embd the type of the embedding whatever
 * a pattern says: with such a table both are named by patterns.
 */
function namedOptions(types: ReadonlyMap<string, GgmlType>): Pick<Options, 'outputTensorType' | 'tokenEmbeddingType'> {
  const output = types.get('output.weight');
  const embedding = types.has('per_layer_token_embd.weight') ? undefined : types.get('token_embd.weight');
  return {
    ...(output ? { outputTensorType: output } : {}),
    ...(embedding ? { tokenEmbeddingType: embedding } : {}),
  };
}

/** One pattern for all tensors of the same layers and type. */
function patternsFor(
  model: GgufModel,
  types: ReadonlyMap<string, GgmlType>,
  spoken: ReadonlySet<string>,
): TensorTypeOption[] {
  const layersOf = new Map<string, { all: Set<number>; byType: Map<GgmlType, number[]> }>();
  const single: TensorTypeOption[] = [];
  for (const { name } of model.tensors) {
    const type = types.get(name);
    const match = /^blk\.(\d+)\.(.+)$/.exec(name);
    if (!match) {
      if (type && spoken.has(name)) single.push({ pattern: `^${escaped(name)}$`, type });
      continue;
    }
    const rest = match[2]!;
    const entry = layersOf.get(rest) ?? { all: new Set(), byType: new Map() };
    layersOf.set(rest, entry);
    entry.all.add(Number(match[1]));
    if (type && spoken.has(name)) entry.byType.set(type, [...(entry.byType.get(type) ?? []), Number(match[1])]);
  }
  const together = new Map<string, { type: GgmlType; names: string[]; layers: string }>();
  for (const [rest, { all, byType }] of layersOf) {
    for (const [type, layers] of byType) {
      const every = layers.length === all.size;
      const where = every ? '[0-9]+' : layerPattern(layers.sort((a, b) => a - b));
      const key = `${type} ${where}`;
      const known = together.get(key);
      if (known) known.names.push(rest);
      else together.set(key, { type, names: [rest], layers: where });
    }
  }
  const inBlocks = [...together.values()].map(({ type, names, layers }) => ({
    pattern: `^blk\\.${layers}\\.${namesPattern(names)}$`,
    type,
  }));
  return [...single, ...inBlocks];
}

function namesPattern(names: readonly string[]): string {
  const [first = ''] = names;
  if (names.length === 1) return escaped(first);
  const whole = names.every((name) => name.endsWith('.weight'));
  const ends = whole ? '\\.weight' : '';
  return `(${names.map((name) => escaped(whole ? name.slice(0, -'.weight'.length) : name)).join('|')})${ends}`;
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
