// Recipes for llama-quantize: the command's own words, read back as the tool reads them, give every tensor the type and the bytes
// that the recipe claims, on every model that has a GGUF description and on small and large budgets.
import { describe, expect, it } from 'vitest';
import { applyMix, findMix, mixNames, tensorDataBytes } from '../../../src/accounting/gguf-mix/index.ts';
import { toGguf } from '../../../src/architecture/gguf/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { splitCommand } from '../../../src/engines/vllm/launcher.ts';
import { loadPreset } from '../../../src/load/presets.ts';
import { ggufRecipe, ggufRecipeRange } from '../../../src/plan/recipe/gguf.ts';
import { needsImatrixTypes, quantizeFileTypes, quantizeTensorTypes } from '../../../src/plan/recipe/legal.ts';
import { quantizeCommand, tensorTypeFile } from '../../../src/plan/recipe/llama-quantize.ts';
import type { LlamaQuantizeRecipe } from '../../../src/plan/recipe/types.ts';
import { recipeTable } from '../../../src/render/recipe.ts';
import type { GgmlType } from '../../../src/spec/ggml-types.ts';
import type { GgufModel } from '../../../src/spec/gguf.ts';
import { GiB } from '../../../src/units.ts';

const models = [
  'bloom-560m',
  'codellama-7b',
  'command-r-v01',
  'deepseek-v2-lite',
  'deepseek-v3',
  'falcon-7b',
  'falcon-mamba-7b',
  'gemma-2-9b',
  'gemma-3-12b',
  'gemma-3-1b',
  'gemma-4-e2b',
  'glm-4.5-air',
  'gpt-oss-20b',
  'gpt2',
  'granite-4.0-h-small',
  'lfm2-1.2b',
  'llama-2-7b',
  'llama-3.1-70b',
  'llama-3.1-8b',
  'llama-3.2-1b',
  'mistral-7b-v0.3',
  'mixtral-8x7b',
  'olmo-2-7b',
  'phi-3.5-mini',
  'phi-4',
  'qwen2.5-0.5b',
  'qwen2.5-7b',
  'qwen3-0.6b',
  'qwen3-235b-a22b',
  'qwen3-30b-a3b',
  'qwen3-8b',
  'qwen3-next-80b-a3b',
  'smollm2-1.7b',
  'starcoder2-7b',
];

const known = new Map<string, GgufModel>();

function gguf(id: string): GgufModel {
  let model = known.get(id);
  if (!model) {
    const spec = loadPreset('models', id);
    model = toGguf(spec, expandArchitecture(spec))!;
    known.set(id, model);
  }
  return model;
}

interface Line {
  options: Parameters<typeof applyMix>[2] & { overrides: { pattern: string; type: GgmlType }[] };
  files: string[];
}

/** The line as quantize.cpp reads it: options until the first word without dashes; patterns lowered, cut at the first "=". */
function readLine(command: string): Line {
  const [program, ...words] = splitCommand(command.replaceAll('\\\n', ' '));
  expect(program).toBe('llama-quantize');
  const options: Line['options'] = { overrides: [], rules: 'current' };
  const type = (text: string): GgmlType => {
    expect(quantizeTensorTypes).toContain(text);
    return text as GgmlType;
  };
  let i = 0;
  for (; words[i]!.startsWith('--'); i += 2) {
    const value = words[i + 1]!;
    if (words[i] === '--imatrix') options.imatrix = true;
    else if (words[i] === '--output-tensor-type') options.outputTensorType = type(value);
    else if (words[i] === '--token-embedding-type') options.tokenEmbdType = type(value);
    else if (words[i] === '--tensor-type') {
      const at = value.indexOf('=');
      options.overrides.push({ pattern: value.slice(0, at).toLowerCase(), type: type(value.slice(at + 1)) });
    } else expect.fail(`unknown option ${words[i]}`);
  }
  return { options, files: words.slice(i) };
}

