// `vram quantize --recipe`: a mixed-precision recipe for every engine asked for, as a table, as data, or as what its tool reads.

import { parameterCount } from '../architecture/build.ts';
import { toGguf } from '../architecture/gguf/index.ts';
import { expandArchitecture } from '../architecture/index.ts';
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { engineIdOf, resolveLlamaRef } from '../load/engine.ts';
import { vllmRegistry } from '../load/flags.ts';
import { envelope } from '../plan/output.ts';
import { llamaRecipe, type PlannedRecipe, type RecipeOutput, vllmRecipe } from '../plan/quantize-recipes.ts';
import { recipeTable, recipeText } from '../render/recipe.ts';
import type { TableStyle } from '../render/table.ts';
import { resolveArguments } from './plan-request.ts';
import type { QuantizeArguments } from './quantize-request.ts';
import { splitOver } from './quantize-split.ts';

const usualContext = 8192;

export async function quantizeRecipes(args: QuantizeArguments, io: Io): Promise<RecipeOutput> {
  if (args.gpu === undefined) {
    throw inputError('VRAM169', 'a recipe needs a GPU to fit on', {
      hint: 'add --gpu, e.g. --gpu rtx4090',
      path: '--gpu',
    });
  }
  const refs = (args.engine ?? 'vllm,llama.cpp').split(',').map((ref) => ref.trim());
  const vllmRef = refs.find((ref) => engineIdOf(ref) === 'vllm');
  const llamaRef = refs.find((ref) => engineIdOf(ref) !== 'vllm');
  const { quantization: _, ...given } = args.given;
  const resolved = await resolveArguments({ ...args, engine: vllmRef ?? 'vllm', given }, io);
  const { request: found, count } = resolved.devices!;
  const { diagnostics } = resolved;
  const { spec } = found;
  const architecture = expandArchitecture(spec);
  const context = args.context ?? Math.min(usualContext, spec.config.maxPositionEmbeddings ?? usualContext);
  const concurrency = args.concurrency ?? 1;
  const split = splitOver(found, given, count, diagnostics);
  const recipes: PlannedRecipe[] = [];
  if (llamaRef !== undefined) {
    const source = toGguf(spec, architecture);
    if (source) {
      const { version, build, rules } = resolveLlamaRef(llamaRef);
      const parallel = args.llama?.parallel ?? concurrency;
      const options = { ...args.llama, parallel, ctxSize: args.llama?.ctxSize ?? context * concurrency };
      const { freeMemoryBytes: free } = found;
      const gpus = found.gpus.length === 1 ? Array.from({ length: count }, () => found.gpus[0]!) : found.gpus;
      const freeBytes = free && (free.length === gpus.length ? free : gpus.map(() => free[0]!));
      recipes.push(
        llamaRecipe(
          {
            spec,
            model: source,
            scheme: 'recipe',
            gpus,
            version,
            build,
            rules,
            options,
            ...(freeBytes ? { freeBytes } : {}),
          },
          source,
        ),
      );
    }
  }
  if (vllmRef !== undefined) {
    const request = {
      ...found,
      spec: { ...spec, quantization: undefined } as typeof spec,
      scheme: undefined,
      options: { ...found.options, ...split, maxModelLen: given.maxModelLen ?? context },
      context,
      concurrency,
    };
    recipes.push(vllmRecipe(request as never, architecture, vllmRegistry()));
  }
  const gpu = found.gpus[0]!;
  const input: RecipeOutput['input'] = {
    model: {
      id: spec.id,
      name: spec.name ?? spec.id,
      hfId: spec.hfId ?? null,
      architecture: spec.architecture,
      parameters: spec.parameters ?? parameterCount(architecture.tensors, 'text'),
      published: spec.config.dtype ?? 'bfloat16',
    },
    gpu: {
      id: gpu.id,
      name: gpu.name,
      vendor: gpu.vendor,
      count,
      cudaTotalBytes: gpu.cudaTotalBytes,
      computeCapability: gpu.computeCapability ?? null,
    },
    engines: refs.map((ref) => ({ id: engineIdOf(ref), name: engineIdOf(ref), version: ref.split('@')[1] ?? '' })),
    parallel: {
      tp: split.tensorParallelSize ?? 1,
      pp: split.pipelineParallelSize ?? 1,
      dp: found.options.dataParallelSize,
    },
  };
  return envelope('quantize', input, { recipes }, diagnostics);
}

/** The file that the tool reads: one recipe only. */
export function recipeFile({ result }: RecipeOutput): string {
  const [first, ...others] = result.recipes;
  if (first && others.length === 0) return recipeText(first.recipe);
  throw inputError('VRAM168', '--recipe-out takes the recipe of one engine', {
    hint: 'add --engine llama.cpp (llama-quantize) or --engine vllm (llm-compressor)',
    path: '--recipe-out',
  });
}

export function recipesText({ input, result }: RecipeOutput, style: TableStyle): string {
  const names = { vllm: 'vLLM, made by llm-compressor', 'llama.cpp': 'llama.cpp, made by llama-quantize' };
  return result.recipes
    .map(({ engine, recipe }) => recipeTable(recipe, { ...style, title: `${input.model.name} for ${names[engine]}` }))
    .join('\n');
}
