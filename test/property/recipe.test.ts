// Laws of mixed-precision recipes on random models and budgets: never over the budget, never worse with more, legal for their tool,
// and the bytes of the groups are the bytes claimed.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toGguf } from '../../src/architecture/gguf/index.ts';
import { expandArchitecture } from '../../src/architecture/index.ts';
import { loadPresets } from '../../src/load/presets.ts';
import { ggufRecipe } from '../../src/plan/recipe/gguf.ts';
import { illegalOptions } from '../../src/plan/recipe/legal.ts';
import { illegalRecipe } from '../../src/plan/recipe/llm-compressor.ts';
import { moduleRecipe } from '../../src/plan/recipe/modules.ts';
import type { Recipe } from '../../src/plan/recipe/types.ts';

// Small enough to take a few dozen recipes of.
const specs = loadPresets('models').filter((spec) => (spec.config.layers ?? 0) <= 32);
const share = fc.double({ min: 0.05, max: 1.05, noNaN: true });

function holds(recipe: Recipe): void {
  expect(recipe.fits).toBe(recipe.shortfallBytes === 0);
  if (recipe.fits) expect(recipe.chargedBytes).toBeLessThanOrEqual(recipe.budgetBytes);
  expect(recipe.groups.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(recipe.bytes);
  expect(recipe.groups.reduce((sum, { parameters }) => sum + parameters, 0)).toBe(recipe.parameters);
}

function improves(less: Recipe, more: Recipe): void {
  if (!less.fits) return;
  expect(more.fits).toBe(true);
  expect(more.loss.value).toBeLessThanOrEqual(less.loss.value * (1 + 1e-9));
}

describe('recipes', () => {
  it('for llama-quantize: within the budget, better with more of it, legal', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...specs),
        share,
        share,
        fc.boolean(),
        fc.boolean(),
        (spec, a, b, imatrix, embeddingOnHost) => {
          const model = toGguf(spec, expandArchitecture(spec));
          if (!model) return;
          const whole = 2 * model.tensors.reduce((sum, { ne }) => sum + ne.reduce((x, y) => x * y, 1), 0);
          const [less, more] = [a, b]
            .sort((x, y) => x - y)
            .map((part) => ggufRecipe({ model, budgetBytes: Math.floor(part * whole), imatrix, embeddingOnHost }));
          for (const recipe of [less!, more!]) {
            holds(recipe);
            expect(illegalOptions(recipe)).toEqual([]);
          }
          improves(less!, more!);
        },
      ),
      { numRuns: 15 },
    );
  });

  it('for llm-compressor: within the budget, better with more of it, legal', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...specs),
        share,
        share,
        fc.constantFrom('fp8' as const, 'w8a16' as const),
        fc.constantFrom(1, 2, 4),
        (spec, a, b, eightBit, tensorParallel) => {
          const architecture = expandArchitecture(spec);
          const whole = moduleRecipe({ architecture, budgetBytes: Number.MAX_SAFE_INTEGER }).bytes;
          const [less, more] = [a, b]
            .sort((x, y) => x - y)
            .map((part) =>
              moduleRecipe({ architecture, budgetBytes: Math.floor(part * whole), eightBit, tensorParallel }),
            );
          for (const recipe of [less!, more!]) {
            holds(recipe);
            expect(illegalRecipe(recipe, architecture)).toEqual([]);
          }
          improves(less!, more!);
        },
      ),
      { numRuns: 15 },
    );
  });
});
