// Block sizes that an engine derives from its groups. Law: resolve_kv_cache_block_sizes in vllm/v1/core/kv_cache_utils.py.
import { describe, expect, it } from 'vitest';
import { resolveEngineRef } from '../../../src/load/engine.ts';
import { schedulerRules } from '../../../src/load/scheduler-rules.ts';
import { resolveBlockSizes } from '../../../src/sim/paged/block-sizes.ts';
import type { GroupConfig, PagedConfig } from '../../../src/sim/paged/config.ts';

function sizes(version: string, groups: GroupConfig[], overrides: Partial<PagedConfig> = {}) {
  const config: PagedConfig = {
    numBlocks: 100,
    blockSize: 16,
    groups,
    maxNumSeqs: 8,
    maxNumBatchedTokens: 512,
    maxModelLen: 4096,
    policy: 'fcfs',
    longPrefillTokenThreshold: 0,
    chunkedPrefill: true,
    prefixCaching: true,
    reserveFullPrompt: true,
    mambaCacheMode: 'align',
    ...overrides,
  };
  const { scheduler, hash, partialHits } = resolveBlockSizes(
    config,
    schedulerRules(resolveEngineRef(`vllm@${version}`).profile),
  );
  return [scheduler, hash, partialHits];
}

describe('groups with blocks of several sizes', () => {
  const full: GroupConfig = { type: 'full', blockSize: 32 };
  const sliding: GroupConfig = { type: 'sliding', window: 64, blockSize: 16 };
  const mamba: GroupConfig = { type: 'mamba', blockSize: 64 };

  it('the smallest, then least common multiple and greatest common divisor', () => {
    expect(sizes('0.19.1', [full, sliding])).toEqual([16, 16, false]);
    expect(sizes('0.20.2', [full, sliding])).toEqual([32, 16, false]);
    expect(sizes('0.33.0', [full, sliding])).toEqual([32, 16, false]);
  });

  it('one key size for all without caching', () => {
    expect(sizes('0.33.0', [full, sliding], { prefixCaching: false })).toEqual([32, 32, false]);
  });

  it('Mamba: coarse keys while its blocks differ, from 0.28 unless states are aligned', () => {
    expect(sizes('0.24.0', [full, mamba])).toEqual([64, 64, false]);
    expect(sizes('0.28.0', [full, mamba])).toEqual([64, 32, true]);
    expect(sizes('0.28.0', [full, mamba], { mambaCacheMode: 'all' })).toEqual([64, 64, false]);
  });

  it('no hits inside blocks where a window group has coarser blocks than keys', () => {
    expect(sizes('0.28.0', [full, { ...sliding, blockSize: 64 }, mamba])).toEqual([64, 32, false]);
  });
});

it('one group counts decode context parallel ranks', () => {
  expect(sizes('0.33.0', [{ type: 'full' }], { dcp: 2 })).toEqual([32, 32, false]);
});
