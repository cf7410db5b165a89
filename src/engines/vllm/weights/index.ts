// Weight bytes of one vLLM rank: the checkpoint's tensors become vLLM's modules, a scheme lays each out, and rotary tables,
// attention scales and what a release adds come on top. Law: vLLM model_executor/ of the release, as presets/engines/vllm/
// weights.yaml records it; the totals are those that the release's own model classes hold on that rank.
import type { QuantizationScheme } from '../../../spec/quantization.ts';
import { sum } from '../../../units.ts';
import { dtypeBytes } from '../resolved.ts';
import { allocatedBytes } from './allocator.ts';
import { absorbedMatrices, attentionScalars, causalMask, nvfp4Outputs } from './attention.ts';
import { draftInput, draftResiduals, draftsWithOwnLayers, draftTensors } from './draft.ts';
import { encoderTensors } from './encoders.ts';
import { expertsLayouts } from './layouts/experts.ts';
import { linearLayouts } from './layouts/linear.ts';
import type { LayoutContext, Pieces } from './layouts/types.ts';
import { buildModules, type ModulePlan } from './modules.ts';
import { withoutOffloaded } from './offload.ts';
import { stageRange } from './pipeline.ts';
import { isQuantized } from './quantize.ts';
import { checkInput, checkLinear } from './refusals.ts';
import { distinctTables, rotaryBytes } from './rotary.ts';
import type { WeightRules } from './rules.ts';
import { sparseIndexTables } from './sparse.ts';
import { structureOf } from './structure.ts';
import { buildsTower, loadedTensors, towerBuffers, wholeTower } from './towers.ts';
import { type DeviceTensor, type Module, type RankWeights, Refusal, type WeightsInput } from './types.ts';

export type { RankWeights, WeightsInput } from './types.ts';

/** What a rank holds, or the release's refusal. Pure; `place.stage` counts pipeline stages, `place.tensorRank` ranks in one. */
export function rankWeights(input: WeightsInput): RankWeights | { error: string } {
  try {
    checkInput(input);
    const tensors = onDevice(input);
    const rules = input.profile as Partial<WeightRules>;
    const parts: Record<string, number> = {};
    for (const tensor of tensors) {
      if (!tensor.loaderState) parts[tensor.part] = (parts[tensor.part] ?? 0) + tensor.bytes;
    }
    const blocks = allocatedBytes(
      tensors.map((tensor) => tensor.bytes),
      rules['weights.allocatorSplitLimitBytes'],
    );
    return {
      tensorBytes: sum(Object.values(parts)),
      loadedBytes: blocks + workspaceBytes(input),
      parts,
      confidence: confidenceOf(input),
    };
  } catch (error) {
    if (error instanceof Refusal) return { error: error.message };
    throw error;
  }
}

function confidenceOf({ draft, options }: WeightsInput): RankWeights['confidence'] {
  if (draft?.estimated) return 'estimated';
  return options.cpuOffloadBytes || draft ? 'derived' : 'exact';
}

/** The rank's tensors with the drafter's, without those that stay in host memory: what `tensorBytes` sums up. */
export function deviceTensors(input: WeightsInput): DeviceTensor[] {
  return onDevice(input).filter((tensor) => !tensor.loaderState);
}

function onDevice(input: WeightsInput): DeviceTensor[] {
  const tensors = rankTensors(input);
  const draft = draftInput(input, modulePlan(input));
  if (draft) tensors.push(...draftTensors(rankTensors(draft), input));
  const budget = input.options.cpuOffloadBytes ?? 0;
  return budget > 0 ? withoutOffloaded(tensors, budget) : tensors;
}

