// How weights are stored: the schemes of presets/quantizations, and the scheme that a checkpoint's quantization_config
// describes. It says bits, groups, scales and what stays in 16 bit; what an engine makes of them in memory is the engine's.
import { type Dtype, isJsonObject, type Json, type QuantizationConfig } from './model.ts';

const weightFormats = [
  'none',
  'fp8-online',
  'fp8-tensor',
  'fp8-channel',
  'fp8-block',
  'int8-channel',
  'int-group',
  'awq',
  'gptq',
  'nvfp4',
  'mxfp4',
  'mxfp8',
  'bnb-4bit',
  'bnb-8bit',
  'codebook',
  'gguf',
] as const;
export type WeightFormat = (typeof weightFormats)[number];

/** How the entries of an ignore list are compared with a module's name. */
const ignoreMatches = ['exact', 'substring', 'regex', 'glob', 'modules', 'components'] as const;
type IgnoreMatch = (typeof ignoreMatches)[number];

export interface QuantizationScheme {
  id: string;
  name?: string;
  synonyms?: string[];
  /** The engine's name of the method, as in quantization_config.quant_method. */
  method: string;
  format: WeightFormat;
  bits: number;
  /** Inputs that share a scale; absent: one scale per tensor, channel or block. */
  group?: number;
  /** Block of outputs x inputs that share a scale. */
  block?: [outputs: number, inputs: number];
  zeroPoints?: boolean;
  actOrder?: boolean;
  /** The checkpoint carries scales for the activations. */
  staticActivations?: boolean;
  /** Scales are stored as powers of two in one byte. */
  scaleFormat?: 'ue8m0';
  /** Scales are quantized themselves (bitsandbytes). */
  nestedScales?: boolean;
  /** Which weights stay in 16 bit, by module name. */
  ignore: string[];
  match: IgnoreMatch;
  /** Further entries for models with routed experts: checkpoints of those list their routers. */
  ignoreWithExperts?: string[];
  /** Only modules that contain one of these are quantized (GPTQ's modules_in_block_to_quantize). */
  only?: string[];
  /** Routed experts are stored in another format than the rest. */
  expertFormat?: WeightFormat;
  /** Only the experts are quantized. */
  expertsOnly?: boolean;
  /** lm_head is quantized too. */
  head?: boolean;
  /** Checkpoint of its own, or made while loading a 16-bit one. */
  online?: boolean;
  minCapability?: string;
  native?: string;
  since?: string;
  until?: string;
  bitsPerWeight?: number;
  /** Zero points of so many bits; absent: of the weights' own. */
  zeroPointBits?: number;
  /** Bytes of the codebooks of one matrix. */
  codebookBytes?: number;
  /** What the whole model computes in (fp32, fp16, bf16). */
  dtype?: Dtype;
  /** Name of the mix for llama-quantize, and whether files of it are made with an importance matrix. */
  mix?: string;
  imatrix?: boolean;
  /** Entry of presets/hardware-formats.yaml that says what a GPU does with it. */
  law?: string;
  /** What the activations are in where the GPU multiplies natively. */
  activations?: string;
  /** The scheme whose published figures hold for this one too, and why. */
  evidence?: { scheme: string; note: string };
  /** Engines that have a form of it; absent: vllm. */
  engines?: ('vllm' | 'llama.cpp')[];
  /** llama.cpp builds that have it; since and until are vLLM's releases. */
  build?: { since?: string; until?: string };
  /** Only for models that were trained in it. */
  trained?: boolean;
  /** Only for models with routed experts. */
  needs?: 'experts';
  sources?: string[];
  notes?: string[];
}

/** The preset with this id or synonym. */
export function findScheme(schemes: readonly QuantizationScheme[], id: string): QuantizationScheme | undefined {
  const wanted = plainId(id);
  return schemes.find(
    (scheme) => plainId(scheme.id) === wanted || scheme.synonyms?.some((name) => plainId(name) === wanted),
  );
}

function plainId(id: string): string {
  return id.toLowerCase().replaceAll('_', '-');
}

/** What a checkpoint's own quantization_config says, as a scheme. Undefined when its method is not known. */
export function schemeOfCheckpoint(config: QuantizationConfig): QuantizationScheme | undefined {
  const method = config.method.toLowerCase().replaceAll('_', '-');
  const reader = Object.hasOwn(readers, method) ? readers[method] : undefined;
  return reader ? { id: method, ...reader(config), method: config.method } : undefined;
}

type Reader = (config: QuantizationConfig) => Omit<QuantizationScheme, 'id' | 'method'>;

