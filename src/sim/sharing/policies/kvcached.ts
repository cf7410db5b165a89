// kvcached: pages are mapped on demand, one id at a time and in the scheduler's thread; empty ones stay mapped up to a maximum; a thread
// beside keeps a minimum of them ready. Nobody takes anything from anybody: what the GPU has left goes to who asks first. Law:
// csrc/page_allocator.cpp (alloc_page, free_pages, prealloc_worker, get_avail_physical_pages), e8e6406.
import type { KvcachedSharing } from '../../../spec/sharing.ts';
import type { Ledger } from '../ledger.ts';
import type { Tenant } from '../tenant.ts';
import type { Sharing } from './sharing.ts';

export function kvcachedSharing(
  policy: Pick<KvcachedSharing, 'minReservedPages' | 'maxReservedPages'>,
  ledger: Ledger,
): Sharing {
  const room = ({ setup }: Tenant): number => Math.floor(ledger.free(setup.devices) / setup.pageBytes);
  /** Up to the minimum, in one go, as far as the GPU has room. */
  const refill = (tenant: Tenant): void => {
    const { pool } = tenant;
    for (let lack = Math.min(policy.minReservedPages, pool.pages) - pool.emptyPages; lack > 0; lack--)
      if (room(tenant) < 1 || !tenant.map('beside')) return;
  };
  return {
    mayGrow: true,
    begun: refill,
    mappable: room,
    demand(tenant) {
      if (tenant.map('in-step')) return true;
      if (tenant.pool.pagesLeft > 0) tenant.pages.denied++;
      return false;
    },
    keeps: ({ pool }) => pool.emptyPages < policy.maxReservedPages,
    afterStep(tenant) {
      // The thread is woken by who takes a page, not by memory that comes free.
      if (!tenant.hasOpened) return;
      tenant.hasOpened = false;
      refill(tenant);
    },
  };
}
