// The shape of `vram quantize --json` as a zod schema: the source of `vram schema quantize`, and what tests validate answers against.
import { z } from 'zod';
import { envelopeSchema } from './envelope-schema.ts';
import { domains } from './quality/book.ts';
import { hardwareLevels } from './quantize/support.ts';
import { rowStates } from './quantize/types.ts';
import { recipeTools } from './recipe/types.ts';
import { confidences } from './types.ts';

const bytes = z.int().nonnegative().describe('bytes');
const count = z.int().nonnegative();
const engine = z.enum(['vllm', 'llama.cpp']);

const note = {
  model: z.string(),
  relation: z.enum(['model', 'family', 'other']).describe('measured on this model, on its family, on another model'),
  metric: z.string(),
  metricName: z.string(),
  metricShort: z.string(),
  domain: z.enum(domains),
  value: z.number(),
  baseline: z.number().nullable(),
  lowerIsBetter: z.boolean(),
  relativeLoss: z.number().nullable().describe('share of the 16-bit figure lost; negative: measured better'),
  imatrix: z.boolean(),
  recipe: z.string().nullable(),
  source: z.string(),
  note: z.string().nullable(),
};

const quality = z
  .strictObject({
    ...note,
    borrowed: z.strictObject({ scheme: z.string(), note: z.string() }).nullable(),
    domainMissing: z.boolean(),
    alsoMeasured: z.array(z.strictObject(note)),
  })
  .nullable()
  .describe('null: no published figure');

const capacity = z.strictObject({ tokens: count, sequencesAtContext: count }).nullable();

const row = z.strictObject({
  scheme: z.string(),
  name: z.string(),
  engine: engine.nullable().describe('the engine that it was planned for; null: none here serves it'),
  published: z.boolean().describe('the form in which its maker publishes the model'),
  storage: z.strictObject({
    weightsBytes: bytes,
    scalesBytes: bytes,
    zeroPointsBytes: bytes,
    sixteenBitBytes: bytes,
    otherBytes: bytes,
    totalBytes: bytes,
    confidence: z.enum(confidences),
  }),
  bitsPerWeight: z.number().positive(),
  weightBytesPerGpu: bytes,
  activations: z.string(),
  kv: capacity,
  state: z.enum(rowStates),
  fits: z.boolean(),
  shortfallBytes: bytes,
  reason: z.string().nullable(),
  confidence: z.enum(confidences),
  quality,
  hardware: z.strictObject({ level: z.enum(hardwareLevels), how: z.string(), source: z.string().nullable() }),
  engineSupport: z.array(
    z.strictObject({
      engine,
      version: z.string(),
      supported: z.boolean(),
      since: z.string().nullable(),
      until: z.string().nullable(),
    }),
  ),
  decodeSpeedRatio: z.number().positive().nullable().describe('decode steps against 16 bit, by bytes moved'),
  notes: z.array(z.string()),
});

const kvRow = z.strictObject({
  engine,
  scheme: z.string(),
  name: z.string(),
  bitsPerValue: z.number().positive(),
  weights: z.string().describe('scheme of the weights that it was planned with'),
  kv: capacity,
  bytesPerToken: z.number().positive().nullable(),
  state: z.enum(rowStates),
  fits: z.boolean(),
  reason: z.string().nullable(),
  quality,
  hardware: z.enum(hardwareLevels),
  notes: z.array(z.string()),
});

const recommendation = z.strictObject({
  scheme: z.string(),
  engine,
  reason: z.string(),
  change: z.string(),
  command: z.string(),
  flags: z.array(
    z.strictObject({
      flag: z.string(),
      value: z.string().nullable(),
      because: z.string(),
      list: z.boolean().optional(),
    }),
  ),
  plan: z.string().describe('vram plan of the same deployment'),
  alternatives: z.array(z.strictObject({ scheme: z.string(), engine, reason: z.string() })),
});

export const quantizeOutputSchema = envelopeSchema(
  'quantize',
  z.strictObject({
    model: z.strictObject({
      id: z.string(),
      name: z.string(),
      hfId: z.string().nullable(),
      architecture: z.string(),
      parameters: count,
      published: z.string(),
    }),
    gpu: z.strictObject({
      id: z.string(),
      name: z.string(),
      vendor: z.string(),
      count: count.min(1),
      cudaTotalBytes: bytes,
      computeCapability: z.string().nullable(),
    }),
    engines: z.array(z.strictObject({ id: z.string(), name: z.string(), version: z.string() })).min(1),
    parallel: z.strictObject({ tp: count.min(1), pp: count.min(1), dp: count.min(1) }),
  }),
  z.strictObject({
    requirement: z.strictObject({
      context: count,
      concurrency: count,
      maxQualityLoss: z.number().nullable(),
      domain: z.enum(domains).nullable(),
    }),
    rows: z.array(row),
    kvCache: z.array(kvRow),
    recommendation: recommendation.nullable(),
    noRecommendation: z.string().nullable(),
  }),
);

/** The same with --recipe. */
export const recipeOutputSchema = quantizeOutputSchema.omit({ result: true }).extend({
  result: z.strictObject({
    recipes: z.array(
      z.strictObject({
        engine,
        recipe: z.looseObject({ tool: z.enum(recipeTools), fits: z.boolean(), bytes, budgetBytes: bytes }),
        headroomBytes: z.int().describe('bytes; least that is left on a GPU with it'),
      }),
    ),
  }),
});
