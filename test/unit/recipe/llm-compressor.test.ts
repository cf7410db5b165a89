// Recipes for llm-compressor: the YAML, read back with the rules of compressed-tensors and vLLM, gives every module the scheme and the
// checkpoint the bytes that the recipe claims.
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { checkpointStorage } from '../../../src/accounting/storage.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import type { Architecture, TensorGroup } from '../../../src/architecture/types.ts';
import { loadPreset, loadPresets } from '../../../src/load/presets.ts';
import { compressedTensorsStrategies, compressedTensorsTypes, illegalArgs } from '../../../src/plan/recipe/legal.ts';
import { compressorYaml } from '../../../src/plan/recipe/llm-compressor.ts';
import { publishedIgnore } from '../../../src/plan/recipe/matrices.ts';
import { type ModuleRecipeInput, moduleRecipe } from '../../../src/plan/recipe/modules.ts';
import type { LlmCompressorRecipe } from '../../../src/plan/recipe/types.ts';
import { recipeTable } from '../../../src/render/recipe.ts';
import { findScheme } from '../../../src/spec/quantization.ts';
import { divCeil, GiB } from '../../../src/units.ts';

const models = [
  'command-r-v01',
  'deepseek-v2-lite',
  'deepseek-v3',
  'falcon-7b',
  'gemma-2-9b',
  'gemma-3-12b',
  'gemma-4-26b-a4b',
  'gemma-4-e2b',
  'glm-4.5-air',
  'gpt-oss-20b',
  'gpt2',
  'granite-3.1-1b-a400m',
  'granite-4.0-h-small',
  'kimi-linear-48b-a3b',
  'llama-2-7b',
  'llama-3.1-70b',
  'llama-3.1-8b',
  'llama-3.2-1b',
  'llama-4-scout',
  'minicpm3-4b',
  'minimax-m3',
  'mistral-small-3.2-24b',
  'mixtral-8x7b',
  'nemotron-nano-9b-v2',
  'olmo-2-7b',
  'phi-3.5-mini',
  'phi-4',
  'qwen2-57b-a14b',
  'qwen2.5-0.5b',
  'qwen2.5-vl-7b',
  'qwen3-235b-a22b',
  'qwen3-30b-a3b',
  'qwen3-8b',
  'qwen3-next-80b-a3b',
  'qwen3-vl-30b-a3b',
  'qwen3.5-35b-a3b',
];

const architectures = new Map<string, Architecture>();

function architectureOf(id: string): Architecture {
  let known = architectures.get(id);
  if (!known) {
    known = expandArchitecture(loadPreset('models', id));
    architectures.set(id, known);
  }
  return known;
}

interface Args {
  num_bits: number;
  type: string;
  symmetric: boolean;
  strategy: string;
  group_size?: number;
  dynamic?: boolean;
}
interface Group {
  targets: string[];
  weights: Args;
  input_activations?: Args;
}
type Yaml = {
  quant_stage: { quant_modifiers: Record<string, { ignore: string[]; config_groups: Record<string, Group> }> };
};

const compiled = new Map<string, RegExp>();
/** Python's re.match. */
function matches(target: string, name: string): boolean {
  if (!target.startsWith('re:')) return target === name;
  const expression = compiled.get(target) ?? new RegExp(`^(?:${target.slice(3)})`);
  compiled.set(target, expression);
  return expression.test(name);
}

/** Every linear module of one layer, one name for each expert of the first, the middle and the last. */
function* modules(group: TensorGroup): Generator<{ names: string[]; layer: number }> {
  for (const layer of group.layers ?? [0]) {
    const name = group.name.replace('{layer}', String(layer)).replace(/\.weight$/, '');
    if (!group.experts || !group.role.startsWith('expert')) yield { names: [name], layer };
    else {
      const numbers = [0, group.experts >> 1, group.experts - 1];
      if (name.includes('{expert}')) yield { names: numbers.map((n) => name.replace('{expert}', String(n))), layer };
      else {
        const parent = name.replace(/\.experts\..*$|\.(input|output)_linear$/, '');
        const parts = group.role === 'expert-gate-up' ? ['gate_proj', 'up_proj'] : ['down_proj'];
        yield { names: numbers.flatMap((n) => parts.map((part) => `${parent}.experts.${n}.${part}`)), layer };
      }
    }
  }
}

/** Bytes of one matrix of a module under QuantizationArgs: packed int32 words, or a byte for each FP8 value; 16-bit scales. */
function matrixBytes(args: Args, outputs: number, inputs: number): number {
  const scales = args.strategy === 'group' ? outputs * divCeil(inputs, args.group_size!) : outputs;
  if (args.type === 'float') return outputs * inputs + 2 * scales;
  return outputs * 4 * divCeil(inputs * args.num_bits, 32) + 2 * scales + 2 * 8;
}

