// A recipe for a GGUF file: every matrix of the model takes one of the types that llama-quantize can give it, so that the file, or
// what of it goes to the GPU, stays under a budget and the estimated loss is smallest. Norms, routers and the like keep their type.

import { applyMix, tensorDataBytes } from '../../accounting/gguf-mix/index.ts';
import { typeForRow } from '../../accounting/gguf-mix/pick.ts';
import { isQuantizable } from '../../accounting/gguf-mix/tensors.ts';
import { assert } from '../../assert.ts';
import { type GgmlType, isQuantized, tensorBytes } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import { type GroupEntry, groupsOf } from './groups.ts';
import { chooseOptions, type Item, smallestBytes, smallestOptions } from './knapsack.ts';
import { illegalOptions, needsImatrixTypes, tensorTypeBuild } from './legal.ts';
import { applyOptions, mismatches, quantizeOptions } from './llama-quantize.ts';
import { ggmlLoss, ggmlLossCurve, ggmlLossWithImatrix } from './loss.ts';
import { ggufRole } from './roles.ts';
import { bitsOf, leastBits, namedMixes, sensitivities } from './sensitivity.ts';
import type { ComparedMix, LlamaQuantizeRecipe } from './types.ts';

export interface GgufRecipeInput {
  /** The model to quantize; matrices that it holds in 16 or 32 bits have a choice, those it holds quantized are kept. */
  model: GgufModel;
  budgetBytes: number;
  /** An importance matrix is at hand. Absent: asked for only where no recipe without one fits. */
  imatrix?: boolean;
  /** The embedding stays in host memory, as llama.cpp keeps it where the output has a matrix of its own; the budget is of the GPU. */
  embeddingOnHost?: boolean;
}

interface Candidate extends Item {
  tensor: GgufTensor;
  types: readonly GgmlType[];
  sensitivity: number;
}

/** The recipe with the smallest estimated loss under the budget; without one that fits, the smallest there is. */
export function ggufRecipe(input: GgufRecipeInput): LlamaQuantizeRecipe {
  const first = solve(input, input.imatrix ?? false);
  if (input.imatrix !== undefined || (first.fits && first.bitsPerWeight >= fewBits)) return first;
  const second = solve(input, true);
  if (!first.fits) return second;
  const note = `with an importance matrix the same budget is estimated at ${second.loss.value.toPrecision(3)} instead`;
  return second.loss.value < first.loss.value ? { ...first, notes: [...first.notes, note] } : first;
}

/** Below this many bits per weight the types that need an importance matrix are better than the others. */
const fewBits = 4.5;

/** Sizes of the smallest and of the largest recipe. */
export function ggufRecipeRange(model: GgufModel, imatrix: boolean): { least: number; most: number } {
  const { items, fixedBytes } = candidatesOf({ model, budgetBytes: 0 }, imatrix);
  const most = items.reduce((sum, { options }) => sum + Math.max(...options.map(({ bytes }) => bytes)), fixedBytes);
  return { least: fixedBytes + smallestBytes(items), most };
}

