// Makes a serving system of each contiguous policy: what it reserves for a request, and on which allocator. Orca (Pow2) and (Oracle)
// know the true output, as the PagedAttention paper lets them; no other does.
import { assertNever } from '../../assert.ts';
import type { RequestListener, SimRequest, Workload } from '../types.ts';
import { BestFitAllocator } from './best-fit.ts';
import { BuddyAllocator } from './buddy.ts';
import type { ContiguousPolicy } from './policies.ts';
import {
  reserveMaximum,
  reserveMaxTokens,
  reserveNextPowerOfTwo,
  reserveTrueLength,
  type TrueOutput,
} from './reservation.ts';
import { SlotAllocator } from './slots.ts';
import { StaticBatchSystem } from './static.ts';
import { ContiguousSystem } from './system.ts';

interface ContiguousConfig {
  /** Token slots of the pool: blocks times block size of the paged pool it is compared with. */
  readonly poolTokens: number;
  readonly maxModelLen: number;
  readonly maxNumSeqs: number;
}

export function createContiguous(
  policy: ContiguousPolicy,
  workload: Workload,
  config: ContiguousConfig,
  listener: RequestListener,
): ContiguousSystem | StaticBatchSystem {
  const { poolTokens, maxModelLen, maxNumSeqs } = config;
  const shared = { requests: workload.requests, maxModelLen, maxNumSeqs, listener };
  const buddy = () => new BuddyAllocator(poolTokens);
  switch (policy) {
    case 'orca-max':
      return new ContiguousSystem({ ...shared, allocator: buddy(), reservation: reserveMaximum });
    case 'orca-pow2':
      return new ContiguousSystem({ ...shared, allocator: buddy(), reservation: reserveNextPowerOfTwo(trueOutput) });
    case 'orca-oracle':
      return new ContiguousSystem({ ...shared, allocator: buddy(), reservation: reserveTrueLength(trueOutput) });
    case 'slots':
      return new ContiguousSystem({
        ...shared,
        allocator: new SlotAllocator(poolTokens, maxModelLen),
        reservation: reserveMaximum,
      });
    case 'best-fit':
      return new ContiguousSystem({
        ...shared,
        allocator: new BestFitAllocator(poolTokens),
        reservation: reserveMaxTokens,
      });
    case 'static-batching':
      return new StaticBatchSystem({ ...shared, poolTokens });
    default:
      return assertNever(policy);
  }
}

/** The oracle that the paper gives two of its baselines. */
const trueOutput: TrueOutput = (request: SimRequest) => request.outputTokens;
