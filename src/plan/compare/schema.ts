// The shape of `vram compare --json` as a zod schema: the source of `vram schema compare`, and what tests validate answers against. Rows
// carry the figures of `plan` under the names that they have there.
import { z } from 'zod';
import { envelopeSchema } from '../envelope-schema.ts';
import { columnUnits } from './output.ts';

const bytes = z.int().nonnegative().nullable().describe('bytes');
const count = z.int().nonnegative();
const figure = z.number().nullable();
const share = z.number().nullable().describe('a share: 0.01 is 1 %');

const row = z.strictObject({
  id: z.string(),
  model: z.string(),
  gpu: z.string(),
  gpus: count.describe('GPUs that the layout takes, over all replicas'),
  engine: z.string(),
  quantization: z.string(),
  kvCacheDtype: z.string(),
  parallel: z.strictObject({ tp: count, pp: count, dp: count, ep: count }),
  fits: z.boolean().describe('it starts and holds the requirement'),
  verdict: z.strictObject({
    fits: z.boolean(),
    headroomBytes: z.int().nullable(),
    reason: z.string().nullable(),
    refusal: z.string().nullable().describe('what the engine says where it refuses options, layout or scheme'),
  }),
  weights: z.strictObject({ tensorBytes: bytes, loadedBytes: bytes }).describe('of the fullest GPU'),
  memory: z.strictObject({ activationBytes: bytes, graphBytes: bytes }),
  kvCache: z.strictObject({
    bytes,
    numBlocks: count.nullable(),
    blockSize: count.nullable(),
    bytesPerToken: figure,
    tokens: count.nullable(),
    maxConcurrency: figure,
    maxModelLen: count.nullable(),
  }),
  workload: z.strictObject({
    context: count.nullable(),
    concurrency: count.nullable(),
    fits: z.boolean().nullable(),
    maxConcurrencyAtContext: count.nullable(),
    maxContextAtConcurrency: count.nullable(),
  }),
  price: z
    .strictObject({ perHour: figure, perMillionOutputTokens: figure })
    .describe('US dollars; null: no price known'),
  speed: z
    .strictObject({
      outputTokensPerSecond: figure,
      decodeTokensPerSecond: figure,
      decodeBound: z.string().nullable(),
      prefillTokensPerSecond: figure,
      prefillBound: z.string().nullable(),
      ttftSeconds: figure,
      tpotSeconds: figure,
      loadedTpotSeconds: figure,
      uncertaintyShare: share,
    })
    .describe('estimates by roofline'),
  quality: z.strictObject({
    relativeLoss: share,
    relation: z.enum(['model', 'family', 'other', 'none']).nullable(),
    metric: z.string().nullable(),
  }),
});

const cell = z.union([z.string(), z.number(), z.boolean(), z.null()]);
const rowNumbers = z.array(count).describe('positions in rows');
const moved = { weightsBytes: z.int(), kvCacheBytes: z.int(), tokens: z.int() };

const diff = z.strictObject({
  baseline: z.string(),
  rows: z.array(
    z.strictObject({
      id: z.string(),
      against: z.string().nullable(),
      changes: z.array(
        z.strictObject({ column: z.string(), before: cell, after: cell, delta: figure, relative: figure }),
      ),
      broken: z.boolean().describe('it fitted before and does not now'),
    }),
  ),
  releases: z.array(
    z.strictObject({
      id: z.string(),
      from: z.string(),
      to: z.string(),
      ...moved,
      rules: z.array(z.strictObject({ rule: z.string(), before: z.unknown(), after: z.unknown(), ...moved })),
    }),
  ),
});

const text = z.string();
const verdictOnClaim = {
  holds: z.boolean().nullable().describe('whether the usual advice comes out; null: nothing meets the conditions'),
  because: z.array(text),
};
const deployment = z.strictObject({
  rank: count,
  id: text,
  words: text,
  row,
  fits: z.boolean().describe('planned on its own it starts and holds the load'),
  command: text,
  flags: z.array(z.strictObject({ flag: text, value: text.nullable(), because: text, list: z.boolean().optional() })),
  plan: text.describe('the vram line that plans it'),
  simulate: text.nullable().describe('the vram line that simulates it, but for --workload'),
  losesBecause: text.nullable().describe('why it comes after the one above'),
});

const scenario = z.strictObject({
  id: text,
  name: text,
  question: text,
  load: z.strictObject({
    promptTokens: count,
    outputTokens: count,
    concurrency: count,
    longest: count.optional(),
    context: count,
  }),
  constraints: z.array(z.strictObject({ because: text, expression: text, source: text.nullable() })),
  objective: z.array(z.strictObject({ title: text, by: text, better: z.enum(['less', 'more']), within: z.number() })),
  claim: text.describe('the usual advice'),
  ...verdictOnClaim,
  model: text.nullable(),
  deployments: z.array(deployment),
  others: z.array(
    z.strictObject({
      model: text,
      combinations: z.strictObject({ planned: count, fitting: count, meeting: count }),
      deployments: z.array(deployment),
      ...verdictOnClaim,
      advised: text.nullable(),
    }),
  ),
  broken: z.array(z.strictObject({ because: text, expression: text, rows: count })),
  notes: z.array(text),
});

export const compareOutputSchema = envelopeSchema(
  'compare',
  z.record(z.string(), z.unknown()),
  z.looseObject({
    combinations: z.strictObject({ planned: count, fitting: count, kept: count }),
    columns: z.array(
      z.strictObject({
        key: z.string().describe('dotted path into a row'),
        title: z.string(),
        unit: z.enum(columnUnits).nullable(),
        better: z.enum(['more', 'less']).nullable(),
        estimate: z.boolean(),
        description: z.string(),
      }),
    ),
    rows: z.array(row),
    pareto: z.strictObject({ columns: z.array(z.string()), rows: rowNumbers }).nullable(),
    groups: z
      .strictObject({
        column: z.string(),
        values: z.array(z.strictObject({ value: cell, fitting: count, rows: rowNumbers })),
      })
      .optional(),
    diff: diff.optional(),
    scenario: scenario.optional().describe('--for'),
  }),
);
