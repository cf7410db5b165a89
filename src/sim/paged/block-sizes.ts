// Which block sizes an engine derives from its groups: what a hit is aligned to, what it reports as the scheduler's block size, and
// how many tokens one key covers. Law: resolve_kv_cache_block_sizes in vllm/v1/core/kv_cache_utils.py (vLLM 0.20 and later), before
// that the scheduler's own block_size; HybridKVCacheCoordinator aligns hits to the least common multiple in every release.
import { gcd, lcm } from '../../units.ts';
import type { GroupConfig, PagedConfig, PagedRules } from './config.ts';

export interface BlockSizes {
  /** Tokens of one block of each group. */
  groups: number[];
  /** A hit in several groups ends on a multiple of this. */
  alignment: number;
  /** What the engine calls the scheduler's block size. */
  scheduler: number;
  /** Tokens of one key. */
  hash: number;
}

/**
 * Key size: the smallest block (0.19 and before); the greatest common divisor of the groups' blocks, unless nothing is cached or a
 * Mamba group has blocks of its own (0.20 to 0.27) or is not in mode align (0.28 and later): then the least common multiple.
 */
export function resolveBlockSizes(config: PagedConfig, rules: PagedRules): BlockSizes {
  const { blockSize, dcp = 1, prefixCaching, offload, mambaCacheMode } = config;
  const own = config.groups.map((group) => group.blockSize ?? blockSize);
  const smallest = Math.min(...own);
  const groups = config.groups.map((group) => groupBlockSize(group, config));
  const alignment = groups.reduce(lcm);
  if (groups.length === 1) return { groups, alignment, scheduler: alignment, hash: alignment };
  if (rules.keySize === 'smallest') return { groups, alignment, scheduler: smallest * dcp, hash: smallest * dcp };
  const mamba = config.groups.filter(({ type }) => type === 'mamba');
  const coarse =
    rules.keySize === 'commonDivisorUnlessOwn'
      ? mamba.some((group) => (group.blockSize ?? blockSize) !== smallest)
      : mamba.length > 0 && mambaCacheMode !== 'align';
  const caching = prefixCaching || offload !== undefined;
  return { groups, alignment, scheduler: alignment, hash: !caching || coarse ? alignment : groups.reduce(gcd) };
}

function groupBlockSize(group: GroupConfig, { blockSize, dcp = 1 }: PagedConfig): number {
  return (group.blockSize ?? blockSize) * (group.type === 'mamba' ? 1 : dcp);
}