function solve(input: GgufRecipeInput, imatrix: boolean): LlamaQuantizeRecipe {
  const { model, budgetBytes } = input;
  const { items, fixedBytes, weight } = candidatesOf(input, imatrix);
  const choice = chooseOptions(items, budgetBytes - fixedBytes);
  const mix = bestMix(input, items, { imatrix, fixedBytes });
  // The last increment that does not fit leaves room that a mix of just this size may use better.
  const better = choice && mix && mix.loss < choice.loss ? mix : choice;
  const picked = better?.picked ?? smallestOptions(items);
  const types = new Map(items.map((item, i) => [item.tensor.name, item.types[picked[i]!]!]));
  // llama-quantize refuses to quantize again: what is quantized is named by its own type.
  for (const tensor of model.tensors) if (isKept(tensor)) types.set(tensor.name, tensor.type);
  const loss = items.reduce((sum, item, i) => sum + item.options[picked[i]!]!.loss, 0);
  const quantized = typed(model, types);
  const bytes = tensorDataBytes(quantized);
  const host = items.reduce((sum, item, i) => sum + (item.charged ? 0 : item.options[picked[i]!]!.bytes), 0);
  const parameters = model.tensors.reduce((sum, { ne }) => sum + valuesOf(ne), 0);
  const recipe: LlamaQuantizeRecipe = {
    tool: 'llama-quantize',
    fits: choice !== undefined,
    shortfallBytes: Math.max(0, bytes - host - budgetBytes),
    budgetBytes,
    bytes,
    chargedBytes: bytes - host,
    parameters,
    bitsPerWeight: (bytes * 8) / parameters,
    loss: { value: loss / weight, bound: (choice?.bound ?? loss) / weight, ...ggmlLossCurve },
    confidence: 'estimated',
    ...(mix ? { compared: { name: mix.name, bytes: mix.bytes, loss: mix.loss / weight } } : {}),
    groups: groupsOf(entriesOf(quantized, items)),
    notes: notesOf(model, items, imatrix),
    ...quantizeOptions(model, types, imatrix),
  };
  const illegal = illegalOptions(recipe);
  assert(illegal.length === 0, `the recipe is not legal: ${illegal.join(', ')}`);
  assert(mismatches(model, types, recipe).length === 0, 'the options give every tensor its type');
  assert(tensorDataBytes(applyOptions(model, recipe)) === bytes, 'the options give the bytes that the recipe claims');
  return recipe;
}

/** The tensors with a choice, what the others take, and the sum of parameters times sensitivity. */
function candidatesOf(
  input: GgufRecipeInput,
  imatrix: boolean,
): { items: Candidate[]; fixedBytes: number; weight: number } {
  const { model, embeddingOnHost = false } = input;
  const sensitivity = sensitivities(model);
  const least = leastBits(model, imatrix);
  const losses = imatrix ? ggmlLossWithImatrix : ggmlLoss;
  const tied = !model.tensors.some(({ name }) => name === 'output.weight');
  const sixteen = sixteenBitOf(model);
  const blocks = Number(model.metadata.block_count ?? 0);
  const items: Candidate[] = [];
  let [fixedBytes, weight] = [0, 0];
  for (const tensor of model.tensors) {
    const { name, ne, type } = tensor;
    if (!isQuantizable(tensor) || isKept(tensor)) {
      fixedBytes += tensorBytes(type, ne);
      continue;
    }
    const types = typesFor(tensor, { losses, least: least.get(name) ?? 0, sixteen });
    const relative = sensitivity.get(name) ?? 1;
    const parameters = valuesOf(ne);
    const layer = layerOf(name);
    weight += parameters * relative;
    items.push({
      tensor,
      types,
      sensitivity: relative,
      options: types.map((t) => ({ bytes: tensorBytes(t, ne), loss: parameters * relative * losses[t]! })),
      charged: !(embeddingOnHost && isHostTable(name, tied)),
      // First and last layers before the middle ones, as the mixes have it.
      rank: layer === undefined ? -1 : Math.min(layer, blocks - 1 - layer),
      large: layer === undefined,
    });
  }
  return { items, fixedBytes, weight };
}

/** Types that the row divides and no mix goes below; a type whose row does not divide is the one that would take its place. */
function typesFor(
  tensor: GgufTensor,
  { losses, least, sixteen }: { losses: Partial<Record<GgmlType, number>>; least: number; sixteen: GgmlType },
): GgmlType[] {
  const outside =
    tensor.name === 'token_embd.weight' ||
    tensor.name === 'per_layer_token_embd.weight' ||
    tensor.name === 'output.weight';
  const types = new Set<GgmlType>();
  for (const type of Object.keys(losses) as GgmlType[]) {
    if (isQuantized(type) ? bitsOf(type) < least : type !== sixteen) continue;
    // An importance matrix has no entries for embedding and output: types that live by one are no choice there.
    if (outside && needsImatrixTypes.includes(type)) continue;
    const real = typeForRow(type, tensor.ne[0] ?? 1);
    if (real === type || losses[real] !== undefined) types.add(real);
  }
  assert(types.size > 0, `no type for ${tensor.name}`);
  return [...types];
}

