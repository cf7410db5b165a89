// Words of a mixed-precision recipe: which tensors get which type, what that takes, what it is estimated to cost, and what the
// tool that makes the file is told. A recipe claims bytes of tensors; padding, headers and what an engine adds are not in it.
import type { MixName } from '../../accounting/gguf-mix/index.ts';
import type { GgmlType } from '../../spec/ggml-types.ts';

export const recipeTools = ['llama-quantize', 'llm-compressor'] as const;
export type RecipeTool = (typeof recipeTools)[number];

/** Schemes of an llm-compressor recipe; bf16 stands for the 16 bits the model comes in. */
export const moduleSchemes = ['bf16', 'fp8', 'w8a16', 'w4a16'] as const;
export type ModuleScheme = (typeof moduleSchemes)[number];

/** Tensors of one role and one type. */
export interface RecipeGroup {
  /** e.g. attention v, experts down, embedding. */
  role: string;
  /** Layers, ascending; empty: outside of layers. */
  layers: readonly number[];
  type: GgmlType | ModuleScheme;
  tensors: number;
  parameters: number;
  /** Bytes of the tensors, scales included. */
  bytes: number;
  /** Weight of one parameter in the objective: 1 for a tensor that the published mixes do not spare. */
  sensitivity: number;
  /** No choice: its tool leaves it as it is, or the engine's kernels do. */
  fixed: boolean;
}

/** An estimate: sum over tensors of parameters x sensitivity x loss of the type, over the sum of parameters x sensitivity. */
export interface RecipeLoss {
  value: number;
  /** No recipe under this budget is better than this. */
  bound: number;
  /** The measure of the loss curve, e.g. KL divergence. */
  measure: string;
  /** Where the loss of each type was measured. */
  source: string;
}

/** An ordinary mix or scheme under the same budget, by the same estimate. */
export interface ComparedMix {
  name: string;
  bytes: number;
  loss: number;
}

interface RecipeBase {
  /** Everything under the budget; otherwise the recipe is the smallest there is. */
  fits: boolean;
  /** Bytes that the smallest recipe is over the budget; 0 if it fits. */
  shortfallBytes: number;
  budgetBytes: number;
  /** Bytes of all tensors, those that no tool touches included. */
  bytes: number;
  /** Of these, what the budget pays for: all but the tensors that stay in host memory. */
  chargedBytes: number;
  parameters: number;
  bitsPerWeight: number;
  loss: RecipeLoss;
  /** Absent where none fits. */
  compared?: ComparedMix;
  confidence: 'estimated';
  groups: readonly RecipeGroup[];
  notes: readonly string[];
}

/** --tensor-type: a regular expression on tensor names and a type. */
export interface TensorTypeOption {
  pattern: string;
  type: GgmlType;
}

export interface LlamaQuantizeRecipe extends RecipeBase {
  tool: 'llama-quantize';
  /** The file type that is named on the command line; its type holds wherever no option says otherwise. */
  fileType: MixName;
  tensorTypes: readonly TensorTypeOption[];
  outputTensorType?: GgmlType;
  tokenEmbeddingType?: GgmlType;
  /** Some types are not made without an importance matrix. */
  imatrix: boolean;
}

/** A config group: modules by regular expression, and the scheme they share. */
export interface ConfigGroup {
  scheme: Exclude<ModuleScheme, 'bf16'>;
  /** re: patterns on module names; no module matches two groups. */
  targets: readonly string[];
}

export interface LlmCompressorRecipe extends RecipeBase {
  tool: 'llm-compressor';
  configGroups: readonly ConfigGroup[];
  ignore: readonly string[];
}

export type Recipe = LlamaQuantizeRecipe | LlmCompressorRecipe;
