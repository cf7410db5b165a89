// The shape of `vram plan --pool --json` as a zod schema: the source of `vram schema plan-pool` and of the test that validates what the
// program prints. types.ts and output.ts are the same shape for the compiler.
import { z } from 'zod';
import { sharingKinds, weightPlaces } from '../../spec/sharing.ts';
import { envelopeSchema } from '../envelope-schema.ts';
import { confidences, itemIds } from '../types.ts';
import { allocatorGpuSchema } from './allocator-schema.ts';

const bytes = z.int().nonnegative().describe('bytes');
const count = z.int().nonnegative();
const explained = { formula: z.string(), source: z.string(), confidence: z.enum(confidences) };

const parts = { weightsBytes: bytes, contextBytes: bytes, activationBytes: bytes };

const page = z.strictObject({
  bytes: bytes.describe('one physical page in every tensor'),
  pageBytes: bytes,
  tensors: count.describe('K and V of every layer'),
  blocks: count,
  tokens: count,
});

const model = z.strictObject({
  id: z.string(),
  devices: z.array(count),
  ...parts,
  kvCacheBytes: bytes.describe('the slice, or what it keeps whatever the others do'),
  mostKvBytes: bytes.describe('the most that it can hold while the others keep their minimum'),
  fits: z.boolean(),
  reason: z.string().nullable(),
  shortfallBytes: bytes.optional(),
  numBlocks: count,
  kvTokens: count.describe('of mostKvBytes, as the engine prints them'),
  maxConcurrency: z.number().nonnegative(),
  maxModelLen: count,
  guaranteedTokens: count,
  utilization: z.number().positive().max(1).optional().describe('static policies: gpu_memory_utilization'),
  freeMemoryBytes: z.array(bytes).nullable().optional().describe('free on each GPU as it starts; null: all of it'),
  page: page.optional(),
  items: z.array(
    z
      .strictObject({ gpu: count, id: z.enum(itemIds), bytes: z.int(), ...explained })
      .describe('leaves of its own needs'),
  ),
  flags: z
    .array(
      z.strictObject({
        flag: z.string(),
        value: z.string().nullable(),
        because: z.string(),
        list: z.boolean().optional(),
      }),
    )
    .optional(),
  command: z.string().optional(),
});

const gpu = z.strictObject({
  gpu: count,
  name: z.string(),
  totalBytes: bytes,
  usedBytes: z.array(z.strictObject({ id: z.string(), ...parts, kvCacheBytes: bytes })),
  sharedBytes: bytes,
  freeBytes: z.int().describe("nobody's; negative by as much as the GPU lacks"),
  poolBytes: bytes.describe('what is kept and what is shared'),
});

const policy = z.strictObject({
  policy: z.string(),
  kind: z.enum(sharingKinds),
  name: z.string(),
  summary: z.string(),
  runs: z.boolean().describe('false: no release of an engine does it'),
  gpuUtilization: z.number().positive().max(1),
  fits: z.boolean().describe('all models run at once'),
  reason: z.string().nullable(),
  shortfallBytes: bytes.optional(),
  takesTurns: z.boolean().describe('not at once, but each by itself, and weights come and go'),
  models: z.array(model),
  gpus: z.array(gpu),
  sharedBytes: bytes.describe('for whoever needs it, beside what each keeps'),
  kvBytes: bytes,
  adds: z
    .strictObject({
      against: z.string(),
      slicesBytes: bytes,
      poolBytes: bytes,
      models: z.array(
        z.strictObject({
          id: z.string(),
          sliceTokens: count,
          tokens: count,
          factor: z.number().nonnegative().nullable(),
        }),
      ),
    })
    .optional(),
  figures: z.array(z.strictObject({ figure: z.string(), ...explained })),
});

/** A model of a pool file as it was resolved. */
export const memberSchema = z.strictObject({
  id: z.string(),
  model: z.string(),
  parameters: count,
  quantization: z.string(),
  engine: z.string(),
  devices: z.array(count),
  weights: z.enum(weightPlaces),
  priority: z.int(),
  minBytes: bytes,
  maxBytes: bytes.nullable(),
});

export const poolOutputSchema = envelopeSchema(
  'plan',
  z.strictObject({
    pool: z.strictObject({
      file: z.string(),
      name: z.string(),
      policy: z.string(),
      policies: z.array(z.string()),
      loading: z.string().nullable(),
    }),
    gpu: z.strictObject({ name: z.string(), count, totalBytes: bytes }),
    models: z.array(memberSchema),
  }),
  z.strictObject({
    policy: z.string().describe('the chosen one'),
    policies: z.array(policy),
    common: z.array(
      z.strictObject({
        holder: z.string(),
        models: z.array(z.string()),
        part: z.string().nullable(),
        savedBytes: bytes,
      }),
    ),
    adapters: z.array(z.strictObject({ id: z.string(), adapters: count, bytes })),
    allocator: z.array(allocatorGpuSchema).optional().describe('--allocator: the GPUs that several models share'),
  }),
);