function check(model: GgufModel, recipe: LlamaQuantizeRecipe): void {
  const { options, files } = readLine(quantizeCommand(recipe));
  expect(files).toHaveLength(3);
  const fileType = findMix(files[2]!)!;
  const made = applyMix(model, fileType, options);
  expect(tensorDataBytes(made)).toBe(recipe.bytes);
  expect(recipe.groups.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(recipe.bytes);
  expect(recipe.groups.reduce((sum, { tensors }) => sum + tensors, 0)).toBe(model.tensors.length);
  for (const type of new Set(made.tensors.map((tensor) => tensor.type))) {
    const tensors = made.tensors.filter((tensor) => tensor.type === type).length;
    const claimed = recipe.groups.filter((group) => group.type === type).reduce((sum, group) => sum + group.tensors, 0);
    expect(tensors, type).toBe(claimed);
  }
  if (!recipe.imatrix) {
    const inside = made.tensors.filter(({ name }) => name.startsWith('blk.'));
    expect(inside.filter(({ type }) => needsImatrixTypes.includes(type))).toEqual([]);
  }
}

describe('recipes for llama-quantize', () => {
  it.each(models)('%s: the line gives the types and the bytes claimed', (id) => {
    const model = gguf(id);
    const { least, most } = ggufRecipeRange(model, false);
    for (const share of [0, 0.2, 0.8]) {
      const budgetBytes = Math.floor(least + share * (most - least));
      const recipe = ggufRecipe({ model, budgetBytes });
      expect(recipe.fits).toBe(true);
      expect(recipe.bytes).toBeLessThanOrEqual(budgetBytes);
      check(model, recipe);
    }
    const withImatrix = ggufRecipe({ model, budgetBytes: Math.floor(0.8 * least) });
    check(model, withImatrix);
    expect(withImatrix.fits).toBe(withImatrix.bytes <= 0.8 * least);
  });

  it('is at least as good as every ordinary mix of its size, by its own estimate', () => {
    const model = gguf('llama-3.1-8b');
    for (const mix of ['q2_k', 'q3_k_m', 'q4_k_s', 'q4_k_m', 'q5_k_m', 'q6_k'] as const) {
      const recipe = ggufRecipe({ model, budgetBytes: tensorDataBytes(applyMix(model, mix)) });
      expect(recipe.loss.value, mix).toBeLessThanOrEqual(recipe.compared!.loss);
      expect(recipe.loss.value - recipe.loss.bound, mix).toBeLessThan(0.01 * recipe.loss.value);
    }
  });

  it('spends as Q4_K_M does at its size: attn_v and ffn_down of the first and last layers above the rest', () => {
    const model = gguf('llama-3.1-8b');
    const recipe = ggufRecipe({ model, budgetBytes: 4_912_898_304 });
    const made = applyMix(model, recipe.fileType, { overrides: recipe.tensorTypes });
    const typeOf = (name: string) => made.tensors.find((tensor) => tensor.name === name)!.type;
    expect(recipe.fileType).toBe('q4_k_s');
    expect(typeOf('blk.0.attn_v.weight')).toBe('q6_k');
    expect(typeOf('blk.12.ffn_gate.weight')).toBe('q4_k');
    expect(typeOf('blk.31.ffn_down.weight')).not.toBe(typeOf('blk.13.ffn_down.weight'));
  });

  it('leaves an embedding in host memory out of the budget', () => {
    const model = gguf('llama-3.1-8b');
    const recipe = ggufRecipe({ model, budgetBytes: 4 * GiB, embeddingOnHost: true });
    expect(recipe.chargedBytes).toBeLessThanOrEqual(4 * GiB);
    const embedding = recipe.groups.find(({ role }) => role === 'embedding')!;
    expect(recipe.bytes - recipe.chargedBytes).toBe(embedding.bytes);
    const tied = gguf('llama-3.2-1b');
    const small = ggufRecipe({ model: tied, budgetBytes: 1 * GiB, embeddingOnHost: true });
    expect(small.chargedBytes).toBe(small.bytes);
  });

  it('names what is quantized already by its own type', () => {
    const recipe = ggufRecipe({ model: gguf('gpt-oss-20b'), budgetBytes: 12 * GiB });
    expect(recipe.tensorTypes.filter(({ type }) => type === 'mxfp4')).toHaveLength(1);
    expect(recipe.groups.filter(({ fixed, type }) => fixed && type === 'mxfp4')).toHaveLength(3);
  });

  it('asks for an importance matrix only where nothing else fits, and says what is missing where nothing does', () => {
    const model = gguf('llama-3.1-8b');
    expect(ggufRecipe({ model, budgetBytes: 3 * GiB }).imatrix).toBe(false);
    const tight = ggufRecipe({ model, budgetBytes: 2.3 * GiB });
    expect(tight).toMatchObject({ fits: true, imatrix: true });
    const none = ggufRecipe({ model, budgetBytes: 1 * GiB });
    expect(none.fits).toBe(false);
    expect(none.shortfallBytes).toBe(none.bytes - GiB);
    expect(ggufRecipe({ model, budgetBytes: 2.3 * GiB, imatrix: false }).fits).toBe(false);
  });

  it('is a table of 80 columns and a file of patterns', () => {
    const recipe = ggufRecipe({ model: gguf('qwen3-30b-a3b'), budgetBytes: 16 * GiB });
    const table = recipeTable(recipe, { colour: false, columns: 80, title: 'Qwen3-30B-A3B' });
    const [prose, command] = table.split('Make it\n');
    for (const line of prose!.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(command).toContain('llama-quantize \\\n');
    expect(tensorTypeFile(recipe).trim().split('\n')).toHaveLength(recipe.tensorTypes.length);
  });
});

describe('what llama-quantize accepts', () => {
  it('lists every mix, and the type that it starts from', () => {
    expect(Object.keys(quantizeFileTypes).sort()).toEqual([...mixNames].sort());
    const model = gguf('qwen3-8b');
    for (const mix of mixNames) {
      if (mix === 'mxfp4_moe') continue;
      const types = new Set(applyMix(model, mix, { pure: true }).tensors.map(({ type }) => type));
      expect(types, mix).toContain(quantizeFileTypes[mix]);
    }
  });
});
