// MuxServe: single blocks of one pool, and for every model a quota of sequences that may run, which moves from models that use less of
// theirs to those that use it up. A quota holds back admissions; nobody who runs is stopped by it. Law: scheduler.py of
// hao-ai-lab/MuxServe, 2231480 (initial quotas 482-518, adaptation 348-480).
import type { MuxserveSharing } from '../../../spec/sharing.ts';
import type { Ledger } from '../ledger.ts';
import type { Tenant } from '../tenant.ts';
import type { Sharing } from './sharing.ts';

export interface MuxserveLoad {
  /** Requests per second, mean tokens of a request with its answer, tokens of a block. */
  rate: number;
  tokens: number;
  blockSize: number;
}

interface Quota {
  tenant: Tenant;
  /** Bytes, and bytes of one sequence of mean length. */
  bytes: number;
  perSequence: number;
  /** Batch sizes of the last steps, in a ring. */
  batches: Int32Array;
  steps: number;
  sum: number;
}

type Parameters = Omit<MuxserveSharing, 'id' | 'name' | 'summary' | 'runs' | 'sources' | 'notes' | 'kind'>;

/** `loads` by index of the model; `poolBytes`: KV bytes of the GPU that has the least. */
export function muxserveSharing(
  policy: Parameters,
  { ledger, loads, poolBytes }: { ledger: Ledger; loads: readonly MuxserveLoad[]; poolBytes: number },
): Sharing {
  const quotas = new Map<Tenant, Quota>();
  let due = policy.periodSeconds;
  const weights = new Map<Tenant, number>();
  return {
    mayGrow: true,
    begun(tenant) {
      const { rate, tokens, blockSize } = loads[tenant.setup.index] as MuxserveLoad;
      const { pageBytes } = tenant.setup;
      const perSequence = Math.max(1, Math.floor(tokens / blockSize)) * pageBytes;
      quotas.set(tenant, {
        tenant,
        bytes: 0,
        perSequence,
        batches: new Int32Array(policy.windowSteps),
        steps: 0,
        sum: 0,
      });
      weights.set(tenant, (pageBytes / blockSize) * (policy.initialQuota === 'rate' ? Math.max(rate, 1e-9) : 1));
      let all = 0;
      for (const weight of weights.values()) all += weight;
      for (const [one, quota] of quotas) {
        quota.bytes = (poolBytes * (weights.get(one) as number)) / all;
        apply(quota);
      }
    },
    mappable: ({ setup }) => Math.floor(ledger.free(setup.devices) / setup.pageBytes),
    demand: (tenant) => tenant.map('beside'),
    keeps: () => false,
    afterStep(tenant) {
      const quota = quotas.get(tenant);
      const batch = tenant.system?.scheduler.running.length ?? 0;
      if (!quota || batch === 0) return;
      const place = quota.steps++ % quota.batches.length;
      quota.sum += batch - (quota.batches[place] as number);
      quota.batches[place] = batch;
    },
    nextTime: () => due,
    act(now) {
      while (due <= now) due += policy.periodSeconds;
      adapt([...quotas.values()], policy);
    },
  };
}

function sequences({ bytes, perSequence }: Quota): number {
  return Math.max(1, Math.floor(bytes / perSequence));
}

function apply(quota: Quota): void {
  const { system } = quota.tenant;
  if (system) system.scheduler.quota = sequences(quota);
}

function meanBatch({ sum, steps, batches }: Quota): number {
  return steps > 0 ? sum / Math.min(steps, batches.length) : 0;
}

/** Who uses its quota up takes, the most used first; all others give, in proportion to what they offer. */
function adapt(quotas: readonly Quota[], { takesAbove, queueFactor, takesShare, leavesFree }: Parameters): void {
  const use = new Map(quotas.map((quota) => [quota, meanBatch(quota) / sequences(quota)]));
  const takers = quotas
    .filter((quota) => (use.get(quota) as number) >= takesAbove)
    .sort((a, b) => (use.get(b) as number) - (use.get(a) as number));
  const offers = new Map<Quota, number>();
  for (const quota of quotas) {
    const used = use.get(quota) as number;
    if (used >= takesAbove) continue;
    const offered = Math.max(1, (1 - leavesFree - used) * sequences(quota));
    offers.set(quota, Math.min(offered, sequences(quota) - 1) * quota.perSequence);
  }
  for (const taker of takers) {
    const scheduler = taker.tenant.system?.scheduler;
    if (!scheduler) continue;
    const mean = meanBatch(taker);
    const queued = scheduler.line.length + scheduler.running.length;
    if (queued < queueFactor * mean) continue;
    const wanted = Math.min(Math.max(1, Math.floor(takesShare * mean)), Math.floor(queued - mean)) * taker.perSequence;
    let offered = 0;
    for (const bytes of offers.values()) offered += Math.max(0, bytes);
    if (wanted <= 0 || offered <= 0) continue;
    for (const [giver, bytes] of offers) {
      const moved = Math.min(bytes, (wanted * bytes) / offered);
      if (moved <= 0) continue;
      offers.set(giver, bytes - moved);
      giver.bytes -= moved;
      taker.bytes += moved;
    }
  }
  for (const quota of quotas) apply(quota);
}
