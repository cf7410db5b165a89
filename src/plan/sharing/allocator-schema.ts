// The shape of an entry of `result.allocator` (`vram plan --pool --allocator --json`) as a zod schema; allocator-pool.ts has the same
// shape for the compiler.
import { z } from 'zod';
import { allocatorKinds } from '../../sim/cuda-allocator/index.ts';

const count = z.int().nonnegative();
const bytes = z.int().nonnegative();
const share = z.number().min(0).max(1);

const failure = z.strictObject({
  event: count.describe('index in the schedule'),
  kind: z.enum(['load', 'use', 'unload']),
  model: z.string(),
  bytes: bytes.describe('of the request that was refused'),
  wantedBytes: bytes.describe('what the load or the step still wanted in all'),
  freeBytes: bytes.describe('in no tensor, wherever it lies'),
  fragmented: z.boolean().describe('as many bytes as were wanted were free, but not where they could be had'),
});

const moment = z.strictObject({
  allocatedBytes: bytes,
  reservedBytes: bytes,
  cachedBytes: bytes.describe('reserved, and in no tensor'),
  largestBytes: bytes.describe('the largest request that would be granted'),
  scatteredBytes: bytes.describe('free, but not to be had in one piece'),
});

const allocator = z.strictObject({
  kind: z
    .enum(allocatorKinds)
    .describe("PyTorch's caching allocator, the same with expandable_segments:True, one buffer of one's own"),
  peakAllocatedBytes: bytes,
  peakReservedBytes: bytes,
  cachedAtPeakBytes: bytes.describe('reserved, and in no tensor, as the most was allocated'),
  mostScatteredBytes: bytes,
  end: moment,
  failures: z.array(failure),
  calls: z.strictObject({
    deviceAllocations: count.describe('cudaMalloc, or stretches mapped'),
    deviceFrees: count.describe('cudaFree, or stretches unmapped'),
    pagesMapped: count,
    pagesUnmapped: count,
    retries: count.describe('requests for which the cache was emptied before another try'),
    movedBytes: bytes.describe('moved within the buffer to close gaps'),
  }),
  usable: z
    .strictObject({ share, kvBytes: bytes })
    .nullable()
    .describe(
      'up to which share of deviceBytes, in steps of 1 % from 70 %, nothing is refused; KV cache of a model at it',
    ),
});

export const allocatorGpuSchema = z.strictObject({
  gpu: count.describe('index in the pool'),
  name: z.string(),
  deviceBytes: bytes.describe('what CUDA reports less one context'),
  maxLoaded: count.describe('models in memory at once at most'),
  share: share.describe('of deviceBytes, filled by any so many models with weights, KV cache and one step'),
  models: z.array(
    z.strictObject({ id: z.string(), tensors: count, weightsBytes: bytes, kvBytes: bytes, stepBytes: bytes }),
  ),
  events: count.describe('length of the schedule'),
  loads: count,
  allocators: z.array(allocator),
  expandableSaves: z
    .strictObject({ peakReservedBytes: z.int(), failures: z.int(), kvBytes: z.int().nullable() })
    .describe('expandable_segments:True against the default'),
});
