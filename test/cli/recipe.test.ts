// `vram quantize --recipe` as it is run: what it claims fits when it is planned, its files are legal, its forms and refusals.
import { parse } from 'shell-quote';
import { describe, expect, it } from 'vitest';
import { run } from '../../src/commands/quantize.ts';
import { InputError } from '../../src/diagnostics.ts';
import type { RecipeOutput } from '../../src/plan/quantize-recipes.ts';
import { recipeOutputSchema } from '../../src/plan/quantize-schema.ts';
import { illegalOptions } from '../../src/plan/recipe/legal.ts';
import { inProcess } from '../ground-truth/in-process.ts';

const quantize = (line: string) => inProcess(run, parse(line).map(String));

describe('vram quantize --recipe', () => {
  it.each([
    ['qwen3-8b', 'rtx3060'],
    ['llama-3.1-70b', '"2x rtx4090"'],
    ['qwen3-30b-a3b', 'rtx4090'],
  ])('%s on %s: fits as planned, and every option is legal', async (model, gpu) => {
    const { code, out } = await quantize(`-m ${model} -g ${gpu} --recipe --engine llama.cpp --json`);
    const output = JSON.parse(out) as RecipeOutput;
    recipeOutputSchema.parse(output);
    expect(code).toBe(0);
    const [{ recipe, headroomBytes }] = output.result.recipes as [RecipeOutput['result']['recipes'][0]];
    expect(recipe.fits).toBe(true);
    expect(headroomBytes).toBeGreaterThanOrEqual(0);
    expect(recipe.groups.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(recipe.bytes);
    if (recipe.tool === 'llama-quantize') expect(illegalOptions(recipe)).toEqual([]);
  });

  it('says what is lacking where nothing fits, with exit status 1', async () => {
    const { code, out } = await quantize('-m llama-3.1-70b -g rtx3060 --recipe --engine vllm');
    expect(code).toBe(1);
    expect(out).toMatch(/DOES NOT FIT/);
  });

  it('writes what the tool reads', async () => {
    const { code, out } = await quantize('-m qwen3-8b -g rtx4070 --engine vllm --recipe-out -');
    expect(code).toBe(0);
    expect(out).toMatch(/QuantizationModifier/);
  });

  it('refuses a file for two tools, and forms that a recipe does not have', async () => {
    await expect(quantize('-m qwen3-8b -g l4 --recipe-out -')).rejects.toThrow(InputError);
    await expect(quantize('-m qwen3-8b -g l4 --recipe --format csv')).rejects.toThrow('a recipe has no form csv');
  });
});
