// The shape of `vram simulate --json` as a zod schema: the source of `vram schema simulate` and of the tests that validate what
// the program prints. simulate-output.ts and sim/result.ts are the same shape for the compiler.
import { z } from 'zod';
import { envelopeSchema } from './envelope-schema.ts';
import { inputSchema } from './schema.ts';

const count = z.int().nonnegative();
const share = z
  .number()
  .min(0)
  .max(1 + 1e-9);
const seconds = z.number().nonnegative();
const ratio = z.number().nonnegative();

export const latencySchema = z.strictObject({ mean: seconds, p50: seconds, p90: seconds, p99: seconds });

const bound = z
  .enum(['compute', 'bandwidth', 'network', 'PCIe', 'overhead'])
  .nullable()
  .describe('what such steps spent most of their time on; null: there was none');

const point = z.strictObject({
  t: seconds,
  running: count,
  waiting: count,
  swapped: count,
  usedBlocks: count,
  cachedBlocks: count.describe('free blocks that still hold a cached prefix'),
  tokenStates: share,
  reserved: share,
  internalFragmentation: share,
  externalFragmentation: share,
  preemptions: count.describe('since the point before'),
});

const run = {
  requests: z.strictObject({
    total: count,
    finished: count,
    rejected: count,
    cut: count.describe('finished, with answers cut at max_model_len'),
    rejections: z.array(z.strictObject({ reason: z.string(), count, first: z.string() })),
  }),
  steps: count,
  scheduledTokens: count,
  makespanSeconds: seconds,
  perRequestCrc32: count.nullable().describe('CRC-32 of id,firstTokenStep,finishStep lines; only with --step-time 1'),
  pool: z.strictObject({ numBlocks: count, blockSize: count, bytesPerBlock: count.nullable() }),
  memory: z.strictObject({
    meanUtilization: share.describe('used blocks over usable blocks, time-weighted'),
    peakUtilization: share,
    shares: z
      .strictObject({
        tokenStates: share,
        reserved: share,
        internalFragmentation: share,
        externalFragmentation: share,
        free: share,
      })
      .describe('time-weighted; they sum to 1'),
  }),
  prefixCache: z.strictObject({
    queriedTokens: count,
    hitTokens: count,
    hitRate: share,
    queriedBlocks: count,
    hitBlocks: count,
    blockHitRate: share,
    evictions: count,
  }),
  preemptions: z.strictObject({ recompute: count, swap: count, recomputedTokens: count, swappedBlocks: count }),
  copyOnWrite: z.strictObject({ copies: count, sharedBlocksPeak: count, savedBlocksShare: share }),
  offload: z
    .strictObject({ storedBlocks: count, loadedBlocks: count, diskReadBlocks: count, diskWrittenBlocks: count })
    .optional()
    .describe('blocks of the pool copied to host memory and back; of that memory from the disk and to it'),
  speculation: z
    .strictObject({ draftTokens: count, acceptedTokens: count })
    .optional()
    .describe('tokens drafted, and those of them that were accepted'),
  latency: z.strictObject({
    ttftSeconds: latencySchema,
    tpotSeconds: latencySchema,
    e2eSeconds: latencySchema,
    estimate: z.enum(['roofline', 'fitted', 'fixed']),
    uncertainty: z.string(),
    bound: z.strictObject({ prefill: bound, decode: bound }).optional(),
  }),
  throughput: z.strictObject({ requestsPerSecond: ratio, outputTokensPerSecond: ratio, meanBatch: ratio }),
  timeline: z.array(point),
  counters: z.record(z.string(), z.number()).optional(),
};

const settings = z.record(z.string(), z.union([z.number(), z.string()]));
export const namedRunFields = {
  policy: z.string(),
  eviction: z.string(),
  settings,
  expected: z.record(z.string(), z.number()).optional(),
  ...run,
};

const single = z.strictObject({
  ...namedRunFields,
  advice: z.array(
    z.strictObject({
      change: z.string(),
      flags: z.array(z.strictObject({ flag: z.string(), value: z.string() })),
      figure: z.string(),
      before: z.number(),
      after: z.number(),
      effect: z.string(),
    }),
  ),
  maxRate: z
    .strictObject({
      slo: z.array(z.string()),
      scale: z.number().nullable(),
      requestsPerSecond: z.number().nullable(),
      failsAtScale: z.number().nullable(),
      trials: z.array(
        z.strictObject({
          scale: z.number(),
          requestsPerSecond: ratio,
          holds: z.boolean(),
          values: z.array(z.number()),
        }),
      ),
    })
    .optional(),
});

const several = z.strictObject({
  runs: z.array(z.strictObject(namedRunFields)),
  refused: z.array(z.strictObject({ policy: z.string(), settings, reason: z.string() })),
});

const curve = z.strictObject({
  counting: z.string(),
  curve: z.array(
    z.strictObject({
      eviction: z.string(),
      capacityBlocks: count.nullable().describe('null: unlimited'),
      queriedBlocks: count,
      hitBlocks: count,
      blockHitRate: share,
    }),
  ),
});

export const workloadEchoSchema = z.strictObject({
  ref: z.string(),
  name: z.string(),
  format: z.string(),
  requests: count,
  promptTokens: count,
  outputTokens: count,
  maxPromptTokens: count,
  maxOutputTokens: count,
  spanSeconds: seconds,
  concurrency: count.nullable(),
  rate: z.string().nullable(),
  requestsPerSecond: z.number().nullable(),
  rows: count.nullable(),
  rejectedRows: count.nullable(),
});

const input = z.strictObject({
  model: inputSchema.shape.model.nullable(),
  gpu: inputSchema.shape.gpu.nullable(),
  engine: inputSchema.shape.engine,
  parallel: inputSchema.shape.parallel.nullable(),
  workload: workloadEchoSchema,
  poolSource: z.enum(['plan', 'option', 'run-config', 'none']),
  seed: z.int(),
});

export const simulateOutputSchema = envelopeSchema('simulate', input, z.union([single, several, curve]));
