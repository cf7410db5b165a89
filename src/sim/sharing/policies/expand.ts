// The mapping layer of the slides of January 2025: pages come and go at step boundaries, one at a time, on the signal of the queues. A
// model takes one when more than ratio x running sequences are swapped (V1: preempted, or refused for blocks), and gives one back when
// nothing waits. Within a step it has what it has. Law: presets/sharing/expand.yaml; an idle model goes on giving at the pace of
// its last step, because an engine that has nothing to do takes no steps. A page that the rest of an admitted prompt will fill is not idle:
// the rule was made for engines that take a prompt's blocks at once, V1 takes them chunk by chunk.
import type { ExpandSharing } from '../../../spec/sharing.ts';
import type { Tenant } from '../tenant.ts';
import type { Sharing } from './sharing.ts';

type Parameters = Pick<ExpandSharing, 'ratio' | 'minReservedPages' | 'maxReservedPages'>;

export function expandSharing({ ratio, minReservedPages, maxReservedPages }: Parameters): Sharing {
  const idle = new Map<Tenant, { at: number; every: number }>();
  const signals = (tenant: Tenant): { swapped: number; running: number; waiting: number } => {
    const scheduler = tenant.system?.scheduler;
    return {
      swapped: scheduler?.refused ?? 0,
      running: scheduler?.running.length ?? 0,
      waiting: scheduler?.line.length ?? 0,
    };
  };
  /** Gives one page back if it has one to spare. */
  const shrink = (tenant: Tenant): boolean => {
    const { pool, setup } = tenant;
    if (pool.mappedPages <= Math.max(1, setup.minPages) || pool.idlePages <= maxReservedPages) return false;
    return pool.free - pool.perPage >= stillTaken(tenant) && pool.giveUpPage();
  };
  return {
    mayGrow: true,
    mappable: () => 0,
    demand: () => false,
    keeps: () => true,
    beforeStep(tenant) {
      idle.delete(tenant);
      const { swapped, running, waiting } = signals(tenant);
      if (swapped > ratio * Math.max(1, running)) {
        tenant.map('in-step');
      } else if (waiting === 0 && swapped === 0) {
        if (!shrink(tenant) && tenant.pool.emptyPages < minReservedPages) tenant.map('beside');
      }
    },
    afterStep(tenant, now) {
      // Who waits with nothing running takes no steps: the engine asks again at once, and the next pass may map a page.
      const { swapped, running } = signals(tenant);
      if (swapped > ratio * Math.max(1, running) && tenant.canMap) tenant.retryAt = now;
    },
    idle(tenant, now, stepSeconds) {
      if (stepSeconds > 0) idle.set(tenant, { at: now + stepSeconds, every: stepSeconds });
    },
    nextTime() {
      let next = Number.POSITIVE_INFINITY;
      for (const { at } of idle.values()) if (at < next) next = at;
      return next;
    },
    act(now) {
      for (const [tenant, tick] of idle) {
        if (tick.at > now) continue;
        tick.at = now + tick.every;
        if (!shrink(tenant)) idle.delete(tenant);
        // Nobody waits for what an idle model unmaps.
        tenant.settle();
      }
    },
  };
}

/** Blocks that running requests will yet take for tokens that they have. */
function stillTaken({ system }: Tenant): number {
  if (!system) return 0;
  let blocks = 0;
  for (const sequence of system.scheduler.running) blocks += system.kv.remaining(sequence, 0);
  return blocks;
}
