// The memory of one shared run put together from its policy: the ledger, a tenant with an elastic pool for every model (none under a
// static split, where pools have a fixed size), and the policy's object. What pages look like under each policy is here.
import type { SharingPolicy } from '../../spec/sharing.ts';
import { requestsPerSecond } from '../requests.ts';
import { ElasticPool } from './elastic-pool.ts';
import { Ledger } from './ledger.ts';
import { evenLayout, straddledLayout } from './page-layout.ts';
import { expandSharing } from './policies/expand.ts';
import { kvcachedSharing } from './policies/kvcached.ts';
import { type MuxserveLoad, muxserveSharing } from './policies/muxserve.ts';
import { oracleSharing } from './policies/oracle.ts';
import type { Sharing } from './policies/sharing.ts';
import { Tenant } from './tenant.ts';
import type { SharedModel, SharedRun } from './types.ts';

export interface SharedMemory {
  ledger: Ledger;
  sharing: Sharing | undefined;
  /** By index of the model; undefined under a static split. */
  tenants: readonly (Tenant | undefined)[];
}

export function sharedMemory({ policy, devices, models }: SharedRun): SharedMemory {
  const ledger = new Ledger(devices);
  const sharing = sharingOf(policy, ledger, models);
  const clock = { now: 0 };
  const tenants = models.map((model, index) => {
    if (!sharing || policy.kind === 'static') return undefined;
    const pages = pagesOf(policy, model);
    const pool = new ElasticPool({ ...pages.pool, caching: model.run.setup.paged.prefixCaching }, clock);
    const minPages = Math.ceil(model.minBytes / pages.idBytes);
    return new Tenant(
      {
        index,
        inPages: pageIdBytes(policy, model) > 0,
        devices: model.devices,
        pageBytes: pages.idBytes,
        minPages,
        priority: model.priority,
        ...pages.costs,
      },
      pool,
      ledger,
      sharing,
    );
  });
  return { ledger, sharing, tenants };
}

/** Blocks that a model may ever hold under a policy, the null block included: whole pages of its virtual space. */
export function virtualBlocks(policy: SharingPolicy, model: SharedModel): number {
  if (policy.kind === 'static') return model.run.setup.paged.numBlocks;
  return pagesOf(policy, model).pool.layout.at(-1) as number;
}

/** Bytes of a page id on each GPU; 0 where nothing is handed out in pages. */
export function pageIdBytes(policy: SharingPolicy, { tensors }: Pick<SharedModel, 'tensors'>): number {
  return policy.kind === 'kvcached' || policy.kind === 'expand' ? policy.pageBytes * tensors : 0;
}

const free = { perPageId: 0, perPage: 0 };

function pagesOf(policy: Exclude<SharingPolicy, { kind: 'static' }>, model: SharedModel) {
  const { blockBytes, tensors, maxBytes, run } = model;
  const inTensor = blockBytes / tensors;
  switch (policy.kind) {
    case 'kvcached':
    case 'expand': {
      const idBytes = pageIdBytes(policy, model);
      const pages = Math.max(1, Math.floor(maxBytes / idBytes));
      const isKvcached = policy.kind === 'kvcached';
      const layout = isKvcached
        ? straddledLayout(pages, policy.pageBytes, inTensor)
        : evenLayout(pages, Math.max(1, Math.floor(policy.pageBytes / inTensor)));
      const cached = isKvcached ? policy.maxCachedTokens : null;
      const { blockSize } = run.setup.paged;
      const pool = {
        layout,
        maxCached: cached === null ? Number.MAX_SAFE_INTEGER : cachedBlocks(cached, blockSize),
        allocation: isKvcached ? policy.allocation : ('best-fit' as const),
        eviction: isKvcached ? policy.eviction : ('lru' as const),
        evicts: isKvcached ? ('ahead' as const) : ('last' as const),
      };
      const { mapSeconds, unmapSeconds } = policy;
      return { idBytes, pool, costs: { tensors, mapSeconds, unmapSeconds } };
    }
    case 'muxserve':
    case 'oracle': {
      const pages = Math.max(2, Math.floor(maxBytes / blockBytes));
      const pool = {
        layout: evenLayout(pages, 1),
        maxCached: Number.MAX_SAFE_INTEGER,
        allocation: 'best-fit' as const,
        eviction: 'lru' as const,
        evicts: 'last' as const,
      };
      return { idBytes: blockBytes, pool, costs: { tensors, mapSeconds: free, unmapSeconds: free } };
    }
  }
}

/** kvcached keeps one block at least, unless it is to keep none (integration/vllm/patches.py _get_max_cached_blocks). */
function cachedBlocks(tokens: number, blockSize: number): number {
  return tokens === 0 ? 0 : Math.max(1, Math.floor(tokens / blockSize));
}

function sharingOf(policy: SharingPolicy, ledger: Ledger, models: readonly SharedModel[]): Sharing | undefined {
  switch (policy.kind) {
    case 'static':
      return undefined;
    case 'expand':
      return expandSharing(policy);
    case 'kvcached':
      return kvcachedSharing(policy, ledger);
    case 'muxserve':
      return muxserveSharing(policy, { ledger, loads: models.map(loadOf), poolBytes: kvBytes(ledger.devices, models) });
    case 'oracle':
      return oracleSharing(ledger);
  }
}

/** KV bytes of the GPU that has the least of them, when every model is in memory. */
export function kvBytes(devices: readonly number[], models: readonly SharedModel[]): number {
  return Math.max(0, Math.min(...kvBytesByDevice(devices, models)));
}

/** What is left of each GPU that a model is on, its KV slices taken off or not; negative where not all are in memory at once. */
export function kvBytesByDevice(
  devices: readonly number[],
  models: readonly SharedModel[],
  slices: 'counted' | 'free' = 'free',
): number[] {
  return devices.flatMap((bytes, device) => {
    const here = models.filter((model) => model.devices.includes(device));
    const held = here.reduce(
      (sum, { weightsBytes, otherBytes, sliceBytes }) =>
        sum + weightsBytes + otherBytes + (slices === 'counted' ? sliceBytes : 0),
      0,
    );
    return here.length > 0 ? [bytes - held] : [];
  });
}

function loadOf({ run }: SharedModel): MuxserveLoad {
  const { requests } = run.workload;
  const { blockSize } = run.setup.paged;
  if (requests.length === 0) return { rate: 0, tokens: blockSize, blockSize };
  const tokens = requests.reduce((sum, { promptTokens, outputTokens }) => sum + promptTokens + outputTokens, 0);
  const rate = requestsPerSecond(requests) ?? requests.length;
  return { rate, tokens: tokens / requests.length, blockSize };
}
