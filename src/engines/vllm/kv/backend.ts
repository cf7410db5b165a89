// Which attention backend a release takes for a layer on a GPU, and the block sizes that backend has. The choice by case and
// capability is data (attention.yaml); here is how a layer maps to a case. Source: vllm/platforms/cuda.py, 0.11.2 to 0.33.
import type { CacheLayout } from '../../../architecture/types.ts';
import type { Dtype } from '../../../spec/model.ts';
import type { Profile } from '../profile.ts';

/** Capability range ("8.0-9.0") to backends, best first. */
type BackendChoice = Readonly<Record<string, readonly string[]>>;

type BackendCase =
  | 'standard'
  | 'head512'
  | 'headOther'
  | 'float32'
  | 'fp8'
  | 'fp8Head256'
  | 'fp8E5m2'
  | 'sink'
  | 'sinkFp8'
  | 'nvfp4'
  | 'perTokenHead'
  | 'turboquant'
  | 'mla'
  | 'mlaFp8'
  | 'mlaSparse'
  | 'mlaSparseFewHeads'
  | 'mlaSparseFp8'
  | 'mlaSparseFp8Ds';

export type AttentionRules = {
  [Case in BackendCase as `attention.${Case}`]?: BackendChoice;
} & {
  'attention.prefixLm'?: BackendChoice;
  /** Major compute capabilities on which FlashInfer reads nvfp4 with its FA2 kernels. */
  'attention.nvfp4OnFa2'?: { majors: readonly number[]; refusedHeadDim: number };
  /** Model types whose images attend in both directions. */
  'attention.prefixLmTypes'?: readonly string[];
  'attention.prefixLmByConfig'?: boolean;
  /** Classes whose layers differ in head size and are all put on Triton, by capability range. */
  'attention.mixedHeadsOnTriton'?: { classes: readonly string[]; capabilities: readonly string[] };
  /** qk_nope_head_dim that FLASHINFER_MLA takes. */
  'attention.flashInferMlaNopeDims'?: readonly number[];
};

export interface BackendQuestion {
  capability: string | undefined;
  cacheDtype: string;
  dtype: Dtype;
  /** Query heads per rank. */
  queryHeads: number;
  qkNopeHeadDim?: number | undefined;
  /** Images attend in both directions. */
  prefixLm?: boolean;
  architecture?: string;
}

/** The backend of a layer, or undefined where the release's choice is not on record (other vendors, before 0.11.2). */
export function attentionBackend(
  layout: CacheLayout,
  question: BackendQuestion,
  profile: Profile<AttentionRules>,
): string | undefined {
  const name = caseOf(layout, question);
  if (packedIsRefused(layout, question, profile)) return undefined;
  const prefix = profile['attention.prefixLm'];
  if (question.prefixLm && prefix && question.capability && isWide(layout)) {
    const backends = atCapability(prefix, question.capability);
    if (backends) return backends[0];
  }
  if (!name || question.capability === undefined || latentRefuses(layout, question)) return undefined;
  const candidates = candidatesOf(name, question.capability, question.architecture, profile);
  return candidates?.find((backend) => accepts(backend, layout, question, profile));
}

/** The release's choice is on record and none of its backends takes the layer. */
export function lacksBackend(
  layout: CacheLayout,
  question: BackendQuestion,
  profile: Profile<AttentionRules>,
): boolean {
  const name = caseOf(layout, question);
  if (!name || question.capability === undefined) return false;
  if (packedIsRefused(layout, question, profile)) return profile['attention.sink'] !== undefined;
  if (latentRefuses(layout, question)) return profile['attention.mla'] !== undefined;
  return candidatesOf(name, question.capability, question.architecture, profile)?.length === 0;
}

