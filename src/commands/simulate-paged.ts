// The configuration of a paged pool and its scheduler from the options given and what a plan resolved: groups of the KV cache,
// scheduler options where the release has them, offloading, speculation.
import type { KvGroup } from '../engines/vllm/kv/types.ts';
import type { GroupConfig, OffloadConfig, PagedConfig, PagedRules, SpeculationConfig } from '../sim/paged/config.ts';
import type { EngineOptions } from '../spec/options.ts';
import type { SimulationOptions } from '../spec/simulation-options.ts';

type Limits = Omit<PagedConfig, 'policy' | 'longPrefillTokenThreshold' | 'reserveFullPrompt'>;

/** Scheduler options as given, with the release's defaults for those that it has. */
export function pagedConfig(
  limits: Limits,
  options: SimulationOptions,
  rules: PagedRules,
  bytes: BlockBytes | undefined,
): PagedConfig {
  const offload = bytes && offloadOf(options, bytes);
  const { watermark, prefillScheduleInterval, pinPrefixTokens } = options;
  return {
    ...limits,
    ...(pinPrefixTokens === undefined ? {} : { eviction: { policy: 'lru', pinTokens: pinPrefixTokens } }),
    policy: options.schedulingPolicy ?? 'fcfs',
    longPrefillTokenThreshold: options.longPrefillTokenThreshold ?? 0,
    reserveFullPrompt: rules.promptGate && (options.schedulerReserveFullIsl ?? true),
    ...(rules.defaultRetention === 'boundaries' ? { retentionInterval: 0 } : {}),
    ...(watermark !== undefined && rules.watermark ? { watermark } : {}),
    ...(options.longPrefillTokenThresholdAdaptive ? { longPrefillAdaptive: true } : {}),
    ...(prefillScheduleInterval === undefined ? {} : { prefillScheduleInterval }),
    ...(offload ? { offload } : {}),
  };
}

/** Bytes of a block on one rank of a server, and how many ranks it has. */
interface BlockBytes {
  bytesPerBlock: number;
  ranks: number;
}

/**
 * Tiers behind the GPU. The host memory is shared by all ranks (kv_offloading_size, vllm/config/cache.py), and so is a disk; each
 * rank has a link to the host of its own.
 */
function offloadOf(options: SimulationOptions, { bytesPerBlock, ranks }: BlockBytes): OffloadConfig | undefined {
  const { kvOffloadingSizeGiB, kvOffloadingDiskGiB, diskBandwidth = 5 } = options;
  if (kvOffloadingSizeGiB === undefined) return undefined;
  const bytes = bytesPerBlock * ranks;
  const disk = { blocks: blocksIn(kvOffloadingDiskGiB ?? 0, bytes), blockSeconds: bytes / (diskBandwidth * 1e9) };
  return { cpuBlocks: blocksIn(kvOffloadingSizeGiB, bytes), ...(disk.blocks > 0 ? { disk } : {}) };
}

export function blocksIn(gib: number, bytesPerBlock: number): number {
  return bytesPerBlock > 0 ? Math.floor((gib * 2 ** 30) / bytesPerBlock) : 0;
}

export function groupsGiven(groups: NonNullable<SimulationOptions['kvGroups']>): GroupConfig[] {
  return groups.map((group) => ({ ...group }));
}

/** A group of the plan; cross-attention holds its encoder's blocks for the whole life of a request and is left out. */
export function groupOf({ kind, blockSize, specs }: KvGroup, common: number): GroupConfig[] {
  const size = blockSize === common ? {} : { blockSize };
  const [spec] = specs;
  switch (kind === 'uniform' ? spec?.kind : kind) {
    case 'full':
    case 'mla':
      return [{ type: 'full', ...size }];
    case 'window':
    case 'window-mla':
      return [{ type: 'sliding', window: spec?.window ?? 1, ...size }];
    case 'chunked':
      return [{ type: 'chunked', chunk: spec?.chunk ?? 1, ...size }];
    case 'mamba':
      return [{ type: 'mamba', ...size }];
    default:
      return [];
  }
}

export function speculation(options: Partial<EngineOptions>, tokens: number): { spec?: SpeculationConfig } {
  const method = String(options.speculativeConfig?.method ?? (options.speculativeConfig?.model ? 'draft_model' : ''));
  if (tokens <= 0 || method === '') return {};
  if (method === 'ngram' || method.includes('suffix')) return { spec: { method: 'ngram', tokens } };
  return { spec: { method: method === 'draft_model' ? 'draft_model' : 'eagle', tokens } };
}
