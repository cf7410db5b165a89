// `vram quantize --recipe`: what the weights may take beside the cache and the buffers of a deployment, the recipe under that, and the
// deployment planned with it. A recipe that does not fit when it is planned is made again with less.
import type { Architecture } from '../architecture/types.ts';
import { planLlama } from '../engines/llamacpp/plan.ts';
import type { LlamaRequest } from '../engines/llamacpp/request.ts';
import { planVllm } from '../engines/vllm/plan.ts';
import type { RegistryEntry } from '../engines/vllm/registry.ts';
import type { GgufModel } from '../spec/gguf.ts';
import type { Envelope } from './output.ts';
import type { QuantizeInputEcho } from './quantize-output.ts';
import { recipeFor } from './recipe/index.ts';
import { applyOptions } from './recipe/llama-quantize.ts';
import type { LlamaQuantizeRecipe, Recipe } from './recipe/types.ts';
import type { PlanRequest } from './request.ts';

export interface PlannedRecipe {
  engine: 'vllm' | 'llama.cpp';
  recipe: Recipe;
  /** Least that is left on a GPU with it. */
  headroomBytes: number;
}

export type RecipeOutput = Envelope<'quantize', QuantizeInputEcho, { recipes: PlannedRecipe[] }>;

/** Layers are the smallest parts that a split over GPUs moves: the first guess can be a layer too much on one of them. */
const attempts = 24;
const less = 0.985;

/** All layers on the GPUs; `source` holds the model in 16 bits. */
export function llamaRecipe(request: LlamaRequest, source: GgufModel): PlannedRecipe {
  const whole = { ...request, options: { ...request.options, gpuLayers: 'all' as const, fit: false } };
  const measured = planLlama({ ...whole, model: source });
  const onGpus = sumOfGpus(measured.load.bytes.model);
  let budgetBytes = Math.max(0, onGpus + headrooms(measured.plan.devices));
  let made = recipeOf(source, budgetBytes);
  let planned = planLlama({ ...whole, model: applyOptions(source, made) });
  for (let i = 0; i < attempts && made.fits && !planned.plan.verdict.fits; i++) {
    budgetBytes = Math.floor(budgetBytes * less);
    made = recipeOf(source, budgetBytes);
    planned = planLlama({ ...whole, model: applyOptions(source, made) });
  }
  return { engine: 'llama.cpp', recipe: made, headroomBytes: planned.plan.verdict.headroomBytes };
}

function recipeOf(model: GgufModel, budgetBytes: number): LlamaQuantizeRecipe {
  return recipeFor({ tool: 'llama-quantize', model, budgetBytes, embeddingOnHost: true }) as LlamaQuantizeRecipe;
}

function sumOfGpus(places: Readonly<Record<string, number>>): number {
  return Object.entries(places).reduce((sum, [place, bytes]) => sum + (place.startsWith('gpu') ? bytes : 0), 0);
}

/** What is free on all GPUs, or lacking. */
function headrooms(devices: ReturnType<typeof planLlama>['plan']['devices']): number {
  return devices.reduce((sum, { items }) => sum + (items.find(({ id }) => id === 'free')?.bytes ?? 0), 0);
}

/** `request` asks for context and concurrency, and for the model in 16 bits. */
export function vllmRecipe(
  request: PlanRequest,
  architecture: Architecture,
  registry: readonly RegistryEntry[],
): PlannedRecipe {
  const { plan } = planVllm(request, registry);
  const ranks = plan.devices.length;
  const perRank = Math.max(...plan.devices.map(({ weights }) => weights.loadedBytes)) + plan.verdict.headroomBytes;
  const capability = Number(request.gpus[0]!.computeCapability ?? 0);
  const recipe = recipeFor({
    tool: 'llm-compressor',
    architecture,
    budgetBytes: Math.max(0, Math.floor(perRank * ranks)),
    eightBit: capability >= 8.9 ? 'fp8' : 'w8a16',
    tensorParallel: request.options.tensorParallelSize,
  });
  return { engine: 'vllm', recipe, headroomBytes: Math.floor((perRank * ranks - recipe.bytes) / ranks) };
}
