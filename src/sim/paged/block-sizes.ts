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
  /** Hits may end inside a block, on a multiple of the key size. */
  partialHits: boolean;
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
  const common = groups.reduce(lcm);
  const plain = { groups, alignment: common, partialHits: false };
  if (groups.length === 1) return { ...plain, scheduler: common, hash: common };
  if (rules.keySize === 'smallest') return { ...plain, scheduler: smallest * dcp, hash: smallest * dcp };
  const mamba = config.groups.filter(({ type }) => type === 'mamba');
  const coarse =
    rules.keySize === 'commonDivisorUnlessOwn'
      ? mamba.some((group) => (group.blockSize ?? blockSize) !== smallest)
      : mamba.length > 0 && mambaCacheMode !== 'align';
  const caching = prefixCaching || offload !== undefined;
  const hash = !caching || coarse ? common : groups.reduce(gcd);
  const partialHits = hitsInsideBlocks(config, rules, groups, hash);
  return { groups, alignment: partialHits ? hash : common, scheduler: common, hash, partialHits };
}

/** Why vLLM would not start with these groups; undefined if it would. */
export function groupsRefusal(config: PagedConfig, rules: PagedRules): string | undefined {
  const { groups, prefixCaching, mambaCacheMode } = config;
  if (!prefixCaching) return undefined;
  const mamba = groups.some(({ type }) => type === 'mamba');
  if (mamba && mambaCacheMode !== 'align' && rules.mambaCaching === 'aligned')
    return 'Mamba states are cached in mode align only in this release';
  if (groups.length === 1) return undefined;
  const sizes = resolveBlockSizes(config, rules);
  const odd = sizes.groups.find((size) => size % sizes.hash !== 0);
  if (odd !== undefined)
    return `this release gives ${sizes.hash} tokens one key: it cannot cache a group with blocks of ${odd} tokens`;
  const chunked = groups.some(({ type }, g) => type === 'chunked' && sizes.groups[g] !== sizes.alignment);
  return chunked ? 'chunked local attention needs groups with blocks of one size' : undefined;
}

/**
 * Mamba states in mode align can be cached inside a block where keys are finer than it (0.26 and later); from 0.28 only if every
 * other group can end a hit there too: full attention, or blocks of one key. Several context-parallel ranks: from 0.29.
 */
function hitsInsideBlocks(
  { groups, dcp = 1, prefixCaching, mambaCacheMode }: PagedConfig,
  rules: PagedRules,
  sizes: readonly number[],
  hash: number,
): boolean {
  if (rules.partialHits === 'never' || !prefixCaching || mambaCacheMode !== 'align') return false;
  if (dcp > 1 && rules.partialHits !== 'alsoWithRanks') return false;
  // With context-parallel ranks attention has the longer blocks.
  const least = dcp > 1 ? hash : hash + 1;
  if (!groups.some(({ type }, g) => type === 'mamba' && (sizes[g] as number) >= least)) return false;
  const coarse = groups.some(({ type }, g) => type !== 'mamba' && type !== 'full' && sizes[g] !== hash);
  return rules.partialHits === 'always' || !coarse;
}

function groupBlockSize(group: GroupConfig, { blockSize, dcp = 1 }: PagedConfig): number {
  return (group.blockSize ?? blockSize) * (group.type === 'mamba' ? 1 : dcp);
}