/** Matrices stay in BF16 where all of them are; llama-quantize makes F16 of the rest. */
function sixteenBitOf({ tensors }: GgufModel): GgmlType {
  return tensors.every((tensor) => !isQuantizable(tensor) || isKept(tensor) || tensor.type === 'bf16') ? 'bf16' : 'f16';
}

/** A matrix that the source holds quantized (gpt-oss experts). */
function isKept(tensor: GgufTensor): boolean {
  return isQuantizable(tensor) && isQuantized(tensor.type);
}

/** Tables that llama.cpp leaves in host memory; an embedding that is the output too is copied to the GPU. */
function isHostTable(name: string, tied: boolean): boolean {
  return name === 'per_layer_token_embd.weight' || (name === 'token_embd.weight' && !tied);
}

function valuesOf(ne: readonly number[]): number {
  return ne.reduce((a, b) => a * b, 1);
}

function layerOf(name: string): number | undefined {
  const match = /^blk\.(\d+)\./.exec(name);
  return match ? Number(match[1]) : undefined;
}

function typed(model: GgufModel, types: ReadonlyMap<string, GgmlType>): GgufModel {
  return {
    ...model,
    tensors: model.tensors.map((tensor) => ({ ...tensor, type: types.get(tensor.name) ?? tensor.type })),
  };
}

function* entriesOf(quantized: GgufModel, items: readonly Candidate[]): Generator<GroupEntry> {
  const chosen = new Map(items.map((item) => [item.tensor.name, item]));
  for (const { name, ne, type } of quantized.tensors) {
    const item = chosen.get(name);
    yield {
      role: ggufRole(name),
      layer: layerOf(name),
      type,
      tensors: 1,
      parameters: valuesOf(ne),
      bytes: tensorBytes(type, ne),
      sensitivity: item?.sensitivity ?? 1,
      fixed: item === undefined,
    };
  }
}

interface MixChoice extends ComparedMix {
  picked: readonly number[];
}

/** The ordinary mix with the smallest estimate under the same budget. */
function bestMix(
  input: GgufRecipeInput,
  items: readonly Candidate[],
  { imatrix, fixedBytes }: { imatrix: boolean; fixedBytes: number },
): MixChoice | undefined {
  // It would quantize again what is quantized.
  if (input.model.tensors.some(isKept)) return undefined;
  const mixes = namedMixes(imatrix).map((name): MixChoice & { charged: number } => {
    const types = new Map(
      applyMix(input.model, name, { imatrix, rules: 'current' }).tensors.map((tensor) => [tensor.name, tensor.type]),
    );
    const picked = items.map((item) => item.types.indexOf(types.get(item.tensor.name)!));
    let [bytes, charged, loss] = [fixedBytes, fixedBytes, 0];
    items.forEach((item, i) => {
      const option = item.options[picked[i]!] ?? { bytes: 0, loss: Infinity };
      bytes += option.bytes;
      if (item.charged) charged += option.bytes;
      loss += option.loss;
    });
    return { name, bytes, charged, loss, picked };
  });
  const fitting = mixes.filter(({ charged, loss }) => charged <= input.budgetBytes && loss < Infinity);
  return fitting.reduce<MixChoice | undefined>((a, b) => (a && a.loss <= b.loss ? a : b), undefined);
}

function notesOf(model: GgufModel, items: readonly Candidate[], imatrix: boolean): string[] {
  const notes: string[] = [];
  if (imatrix) notes.push('an importance matrix is needed: llama-imatrix makes one from a text of your task');
  notes.push(`patterns are read as here by llama-quantize ${tensorTypeBuild} and later`);
  const kept = model.tensors.filter(isKept).length;
  if (kept > 0) notes.push(`${kept} tensors are quantized already and stay as they are`);
  const narrow = items.filter(({ tensor }) => (tensor.ne[0] ?? 0) % 256 !== 0).length;
  if (narrow > 0)
    notes.push(
      `${narrow} tensors have rows that are no multiple of 256: types of 32 values a block take the place there`,
    );
  return notes;
}