/** The backends of packed caches know no images that attend in both directions, and sinks only FlashInfer's on 10.x. */
function packedIsRefused(layout: CacheLayout, question: BackendQuestion, profile: Profile<AttentionRules>): boolean {
  const { cacheDtype, capability, prefixLm } = question;
  const isTurboquant = cacheDtype.startsWith('turboquant_');
  if (!isTurboquant && !cacheDtype.startsWith('nvfp4')) return false;
  if ((prefixLm && isWide(layout)) || hasNarrowValues(layout)) return true;
  if (!isTurboquant && secondKernelRefuses(layout, question, profile)) return true;
  const hasSinks = 'sinks' in layout && layout.sinks === true;
  return hasSinks && (isTurboquant || capability?.split('.')[0] !== '10');
}

/** Outside 10.x FlashInfer reads nvfp4 with its FA2 kernels: they know no head of 64 and no scale search (nvfp4_4over6). */
function secondKernelRefuses(
  layout: CacheLayout,
  { cacheDtype, capability }: BackendQuestion,
  profile: Profile<AttentionRules>,
): boolean {
  const rule = profile['attention.nvfp4OnFa2'];
  if (!rule?.majors.includes(Number.parseInt(capability ?? '', 10))) return false;
  return cacheDtype !== 'nvfp4' || ('headDim' in layout && layout.headDim === rule.refusedHeadDim);
}

/** MLA backends read 16-bit caches, fp8 with e4m3 and the packed ds_mla types, no others. */
function latentRefuses(layout: CacheLayout, { cacheDtype }: BackendQuestion): boolean {
  return layout.kind === 'mla' && !/^(auto|b?float\d+|fp8|fp8_e4m3|\w+_ds_mla)$/.test(cacheDtype);
}

/** FLASH_ATTN_DIFFKV serves values of another size than the keys. */
function hasNarrowValues(layout: CacheLayout): boolean {
  return 'valueHeadDim' in layout && layout.valueHeadDim !== undefined && layout.valueHeadDim !== layout.headDim;
}

function isWide(layout: CacheLayout): boolean {
  return 'headDim' in layout && layout.headDim % 256 === 0;
}

function candidatesOf(
  name: BackendCase,
  capability: string,
  architecture: string | undefined,
  profile: Profile<AttentionRules>,
): readonly string[] | undefined {
  const mixed = profile['attention.mixedHeadsOnTriton'];
  if (architecture && mixed?.classes.includes(architecture)) {
    const onTriton = Object.fromEntries(
      mixed.capabilities.map((range) => [range, name === 'nvfp4' ? [] : ['TRITON_ATTN']]),
    );
    const forced = atCapability(onTriton, capability);
    if (forced) return forced;
  }
  const fallback = name === 'mlaSparseFewHeads' ? profile['attention.mlaSparse'] : undefined;
  const choice = profile[`attention.${name}`] ?? fallback;
  return choice && atCapability(choice, capability);
}

function caseOf(layout: CacheLayout, { cacheDtype, dtype, queryHeads }: BackendQuestion): BackendCase | undefined {
  const isFp8 = cacheDtype === 'fp8' || cacheDtype === 'fp8_e4m3';
  if (layout.kind === 'mla') {
    if (!layout.sparse) return isFp8 ? 'mlaFp8' : 'mla';
    if (cacheDtype.endsWith('ds_mla')) return 'mlaSparseFp8Ds';
    if (isFp8) return 'mlaSparseFp8';
    return queryHeads <= 16 ? 'mlaSparseFewHeads' : 'mlaSparse';
  }
  if (layout.kind !== 'full' && layout.kind !== 'sliding' && layout.kind !== 'chunked') return undefined;
  if ('sinks' in layout && layout.sinks) return isFp8 ? 'sinkFp8' : 'sink';
  if (cacheDtype.endsWith('_per_token_head')) return 'perTokenHead';
  if (cacheDtype.startsWith('turboquant_')) return 'turboquant';
  if (cacheDtype.startsWith('nvfp4')) return 'nvfp4';
  if (cacheDtype === 'fp8_e5m2') return 'fp8E5m2';
  if (isFp8) return layout.headDim === 256 ? 'fp8Head256' : 'fp8';
  if (dtype === 'float32') return 'float32';
  if (layout.headDim > 256) return 'head512';
  return [64, 128, 256].includes(layout.headDim) ? 'standard' : 'headOther';
}