/** Every tensor on the device after post-processing, in construction order. */
export function rankTensors(input: WeightsInput): DeviceTensor[] {
  const { architecture, options, spec } = input;
  const rules = input.profile as Partial<WeightRules>;
  const plan = modulePlan(input);
  const context = {
    scheme: input.scheme,
    architecture: spec.architecture,
    moe: architecture.forward.moe !== undefined,
    rules,
  };
  const { modules, laidOut } = structureOf(input, {
    plan,
    build: () => buildModules(encoderTensors(loadedTensors(input), spec.architecture, rules), plan),
    isLaidOut: (module) => isLaidOut(module, context),
  });
  const rocm = rocmLayout(input.gpu);
  const layout: LayoutContext = {
    capability: capabilityNumber(input.gpu.computeCapability),
    ...(rocm ? { rocm } : {}),
    multiprocessors: input.gpu.multiprocessors ?? 0,
    dtypeBytes: plan.dtypeBytes,
    rules,
    scheme: withExpertFormat(input),
  };
  const hasAttention = architecture.caches.some(
    (entry) => entry.layer >= plan.layers.start && entry.layer < plan.layers.end && !onlyState(entry.caches),
  );
  const shared = rules['weights.oneRotaryTable']?.includes(spec.architecture) === true;
  const tables = shared ? architecture.rotary.slice(-1) : architecture.rotary;
  const rotary = hasAttention ? distinctTables(tables, plan.layers) : [];
  const mla = architecture.caches.some((entry) => entry.caches.some((cache) => cache.kind === 'mla'));
  const tensors = secondEmbedding(modules, input, rules);
  for (const [i, module] of modules.entries()) place(module, tensors, { quantized: laidOut[i]!, layout, tp: plan.tp });
  tensors.push(
    ...rotary.map((table, i) => ({
      name: `rotary ${i}`,
      bytes: rotaryBytes(table, {
        dtypeBytes: plan.dtypeBytes,
        architecture: spec.architecture,
        enforceEager: options.enforceEager,
        originalPositions: numberOf(spec.config.originalMaxPositionEmbeddings),
        mla,
        rules,
      }),
      part: 'buffers',
    })),
    ...towerBuffers(input),
    ...causalMask(input, rules),
    ...attentionScalars(architecture, plan.layers, rules),
    ...nvfp4Outputs(input, plan.layers),
    ...sparseIndexTables(input, plan.layers),
    ...draftResiduals(input, plan),
    ...(withoutLatents(input) ? [] : absorbedMatrices(modules, input, context)),
  );
  return tensors;
}

/** DeepSeek-V4 states in expert_dtype that the experts of an FP8 checkpoint are FP4 with a scale per 32 values. */
function withExpertFormat({ scheme, spec }: WeightsInput): QuantizationScheme {
  if (!scheme) return { id: 'none', method: 'none', format: 'none', bits: 16, ignore: [], match: 'exact' };
  const isFp4 = scheme.method === 'fp8' && scheme.format === 'fp8-block' && spec.config.expertDtype === 'fp4';
  return isFp4 ? { ...scheme, expertFormat: 'mxfp4' } : scheme;
}

/** The embedding once more, for classes that build their own beside the language model's. */
function secondEmbedding(
  modules: readonly Module[],
  { spec }: WeightsInput,
  rules: Partial<WeightRules>,
): DeviceTensor[] {
  if (!rules['weights.secondEmbedding']?.includes(spec.architecture)) return [];
  const own = modules.find((module) => module.kind === 'plain' && module.role === 'embedding');
  if (own?.kind !== 'plain') return [];
  return [{ name: 'embed_tokens', bytes: own.elements * own.elementBytes, part: own.part }];
}

function isLaidOut(module: Module, context: Parameters<typeof isQuantized>[1]): boolean {
  return module.kind !== 'plain' && isQuantized(module, context);
}

interface Layout {
  quantized: boolean;
  layout: LayoutContext;
  tp: number;
}

/** Adds the module's tensors; there are thousands, so no list is made in between. */
function place(module: Module, into: DeviceTensor[], { quantized, layout, tp }: Layout): void {
  const { name, part, layer } = module;
  if (module.kind === 'plain') {
    const { elements, elementBytes, whole } = module;
    const tensor: DeviceTensor = { name, bytes: elements * elementBytes, part, whole };
    if (layer !== undefined) tensor.layer = layer;
    into.push(tensor);
    return;
  }
  if (quantized && module.kind === 'linear') checkLinear(module, layout, tp);
  const format = quantized ? layout.scheme.format : 'none';
  const pieces: Pieces =
    module.kind === 'linear'
      ? linearLayouts[format](module, layout)
      : expertsLayouts[quantized ? (layout.scheme.expertFormat ?? format) : format](module, layout);
  const whole = module.kind === 'linear' && module.parallel === 'replicated';
  for (const [suffix, bytes, kept] of pieces) {
    const tensor: DeviceTensor = { name: `${name}.${suffix}`, bytes, part, whole };
    if (layer !== undefined) tensor.layer = layer;
    if (kept) tensor.loaderState = true;
    into.push(tensor);
  }
}

