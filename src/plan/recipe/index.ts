// Mixed-precision recipes: under a budget of bytes for the weights, which tensors get how many bits, for llama-quantize or for
// llm-compressor. Everything here is an estimate of quality and an exact count of bytes.
import { type GgufRecipeInput, ggufRecipe } from './gguf.ts';
import { type ModuleRecipeInput, moduleRecipe } from './modules.ts';
import type { Recipe } from './types.ts';

export type RecipeInput =
  | ({ tool: 'llama-quantize' } & GgufRecipeInput)
  | ({ tool: 'llm-compressor' } & ModuleRecipeInput);

export function recipeFor(input: RecipeInput): Recipe {
  return input.tool === 'llama-quantize' ? ggufRecipe(input) : moduleRecipe(input);
}