function check(recipe: LlmCompressorRecipe, architecture: Architecture): void {
  const { quant_modifiers: modifiers } = (parse(compressorYaml(recipe)) as Yaml).quant_stage;
  const groups = Object.values(modifiers).flatMap(({ ignore, config_groups }) =>
    Object.values(config_groups).map((group) => ({ ...group, ignore })),
  );
  for (const name of Object.keys(modifiers)) expect(['GPTQModifier', 'QuantizationModifier']).toContain(name);
  for (const { weights, input_activations, targets } of groups) {
    for (const args of [weights, ...(input_activations ? [input_activations] : [])]) {
      expect(illegalArgs(args)).toEqual([]);
      expect(compressedTensorsTypes).toContain(args.type);
      expect(compressedTensorsStrategies).toContain(args.strategy);
    }
    expect(targets.length).toBeGreaterThan(0);
  }
  let bytes = 0;
  const fused = new Map<string, string>();
  const wrong: string[] = [];
  for (const group of architecture.tensors) {
    if (group.derived || group.unloaded || group.part === 'mtp') continue;
    const values = group.shape.reduce((a, b) => a * b, 1) * (group.experts ?? 1);
    const width = group.dtype === undefined ? 2 : { float32: 4, int64: 8, int32: 4, uint8: 1 }[group.dtype];
    if (!group.linear) {
      bytes += values * width * (group.layers?.length ?? 1);
      continue;
    }
    for (const { names, layer } of modules(group)) {
      const found = names.map((name) =>
        groups.filter(
          ({ targets, ignore }) =>
            targets.some((target) => matches(target, name)) && !ignore.some((entry) => matches(entry, name)),
        ),
      );
      if (found.some((of) => of.length > 1 || of[0] !== found[0]![0])) wrong.push(`${names} in several groups`);
      const scheme = found[0]![0];
      const key = group.role.startsWith('expert-') ? `${layer} experts` : `${layer} ${group.merge ?? group.name}`;
      const told = scheme ? JSON.stringify(scheme.weights) : 'none';
      if ((fused.get(key) ?? told) !== told) wrong.push(`${names[0]} unlike others of ${key}`);
      fused.set(key, told);
      if (!scheme) {
        bytes += values * width;
        continue;
      }
      if (group.part !== 'text') wrong.push(`${names[0]} of ${group.part}`);
      const [outputs, inputs] = group.shape as [number, number];
      if (inputs % (scheme.weights.group_size ?? 1) !== 0) wrong.push(`${names[0]}: ${inputs} inputs`);
      const halves = group.stacked && group.role === 'expert-gate-up' ? 2 : 1;
      bytes += halves * (group.experts ?? 1) * matrixBytes(scheme.weights, outputs / halves, inputs);
    }
  }
  expect(wrong).toEqual([]);
  expect(bytes).toBe(recipe.bytes);
  expect(recipe.groups.reduce((sum, group) => sum + group.bytes, 0)).toBe(recipe.bytes);
}

const all = (input: Omit<ModuleRecipeInput, 'budgetBytes'>, budgetBytes: number) =>
  moduleRecipe({ ...input, budgetBytes });

describe('recipes for llm-compressor', () => {
  it.each(models)('%s: the YAML gives the schemes and the bytes claimed', (id) => {
    const architecture = architectureOf(id);
    const least = all({ architecture }, 0);
    const most = all({ architecture }, Number.MAX_SAFE_INTEGER);
    expect(least.fits).toBe(false);
    check(least, architecture);
    expect(most.configGroups).toEqual([]);
    for (const [share, eightBit] of [
      [0.1, 'fp8'],
      [0.6, 'fp8'],
      [0.3, 'w8a16'],
    ] as const) {
      const budgetBytes = Math.floor(least.bytes + share * (most.bytes - least.bytes));
      const recipe = all({ architecture, eightBit }, budgetBytes);
      expect(recipe.fits).toBe(true);
      expect(recipe.bytes).toBeLessThanOrEqual(budgetBytes);
      check(recipe, architecture);
    }
  });

  it('all in 4 bits is the checkpoint that W4A16 makes, all in 8 bits that of FP8', () => {
    for (const id of ['llama-3.1-8b', 'llama-3.1-70b', 'qwen3-30b-a3b', 'mixtral-8x7b', 'qwen3-8b']) {
      const architecture = architectureOf(id);
      const scheme = findScheme(loadPresets('quantizations'), 'w4a16');
      expect(all({ architecture }, 0).bytes, id).toBe(checkpointStorage(architecture, scheme).totalBytes);
    }
  });

  it('gives the sensitive modules more: down_proj, and the attention where heads share K and V', () => {
    const recipe = all({ architecture: architectureOf('llama-3.1-8b') }, 7 * GiB);
    const bits = (role: string) => {
      const groups = recipe.groups.filter((group) => group.role === role);
      return groups.reduce((sum, g) => sum + 8 * g.bytes, 0) / groups.reduce((sum, g) => sum + g.parameters, 0);
    };
    expect(bits('MLP down')).toBeGreaterThan(bits('MLP gate'));
    expect(bits('attention v')).toBeGreaterThan(bits('MLP up'));
    expect(bits('output')).toBe(16);
  });

  it('keeps groups whole on every rank', () => {
    const architecture = architectureOf('qwen2.5-7b');
    const one = all({ architecture }, 0);
    const four = all({ architecture, tensorParallel: 4 }, 0);
    const eight = all({ architecture, tensorParallel: 8 }, 0);
    const narrow = (recipe: LlmCompressorRecipe) =>
      recipe.groups.filter(({ fixed, type }) => !fixed && type !== 'w4a16').map(({ role }) => role);
    // 3584 and 18944 inputs: 28 and 148 groups of 128.
    expect(narrow(one)).toEqual([]);
    expect(narrow(four)).toEqual([]);
    expect(narrow(eight)).toEqual(['attention output', 'MLP down']);
  });

  it('ignores what the published checkpoints do', () => {
    const preset = findScheme(loadPresets('quantizations'), 'w4a16')!;
    for (const entry of preset.ignore.filter((entry) => entry !== 'lm_head')) expect(publishedIgnore).toContain(entry);
    expect(all({ architecture: architectureOf('qwen2.5-vl-7b') }, 0).ignore.join(' ')).toContain('visual');
  });

  it('is a table of 80 columns', () => {
    const recipe = all({ architecture: architectureOf('mixtral-8x7b') }, 40 * GiB);
    const table = recipeTable(recipe, { colour: false, columns: 80 });
    const [prose, yaml] = table.split(/^Recipe for .*$/m);
    for (const line of prose!.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    expect(parse(yaml!)).toHaveProperty('quant_stage');
  });
});
