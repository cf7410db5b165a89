// What a file of scheduler runs may hold (format vram-scheduler-runs/1.1). A field that is not known would change the run without
// saying so: it is refused, as is what no simulation can hold: more than 16,777,216 blocks in a pool (some forty bytes each).
import { z } from 'zod';
import { mostDraftTokens } from '../spec/simulation-values.ts';

const mostBlocks = 2 ** 24;
const mostTokens = 2 ** 31 - 1;
const mostRanks = 1024;

const count = z.int().nonnegative().max(mostTokens);
const positive = z.int().positive().max(mostTokens);
const blocks = z.int().positive().max(mostBlocks);

const blockSize = positive.optional();
const group = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('full'), blockSize }),
  z.strictObject({ type: z.literal('sliding'), blockSize, window: positive }),
  z.strictObject({ type: z.literal('chunked'), blockSize, chunk: positive }),
  z.strictObject({ type: z.literal('mamba'), blockSize }),
]);

const event = z.discriminatedUnion('type', [
  z.strictObject({ at: count, type: z.literal('abort'), id: z.string() }),
  z.strictObject({ at: count, type: z.literal('resetPrefixCache'), resetRunning: z.boolean().optional() }),
  z.strictObject({ at: count, type: z.literal('pause'), mode: z.enum(['new', 'all', 'none']) }),
]);

const spec = z.strictObject({
  method: z.enum(['ngram', 'eagle', 'draft_model']),
  tokens: z.int().positive().max(mostDraftTokens),
  acceptance: z.literal('crc32').optional(),
});

const offload = z.strictObject({
  cpuBlocks: blocks,
  blockSizeFactor: positive.optional(),
  policy: z.enum(['lru', 'arc']).optional(),
  storeThreshold: count.optional(),
});

const config = z
  .strictObject({
    numBlocks: z.int().min(2).max(mostBlocks),
    blockSize: positive,
    maxNumSeqs: positive,
    maxNumBatchedTokens: positive,
    maxModelLen: positive,
    policy: z.enum(['fcfs', 'priority']).default('fcfs'),
    longPrefillTokenThreshold: count.default(0),
    chunkedPrefill: z.boolean().default(true),
    prefixCaching: z.boolean().default(true),
    reserveFullPrompt: z.boolean().default(false),
    groups: z
      .array(group)
      .min(1)
      .default([{ type: 'full' }]),
    mambaCacheMode: z.enum(['none', 'align', 'all']).optional(),
    spec: spec.optional(),
    asyncScheduling: z.boolean().optional(),
    watermark: z.number().min(0).max(1).optional(),
    longPrefillAdaptive: z.boolean().optional(),
    prefillScheduleInterval: positive.optional(),
    maxLoras: positive.optional(),
    dcp: z.int().positive().max(mostRanks).optional(),
    retentionInterval: count.optional(),
    offload: offload.optional(),
    events: z.array(event).optional(),
  })
  .refine(({ offload, groups }) => offload === undefined || groups.length === 1, {
    path: ['offload'],
    error: 'KV offloading is simulated for one KV-cache group',
  });

const run = z.strictObject({
  id: z.string(),
  workload: z.string(),
  engines: z
    .array(z.string().regex(/^\d+\.\d+/, 'not a release of vLLM, e.g. 0.24.0'))
    .min(1)
    .optional(),
  config,
  expect: z.record(z.string(), z.int()).optional(),
});

export const runFileSchema = z.strictObject({
  format: z.string().regex(/^vram-scheduler-runs\/1(\.\d+)?$/),
  engine: z.string().regex(/^vllm\b/i, 'only runs of vllm can be simulated'),
  runs: z.array(run).min(1),
});

export type RunFile = z.infer<typeof runFileSchema>;
export type RunOfFile = RunFile['runs'][number];