const readers: Readonly<Record<string, Reader>> = {
  fp8: readFp8,
  'fbgemm-fp8': (config) => ({
    format: 'fp8-channel',
    bits: 8,
    ignore: strings(config.modulesToNotConvert),
    match: 'modules',
  }),
  'compressed-tensors': readCompressedTensors,
  awq: (config) => ({
    format: 'awq',
    bits: numberOr(config.bits, 4),
    group: numberOr(config.groupSize, 128),
    zeroPoints: config.zeroPoint !== false,
    ignore: strings(config.modulesToNotConvert),
    match: 'substring',
  }),
  gptq: readGptq,
  'gptq-marlin': readGptq,
  bitsandbytes: (config) => ({
    format: config.loadIn8bit === true ? 'bnb-8bit' : 'bnb-4bit',
    bits: config.loadIn8bit === true ? 8 : 4,
    nestedScales: config.bnb4bitUseDoubleQuant === true,
    ignore: strings(config.llmInt8SkipModules),
    match: 'components',
  }),
  modelopt: readModelopt,
  'modelopt-fp4': readModelopt,
  mxfp4: (config) => ({
    format: 'mxfp4',
    bits: 4,
    group: 32,
    expertsOnly: true,
    ignore: strings(config.modulesToNotConvert),
    match: 'glob',
  }),
  gguf: () => ({ format: 'gguf', bits: 4, ignore: [], match: 'exact' }),
};

function readFp8(config: QuantizationConfig): Omit<QuantizationScheme, 'id' | 'method'> {
  const block = config.weightBlockSize;
  return {
    format: Array.isArray(block) ? 'fp8-block' : 'fp8-tensor',
    bits: 8,
    ...(Array.isArray(block) ? { block: [Number(block[0]), Number(block[1])] as [number, number] } : {}),
    staticActivations: config.activationScheme === 'static',
    ...(config.scaleFmt === 'ue8m0' ? { scaleFormat: 'ue8m0' as const } : {}),
    ignore: [...strings(config.ignoredLayers), ...strings(config.modulesToNotConvert)],
    match: 'modules',
  };
}

function readGptq(config: QuantizationConfig): Omit<QuantizationScheme, 'id' | 'method'> {
  return {
    format: 'gptq',
    bits: numberOr(config.bits, 4),
    group: numberOr(config.groupSize, 128),
    actOrder: config.descAct === true,
    head: config.lmHead === true,
    ignore: [],
    match: 'substring',
    ...(Array.isArray(config.modulesInBlockToQuantize) ? { only: flatStrings(config.modulesInBlockToQuantize) } : {}),
  };
}

function readModelopt(config: QuantizationConfig): Omit<QuantizationScheme, 'id' | 'method'> {
  const algorithm = String(config.quantAlgo ?? '').toUpperCase();
  const weights = firstGroup(config)?.weights;
  const four = algorithm.includes('FP4') || (isJsonObject(weights) && weights.numBits === 4);
  const ignore = [...strings(config.ignore), ...strings(config.excludeModules)];
  if (four) {
    return {
      format: 'nvfp4',
      bits: 4,
      group: numberOr(config.groupSize, 16),
      staticActivations: true,
      ignore,
      match: 'glob',
    };
  }
  return { format: 'fp8-tensor', bits: 8, staticActivations: true, ignore, match: 'glob' };
}

function readCompressedTensors(config: QuantizationConfig): Omit<QuantizationScheme, 'id' | 'method'> {
  const group = firstGroup(config);
  const weights = isJsonObject(group?.weights) ? group.weights : {};
  const activations = isJsonObject(group?.inputActivations) ? group.inputActivations : undefined;
  const bits = numberOr(weights.numBits, 8);
  const size = typeof weights.groupSize === 'number' && weights.groupSize > 0 ? { group: weights.groupSize } : {};
  const common = { bits, ignore: strings(config.ignore), match: 'regex' as const };
  const staticActivations = activations !== undefined && activations.dynamic === false;
  if (weights.type === 'float' && bits === 4) {
    const mx = String(group?.format ?? config.format ?? '').includes('mxfp4');
    return {
      ...common,
      format: mx ? 'mxfp4' : 'nvfp4',
      group: mx ? 32 : 16,
      staticActivations: activations !== undefined,
    };
  }
  if (weights.type === 'float') {
    if (weights.strategy === 'block' && Array.isArray(weights.blockStructure)) {
      const [outputs, inputs] = weights.blockStructure.map(Number);
      return { ...common, format: 'fp8-block', block: [outputs!, inputs!], staticActivations };
    }
    return { ...common, format: weights.strategy === 'tensor' ? 'fp8-tensor' : 'fp8-channel', staticActivations };
  }
  if (bits === 8 && activations !== undefined) return { ...common, format: 'int8-channel', staticActivations };
  return { ...common, ...size, format: 'int-group', zeroPoints: weights.symmetric === false };
}

function firstGroup(config: QuantizationConfig): { [key: string]: Json } | undefined {
  const groups = config.configGroups;
  return isJsonObject(groups) ? Object.values(groups).find(isJsonObject) : undefined;
}

function strings(value: Json | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === 'string') : [];
}

function flatStrings(value: Json[]): string[] {
  return value.flatMap((entry) =>
    Array.isArray(entry) ? flatStrings(entry) : typeof entry === 'string' ? [entry] : [],
  );
}

function numberOr(value: Json | undefined, fallback: number): number {
  return typeof value === 'number' ? value : fallback;
}
