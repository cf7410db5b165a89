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
      const { devices, pageBytes } = tenant.setup;
      let least = Number.POSITIVE_INFINITY;
      for (const device of devices) {
        let bytes = ledger.free([device]);
        for (const other of rivalsOf(tenant))
          if (other.setup.devices.includes(device)) bytes += spare(other) * other.setup.pageBytes;
        if (bytes < least) least = bytes;
      }
      return Math.floor(least / pageBytes);
    },
    demand(tenant) {
      const { devices, pageBytes } = tenant.setup;
      if (tenant.pool.pagesLeft === 0) return false;
      while (ledger.free(devices) < pageBytes) {
        let victim: Tenant | undefined = tenant.pool.cachedFree > 0 ? tenant : undefined;
        for (const other of rivalsOf(tenant)) {
          const helps = (device: number) => devices.includes(device) && ledger.free([device]) < pageBytes;
          if (spare(other) <= 0 || !other.setup.devices.some(helps)) continue;
          if (!victim || goesBefore(other, victim)) victim = other;
        }
        // Its own oldest prefix goes: the pool takes that block itself.
        if (victim === tenant || !victim?.pool.dropOldest()) return false;
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
