// What a file of scheduler runs may hold (format vram-scheduler-runs/1.1). A field that is not known would change the run without
// saying so: it is refused.
import { z } from 'zod';
import { groupTypes } from '../sim/paged/config.ts';

const count = z.int().nonnegative();
const positive = z.int().positive();

const group = z.strictObject({
  type: z.enum(groupTypes),
  blockSize: positive.optional(),
  window: positive.optional(),
  chunk: positive.optional(),
});

const event = z.discriminatedUnion('type', [
  z.strictObject({ at: count, type: z.literal('abort'), id: z.string() }),
  z.strictObject({ at: count, type: z.literal('resetPrefixCache'), resetRunning: z.boolean().optional() }),
  z.strictObject({ at: count, type: z.literal('pause'), mode: z.enum(['new', 'all', 'none']) }),
]);

const spec = z.strictObject({
  method: z.enum(['ngram', 'eagle', 'draft_model']),
  tokens: positive,
  acceptance: z.literal('crc32').optional(),
});

const offload = z.strictObject({
  cpuBlocks: positive,
  blockSizeFactor: positive.optional(),
  policy: z.enum(['lru', 'arc']).optional(),
  storeThreshold: count.optional(),
});

const config = z
  .strictObject({
    numBlocks: z.int().min(2),
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
    dcp: positive.optional(),
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
  engines: z.array(z.string()).min(1).optional(),
  config,
  expect: z.record(z.string(), z.int()).optional(),
});

export const runFileSchema = z.strictObject({
  format: z.string().regex(/^vram-scheduler-runs\/1(\.\d+)?$/),
  engine: z.string(),
  runs: z.array(run).min(1),
});

export type RunFile = z.infer<typeof runFileSchema>;
export type RunOfFile = RunFile['runs'][number];
