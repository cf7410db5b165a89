// Tokens per block before layers are grouped: what the user asks for, what the attention backends accept, and for models with
// state layers a block so large that a page of attention holds a state. Source: vllm/platforms/{cuda,interface}.py
// check_and_update_config, update_block_size_for_backend, _align_hybrid_block_size; model_executor/models/config.py
// HybridAttentionMambaModelConfig (0.10 to 0.19).
import { alignUp, divCeil, lcm } from '../../../units.ts';
import { smallestBlock, takesBlock } from './backend.ts';
import type { KvProfile } from './types.ts';

export interface BlockSizeInput {
  profile: KvProfile;
  capability: string | undefined;
  /** --block-size. */
  asked: number | undefined;
  /** Attention backends in the order of the layers, each once. */
  backends: readonly string[];
  mla: boolean;
  sparse: boolean;
  qkNopeHeadDim: number | undefined;
  headDim: number;
  /** Bytes of one token in quantized and in unquantized layers, where a release aligns the two. */
  skippedTokenBytes?: { own: number; plain: number } | undefined;
  /** Largest state page of the model, absent without state layers. */
  stateBytes?: number | undefined;
  /** Bytes of one token in an attention layer. */
  tokenBytes: number;
  mambaCacheMode: 'none' | 'align' | 'all';
  /** Chunk of the state kernels, for the mode that stores a state per block. */
  stateChunk: number;
  /** Alignment of states written inside a prefill. */
  checkpointAlignment: number;
}

export interface BlockSize {
  blockSize: number;
  /** Tokens per block of the state layers; undefined: the whole length. */
  stateBlock?: number;
  /** Page that state pages are padded to. */
  paddedStateBytes?: number;
  logLines: string[];
}

export function resolveBlockSize(input: BlockSizeInput): BlockSize {
  const logLines: string[] = [];
  const base = alignToSkipped(input, baseBlockSize(input, logLines), logLines);
  if (!input.stateBytes || input.profile['kv.blockAlignment'] === 'none') return { blockSize: base, logLines };
  return alignToState(input, base, logLines);
}

/** Layers left unquantized share the pool: the quantized page must hold theirs. _align_heterogeneous_kv_block_size, 0.25+. */
function alignToSkipped({ skippedTokenBytes, backends }: BlockSizeInput, base: number, logLines: string[]): number {
  if (!skippedTokenBytes || skippedTokenBytes.own === skippedTokenBytes.plain) return base;
  const smallest = smallestBlock(backends[0]);
  const alignment = Math.max(smallest, base);
  const needed = alignment * divCeil(skippedTokenBytes.plain * smallest, alignment * skippedTokenBytes.own);
  if (needed <= base) return base;
  logLines.push(
    `Setting attention block size to ${needed} tokens so the quantized primary KV page covers the higher-precision padded-spec page.`,
  );
  return needed;
}

/** The block size without regard to state layers. */
function baseBlockSize(input: BlockSizeInput, logLines: string[]): number {
  const { asked, backends, profile } = input;
  switch (profile['kv.blockSize']) {
    case 'sixteen':
      return asked ?? 16;
    case 'forced':
      return input.mla ? forcedBlock(input, asked ?? 16) : (asked ?? 16);
    case 'firstBackend':
    case 'allBackends': {
      if (asked !== undefined) return asked;
      const considered = profile['kv.blockSize'] === 'firstBackend' ? backends.slice(0, 1) : backends;
      const preferred = preferredBlock(considered);
      if (preferred !== 16) {
        const suffix = profile['kv.blockSize'] === 'allBackends' ? 'backend(s)' : 'backend';
        logLines.push(`Setting kv cache block size to ${preferred} for ${considered.join('/')} ${suffix}.`);
      }
      return preferred;
    }
  }
}

/** 16 if every backend takes it, else the smallest common multiple of their own sizes. */
function preferredBlock(backends: readonly string[]): number {
  if (backends.every((backend) => takesBlock(backend, 16))) return 16;
  return backends.map(smallestBlock).reduce(lcm, 1);
}

/** 0.8 to 0.17: MLA models get the block of the backend that the platform is going to choose. */
function forcedBlock(input: BlockSizeInput, blockSize: number): number {
  if (input.sparse) return 64;
  for (const rule of input.profile['kv.forcedMlaBlocks']) {
    if (!rule.capabilities.some((capability) => matches(input.capability, capability))) continue;
    if (rule.nopeHeadDim !== undefined && rule.nopeHeadDim !== input.qkNopeHeadDim) continue;
    return rule.accepts.some((size) => blockSize % size === 0) ? blockSize : rule.block;
  }
  return blockSize;
}

/** "9" stands for a family of capabilities, "10.0" for one. */
function matches(capability: string | undefined, wanted: string): boolean {
  return capability === wanted || (!wanted.includes('.') && capability?.split('.')[0] === wanted);
}

/**
 * The smallest aligned block whose attention page holds a state: B = al x ceil(m / (al x a1)); in the mode that keeps a state
 * per block a multiple of the state kernels' chunk. A larger block asked for stays.
 */
function alignToState(input: BlockSizeInput, base: number, logLines: string[]): BlockSize {
  const { stateBytes = 0, tokenBytes, mambaCacheMode } = input;
  const alignment = stateAlignment(input, base);
  const isAll = mambaCacheMode === 'all';
  let needed = alignment * divCeil(stateBytes, alignment * tokenBytes);
  if (isAll) needed = alignUp(divCeil(stateBytes, tokenBytes), lcm(input.stateChunk, alignment));
  else if (input.profile['kv.blockAlignment'] === 'allKernels') needed = alignUp(needed, allKernels(input));
  const blockSize = Math.max(base, needed);
  if (base < needed) {
    logLines.push(
      `Setting attention block size to ${needed} tokens to ensure that attention page size is >= mamba page size.`,
    );
  }
  const paddedStateBytes = blockSize * tokenBytes;
  if (paddedStateBytes !== stateBytes) {
    const percent = ((100 * (paddedStateBytes - stateBytes)) / stateBytes).toFixed(2);
    logLines.push(
      `Padding mamba page size by ${percent}% to ensure that mamba page size and attention page size are exactly equal.`,
    );
  }
  const stateBlock = mambaCacheMode === 'align' ? blockSize : isAll ? needed : undefined;
  return { blockSize, ...(stateBlock === undefined ? {} : { stateBlock }), paddedStateBytes, logLines };
}

function stateAlignment(input: BlockSizeInput, base: number): number {
  const { profile, backends, mla, capability, headDim } = input;
  switch (profile['kv.blockAlignment']) {
    case 'none':
    case 'sixteen':
      return 16;
    case 'byAttention':
      if (mla) return 64;
      return profile['kv.wideHeadAlignment'] && matches(capability, '10') && headDim === 256 ? 32 : 16;
    case 'kernel':
    case 'allKernels': {
      const kernel = Math.max(smallestBlock(backends[0]), base);
      const forMla = mla ? Math.max(kernel, profile['kv.mlaStateAlignment']) : kernel;
      return input.mambaCacheMode === 'align' ? lcm(forMla, input.checkpointAlignment) : forMla;
    }
  }
}

function allKernels({ backends }: BlockSizeInput): number {
  return backends.map(smallestBlock).reduce(lcm, 1);
}
