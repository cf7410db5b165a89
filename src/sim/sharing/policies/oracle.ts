// The bound: one pool of single blocks for all models, without cost. A block is there whenever any memory is free, or holds a prefix that
// nobody uses: the one used longest ago goes, of whichever model (those of lower priority first).
import type { Ledger } from '../ledger.ts';
import type { Tenant } from '../tenant.ts';
import type { Sharing } from './sharing.ts';

export function oracleSharing(ledger: Ledger): Sharing {
  const tenants: Tenant[] = [];
  const shares = (one: Tenant, other: Tenant): boolean =>
    one.setup.devices.some((device) => other.setup.devices.includes(device));
  const rivals = new Map<Tenant, Tenant[]>();
  const cached = new Map<Tenant, number>();
  const rivalsOf = (tenant: Tenant): Tenant[] => {
    let known = rivals.get(tenant);
    if (!known) {
      known = tenants.filter((other) => other !== tenant && shares(tenant, other));
      rivals.set(tenant, known);
    }
    return known;
  };
  const spare = ({ pool, setup, isAway }: Tenant): number =>
    isAway ? 0 : Math.min(pool.cachedFree, Math.max(0, pool.mappedPages - Math.max(1, setup.minPages)));
  return {
    mayGrow: true,
    begun(tenant) {
      tenants.push(tenant);
      rivals.clear();
    },
    mappable(tenant) {
      let bytes = ledger.free(tenant.setup.devices);
      // With models on different GPUs what others would give up is counted where it certainly helps: on all GPUs of the model.
      for (const other of rivalsOf(tenant))
        if (tenant.setup.devices.every((device) => other.setup.devices.includes(device)))
          bytes += spare(other) * other.setup.pageBytes;
      return Math.floor(bytes / tenant.setup.pageBytes);
    },
    demand(tenant) {
      const { devices, pageBytes } = tenant.setup;
      while (ledger.free(devices) < pageBytes) {
        let victim: Tenant | undefined;
        for (const other of rivalsOf(tenant)) {
          if (spare(other) <= 0) continue;
          if (!victim || goesBefore(other, victim)) victim = other;
        }
        if (!victim?.pool.dropOldest()) return false;
      }
      return tenant.map('beside');
    },
    keeps: () => false,
    afterStep(tenant) {
      // What has become a cached prefix is there for others, although nobody gave it back.
      const { cachedFree } = tenant.pool;
      if (cachedFree > (cached.get(tenant) ?? 0)) ledger.freed++;
      cached.set(tenant, cachedFree);
    },
  };
}

function goesBefore(one: Tenant, other: Tenant): boolean {
  if (one.setup.priority !== other.setup.priority) return one.setup.priority < other.setup.priority;
  return one.pool.oldestCached < other.pool.oldestCached;
}
