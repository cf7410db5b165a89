// The shape of `vram simulate --pool --json` as a zod schema: the source of `vram schema simulate-pool` and of the tests that validate what
// the program prints. shared-output.ts and sim/sharing/result.ts are the same shape for the compiler.
import { z } from 'zod';
import { envelopeSchema } from './envelope-schema.ts';
import { memberSchema } from './sharing/schema.ts';
import { latencySchema, namedRunFields, workloadEchoSchema } from './simulate-schema.ts';

const count = z.int().nonnegative();
const bytes = z.number().nonnegative();
const seconds = z.number().nonnegative();
const share = z
  .number()
  .min(-1e-9)
  .max(1 + 1e-9);

const requests = z.strictObject({ total: count, finished: count, rejected: count });
const refusals = z
  .strictObject({ count, seconds })
  .describe('times the head of the queue was refused for want of memory, and the seconds it waited');

const model = z.strictObject({
  ...namedRunFields,
  advice: z.array(z.never()),
  id: z.string(),
  pages: z.strictObject({
    bytes: bytes.describe('of a page id on each GPU; 0 where memory is not handed out in pages'),
    mapped: count,
    unmapped: count,
    mapSeconds: seconds,
    unmapSeconds: seconds,
    denied: count.describe('a page was wanted and the pool had none'),
    peakMapped: count,
  }),
  memoryBytes: z.strictObject({
    meanMapped: bytes,
    peakMapped: bytes,
    meanUsed: bytes,
    meanCached: bytes,
    meanTokens: bytes,
  }),
  refusals,
  loads: z.strictObject({
    fromHost: count,
    fromDisk: count,
    unloads: count,
    switches: count,
    seconds,
    waitSeconds: seconds.describe('requests were there and the weights were not'),
  }),
  slo: z.strictObject({ attained: count, total: count, attainment: share }),
  relativeSpeed: share.describe('mean over requests of the time alone on the GPU over the time it took'),
});

const pool = z.strictObject({
  poolBytes: bytes,
  tokenShare: share,
  usedShare: share,
  cachedShare: share,
  mappedShare: share,
  fragmentationBytes: z.number(),
  fragmentationShare: share,
  strandedBytes: bytes.describe('free in one model while another refuses, mean over that time'),
  strandedTimeShare: share,
  requests,
  preemptions: count,
  refusals: count,
  refusedSeconds: seconds,
  maps: count,
  unmaps: count,
  mapSeconds: seconds,
  unmapSeconds: seconds,
  denied: count,
  loads: count,
  unloads: count,
  switches: count.describe('of the unloads: taken off while busy'),
  loadSeconds: seconds,
  loadWaitSeconds: seconds.describe('requests of a model were there and its weights were not, summed over the models'),
  ttftSeconds: latencySchema,
  tpotSeconds: latencySchema,
  e2eSeconds: latencySchema,
  queueSeconds: latencySchema,
  sloAttainment: share,
  fairness: share.describe("Jain's index over the models' relative speeds"),
  makespanSeconds: seconds,
  outputTokensPerSecond: z.number().nonnegative(),
  busyShare: share,
});

const timeline = z.array(
  z.strictObject({
    t: seconds,
    models: z.array(
      z.strictObject({
        weights: bytes,
        mapped: bytes,
        used: bytes,
        waiting: count,
        running: count,
        refused: z.boolean(),
      }),
    ),
  }),
);

const loading = z.string().nullable().describe('when weights come and go; null: all stay in memory');

export const sharedOutputSchema = envelopeSchema(
  'simulate',
  z.strictObject({
    pool: z.strictObject({
      file: z.string(),
      name: z.string().nullable(),
      policy: z.string(),
      policies: z.array(z.string()),
      loading: z.string().nullable(),
      loadings: z
        .array(z.strictObject({ id: z.string(), name: z.string(), summary: z.string() }))
        .describe('when weights come and go; every policy was run with each'),
    }),
    gpu: z.strictObject({ name: z.string(), count, totalBytes: bytes }),
    models: z.array(memberSchema.extend({ workload: workloadEchoSchema })),
    seed: z.int(),
  }),
  z.strictObject({
    policy: z.string().describe('the one that models, pool and timeline are of'),
    loading,
    models: z.array(model).describe('the fields of a run alone, and what sharing adds'),
    pool: pool.nullable(),
    timeline,
    policies: z.array(
      z.strictObject({
        policy: z.string(),
        loading,
        name: z.string(),
        summary: z.string(),
        runs: z.boolean(),
        pool,
        models: z.array(
          z.strictObject({
            id: z.string(),
            requests,
            preemptions: count,
            refusals,
            ttftP99Seconds: seconds,
            tpotP99Seconds: seconds,
            sloAttainment: share,
            relativeSpeed: share,
            meanMappedBytes: bytes,
            peakMappedBytes: bytes,
          }),
        ),
        timeline,
        maxRate: z
          .strictObject({
            sloAttainment: share,
            scale: z.number().nullable(),
            requestsPerSecond: z.number().nullable(),
            failsAtScale: z.number().nullable(),
            trials: z.array(z.strictObject({ scale: z.number(), sloAttainment: share, holds: z.boolean() })),
          })
          .optional(),
      }),
    ),
    refused: z.array(z.strictObject({ policy: z.string(), loading, reason: z.string() })),
    advice: z
      .strictObject({
        policy: z.string(),
        loading,
        figure: z.string().describe('path of the figure in pool that decided'),
        value: z.number(),
        against: z.strictObject({ policy: z.string(), loading, value: z.number() }),
        because: z.string(),
      })
      .nullable(),
  }),
);