/** Bounds that a case does not carry: head sizes of FlashInfer, the shapes of two MLA kernels. */
function accepts(
  backend: string,
  layout: CacheLayout,
  { qkNopeHeadDim }: BackendQuestion,
  profile: Profile<AttentionRules>,
): boolean {
  if (backend === 'FLASH_ATTN') return 'headDim' in layout && layout.headDim % 8 === 0;
  if (backend === 'FLASHINFER') return 'headDim' in layout && [64, 128, 256, 512].includes(layout.headDim);
  const nope = qkNopeHeadDim ?? 128;
  if (backend === 'FLASHINFER_MLA') return (profile['attention.flashInferMlaNopeDims'] ?? [128]).includes(nope);
  // Its package is not part of the release's own requirements.
  return backend !== 'TOKENSPEED_MLA';
}

function atCapability(choice: BackendChoice, capability: string): readonly string[] | undefined {
  const value = versionValue(capability);
  for (const [range, backends] of Object.entries(choice)) {
    const [low, high = low] = range.split('-');
    if (value >= versionValue(low!) && value <= versionValue(high!)) return backends;
  }
  return undefined;
}

function versionValue(capability: string): number {
  const [major, minor] = capability.split('.');
  return Number(major) * 100 + Number(minor ?? 0);
}

/** Block sizes of a backend: any multiple of `base`, or the sizes listed. */
export type BlockSizes = { multipleOf: number } | { sizes: readonly number[] };

const blockSizesOf: Readonly<Record<string, BlockSizes>> = {
  FLASHINFER: { sizes: [16, 32, 64] },
  TRITON_FLASHINFER: { sizes: [64] },
  TURBOQUANT: { sizes: [16, 32, 64, 128] },
  FLASHINFER_MLA: { sizes: [32, 64] },
  TOKENSPEED_MLA: { sizes: [32, 64] },
  CUTLASS_MLA: { sizes: [128] },
  FLASHMLA: { sizes: [64] },
  FLASHMLA_SPARSE: { multipleOf: 64 },
  FLASH_ATTN_MLA_SPARSE: { multipleOf: 64 },
  FLASH_ATTN_MLA_SPARSE_FA4: { multipleOf: 64 },
  FLASHINFER_MLA_SPARSE_SM90: { multipleOf: 64 },
  FLASHINFER_MLA_SPARSE_SM120: { multipleOf: 64 },
  FLASHINFER_MLA_SPARSE: { multipleOf: 32 },
  DEEPSEEK_V32_INDEXER: { multipleOf: 64 },
  MINIMAX_M3_SPARSE_INDEXER: { sizes: [128] },
};

/** Kernel block sizes of a backend; those not listed take any multiple of 16. */
export function kernelBlocks(backend: string | undefined): BlockSizes {
  return (backend && blockSizesOf[backend]) || { multipleOf: 16 };
}

export function smallestBlock(backend: string | undefined): number {
  const blocks = kernelBlocks(backend);
  return 'multipleOf' in blocks ? blocks.multipleOf : Math.min(...blocks.sizes);
}

/** A block of the manager may consist of several kernel blocks. */
export function takesBlock(backend: string | undefined, blockSize: number): boolean {
  const blocks = kernelBlocks(backend);
  if ('multipleOf' in blocks) return blockSize % blocks.multipleOf === 0;
  return blocks.sizes.some((size) => blockSize % size === 0);
}

/** Backends whose pages lie apart by a stride, so that a page may be followed by padding (0.24 to 0.28). */
export function readsByStride(backend: string | undefined): boolean {
  return ['FLASH_ATTN', 'FLASHINFER', 'TRITON_ATTN'].includes(backend ?? '');
}