function modulePlan(input: WeightsInput): ModulePlan {
  const { architecture, options, place: at, spec } = input;
  const rules = input.profile as Partial<WeightRules>;
  const stages = options.pipelineParallelSize;
  const partition = options.env?.VLLM_PP_LAYER_PARTITION;
  const layers = stageRange({
    layers: layerCount(input),
    stages,
    stage: at.stage,
    split: rules['weights.pipelineSplit'] ?? 'remainder-before-last',
    ...(partition ? { partition } : {}),
  });
  const tp = options.tensorParallelSize;
  const span = rules['weights.expertTensorSpan'] === 'tp' ? tp : tp * options.dataParallelSize;
  return {
    tp,
    tensorRank: at.tensorRank,
    layers,
    firstStage: at.stage === 0,
    lastStage: at.stage === stages - 1,
    towerStage: buildsTower(input),
    embeddingStages: embeddingStages(spec.architecture, rules),
    wholeLinears: wholeLinears(input, rules),
    float32Routers: rules['weights.float32Routers']?.includes(spec.architecture) ?? false,
    tied: architecture.tied,
    keepsStart: architecture.tied && (rules['weights.transformersBackend']?.includes(spec.architecture) ?? false),
    dtypeBytes: dtypeBytes[options.dtype],
    experts: {
      size: span,
      rank: at.tensorRank,
      parallel: options.enableExpertParallel && span > 1,
      tensorSize: span,
      placement: rules['weights.expertRemainder'] === 'last' ? 'rest-last' : 'rest-first',
      minimumInner: rules['weights.expertMinimumInner']?.[spec.architecture] ?? 0,
    },
    replicatedTowers: wholeTower(input),
    draftLayers: draftsWithOwnLayers(input),
    idleKv: rules['weights.idleKv'] ?? true,
  };
}

/** Decoder layers; a configuration that leaves them to its class has them in the cache list only. */
function layerCount({ architecture, spec }: WeightsInput): number {
  return architecture.caches.reduce((most, entry) => Math.max(most, entry.layer + 1), spec.config.layers ?? 0);
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function wholeLinears({ spec, scheme }: WeightsInput, rules: Partial<WeightRules>): RegExp[] {
  const method = scheme?.method.toLowerCase() ?? 'none';
  return (rules['weights.wholeUnderMethods'] ?? [])
    .filter(({ classes, methods }) => classes.includes(spec.architecture) && methods.includes(method))
    .map(({ pattern }) => new RegExp(pattern));
}

function embeddingStages(architecture: string, rules: Partial<WeightRules>): ModulePlan['embeddingStages'] {
  if (rules['weights.transformersBackend']?.includes(architecture)) return 'usual';
  return rules['weights.embeddingStages']?.[architecture] ?? 'usual';
}

function onlyState(caches: readonly { kind: string }[]): boolean {
  return caches.length > 0 && caches.every((cache) => cache.kind === 'state');
}

/** Kernels of one generation lay weights out alike: no rule tells 8.0 from 8.6, or 12.0 from 12.1. */
export function layoutGeneration(computeCapability: string | undefined): number {
  const capability = capabilityNumber(computeCapability);
  const starts = [120, 110, 100, 90, 89, 80, 75, 1];
  return starts.find((start) => capability >= start) ?? 0;
}

/** Which of ROCm's layouts a GPU takes; undefined on others. */
export function rocmLayout({ vendor, architecture }: WeightsInput['gpu']): LayoutContext['rocm'] {
  if (vendor !== 'amd') return undefined;
  return architecture?.includes('gfx950') ? 'cdna4' : 'other';
}

/** 9.0 -> 90; 0 for devices without a CUDA capability. */
function capabilityNumber(text: string | undefined): number {
  return text === undefined ? 0 : Math.round(Number(text) * 10);
}

/** MLA models run with ordinary attention. vllm/envs.py VLLM_MLA_DISABLE. */
function withoutLatents({ options }: WeightsInput): boolean {
  return options.env?.VLLM_MLA_DISABLE === '1';
}

/** Workspaces that are allocated while the model loads and therefore count as weights. */
function workspaceBytes(input: WeightsInput): number {
  const rules = input.profile as Partial<WeightRules>;
  const mla = input.architecture.caches.some((entry) => entry.caches.some((cache) => cache.kind === 'mla'));
  return mla && !withoutLatents(input) ? (rules['weights.mlaWorkspaceBytes'] ?? 0) : 0;
}
