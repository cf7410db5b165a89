// Whether flash attention is in effect: what -fa asks for, which heads and cache types the CUDA backend has a kernel for in a
// build, and what `auto` makes of it. Law: ggml/src/ggml-cuda/fattn.cu (ggml_cuda_get_best_fattn_kernel, compute capability 7.5
// and later), src/llama-context.cpp (resolve_fused_ops): auto stays on only if every layer's kernel runs where the layer lies.
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { LlamaHparams } from './hparams.ts';
import { attentionLayers, memoryKind } from './layers.ts';
import type { LlamaRules } from './rules.ts';
import type { FlashAttention, LlamaOptions, Placement } from './types.ts';

/** Sizes of the heads of K and V that the CUDA backend has a kernel for. */
export interface FlashHeads {
  /** Where both are alike. */
  equal: 'any' | 'anyBut192' | readonly number[];
  /** Other pairs; query heads per KV head are a multiple of `group`, or at least `groupLeast`. */
  other: readonly { key: number; value: number; group?: number; groupLeast?: number }[];
}

/** Types of K and V that it has a kernel for, and whether they may differ. */
export interface FlashTypes {
  types: readonly GgmlType[];
  mixed: boolean;
}

interface FlashRules {
  'context.flashMode': 'switch' | 'auto';
  'context.flashEqualHeads': boolean;
  'context.flashHeads': FlashHeads;
  'context.flashTypes': FlashTypes;
  'context.flashStrays': readonly string[];
  'context.sinksOffloaded': readonly string[];
  /** Latent attention has a cache of V as well. */
  'kv.mlaV': boolean;
}

/** The mode that the context starts with: a build's default, and what the model forbids. */
export function flashMode(options: LlamaOptions, hparams: LlamaHparams, rules: LlamaRules): FlashAttention {
  const law = rules as unknown as FlashRules;
  const isSwitch = law['context.flashMode'] === 'switch';
  const asked = options.flashAttn ?? (isSwitch ? 'off' : 'auto');
  // As a switch it was on or not given at all.
  const mode = isSwitch && asked === 'auto' ? 'off' : asked;
  if (hparams.architecture === 'grok') return 'off';
  const unequal = hparams.keyLength[0] !== hparams.valueLength[0];
  return law['context.flashEqualHeads'] && unequal ? 'off' : mode;
}

export interface CacheTypes {
  typeK: GgmlType;
  typeV: GgmlType;
}

/** Values are read out of the keys: latent attention, and DeepSeek-V4's. */
export const keepsKeysOnly = ({ mla, compressRatios }: LlamaHparams): boolean =>
  mla !== undefined || compressRatios !== undefined;

/** Whether the CUDA backend computes this layer's attention with these cache types. */
export function hasFlashKernel(layer: number, hparams: LlamaHparams, types: CacheTypes, rules: LlamaRules): boolean {
  const law = rules as unknown as FlashRules;
  const key = hparams.keyLength[layer] ?? 0;
  const value = hparams.valueLength[layer] ?? 0;
  const group = Math.floor((hparams.heads[layer] ?? 0) / Math.max(1, hparams.kvHeads[layer] ?? 0));
  if (!takesHeads(law['context.flashHeads'], { key, value, group })) return false;
  // Without a cache K and V are cast to f16, as a float32 cache is; latent attention mostly reads V out of K.
  const cached = memoryKind(hparams, rules) !== 'none';
  const seen = (type: GgmlType): GgmlType => (cached && type !== 'f32' ? type : 'f16');
  const typeK = seen(types.typeK);
  const typeV = keepsKeysOnly(hparams) && !law['kv.mlaV'] ? typeK : seen(types.typeV);
  return takesTypes(law['context.flashTypes'], { typeK, typeV });
}

/** Whether a kernel exists for these head sizes. */
export function takesHeads({ equal, other }: FlashHeads, x: { key: number; value: number; group: number }): boolean {
  const special = other.find((row) => row.key === x.key && row.value === x.value);
  if (special) return x.group % (special.group ?? 1) === 0 && x.group >= (special.groupLeast ?? 0);
  if (equal === 'any') return true;
  return x.key === x.value && (equal === 'anyBut192' ? x.key !== 192 : equal.includes(x.key));
}

/** Whether a kernel exists for these types of K and V. */
export function takesTypes({ types, mixed }: FlashTypes, { typeK, typeV }: CacheTypes): boolean {
  return types.includes(typeK) && types.includes(typeV) && (mixed || typeK === typeV);
}

/** Rows from which on an operation is worth offloading. */
const offloadRows = 32;

export interface AutoFlashInput {
  hparams: LlamaHparams;
  types: CacheTypes;
  placement: Pick<Placement, 'layers'>;
  /** Caches and states lie on their layers' devices, not on the host. */
  offloadKqv: boolean;
  /** Host layers' operations on large batches are computed on a GPU. */
  opOffload: boolean;
  rules: LlamaRules;
}

/** What -fa auto ends as: on, unless a layer on a GPU has no kernel or its attention is scheduled on another device. */
export function autoFlash(input: AutoFlashInput): boolean {
  const { hparams, types, placement, rules } = input;
  const layers = attentionLayers(hparams, rules);
  const missing = layers.some((il) => placement.layers[il] !== 'cpu' && !hasFlashKernel(il, hparams, types, rules));
  return !missing && !layers.some((il) => strays(il, layers, input) || offloadsSinks(il, input));
}

/** Attention of at least 32 rows (heads) that reads a weight of a host layer goes to the GPU, as any multiplication would. */
function offloadsSinks(layer: number, { hparams, placement, opOffload, rules }: AutoFlashInput): boolean {
  const has = (rules as unknown as FlashRules)['context.sinksOffloaded'].includes(hparams.architecture);
  return has && opOffload && placement.layers[layer] === 'cpu' && (hparams.heads[layer] ?? 0) >= offloadRows;
}

/**
 * The next block's state is gathered between this layer's attention and its output matrix, and where that state lies on the other
 * side (host or GPU) the scheduler takes the attention along. LFM2 1.2B with 8 of 17 layers on a GPU; Nemotron-H with -nkvo.
 */
function strays(layer: number, layers: readonly number[], input: AutoFlashInput): boolean {
  const { hparams, types, placement, offloadKqv, rules } = input;
  if (!(rules as unknown as FlashRules)['context.flashStrays'].includes(hparams.architecture)) return false;
  const next = hparams.recurrent.findIndex((recurs, il) => recurs && il >= layer);
  if (next < 0 || layers.some((il) => il > layer && il < next)) return false;
  const onGpu = placement.layers[layer] !== 'cpu';
  const stateOnGpu = offloadKqv && placement.layers[next] !== 'cpu';
  return onGpu !== stateOnGpu && (onGpu || hasFlashKernel(layer, hparams, types, rules));
}
