// The shape of preset and spec files as zod schemas: strict keys, plausible numbers, printable names. What the numbers mean
// is not known here. The same schemas validate the shipped presets at build time and a user's own YAML at run time; a
// config.json from a checkpoint goes through the loose form, because its keys are not ours to refuse.
import * as z from 'zod';
import { audioKeys, configKeys, ropeKeys, visionKeys } from './config-keys.ts';
import { claimedValues, claimFigures } from './deployment.ts';
import { vendors } from './gpu.ts';
import { dtypes, type Json } from './model.ts';
import { priceKinds } from './node.ts';
import { expandRuns } from './runs.ts';

export const text = z
  .string()
  .max(2000)
  .refine(
    (value) => !/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(value),
    'contains control characters',
  );
export const name = text.min(1).max(200);
export const id = name.regex(/^[a-z0-9][a-z0-9._-]*$/, 'an id has lower-case letters, digits, dots and dashes');
const notes = z.array(text).max(100);
const date = z.string().regex(/^\d{4}(-\d{2}(-\d{2})?)?$/, 'a date is written as YYYY-MM-DD');

/** An integer within bounds that no real model or GPU exceeds; the message carries the bound. */
export const count = (max: number, min = 1) =>
  z
    .number({ error: ({ input }) => (input === undefined ? 'is required' : 'expected a number') })
    .int('expected an integer')
    .min(min, `must be at least ${min}`)
    .max(max, `is larger than anything plausible (limit ${max})`);

const maxDepth = 8;
function isPlainJson(value: unknown, depth = 0): value is Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return true;
  if (typeof value === 'number') return Number.isFinite(value) && Math.abs(value) <= 1e15;
  if (depth > maxDepth || typeof value !== 'object') return false;
  return Object.values(value as object).every((inner) => isPlainJson(inner, depth + 1));
}
export const json = z.custom<Json>(
  (value) => isPlainJson(value),
  'expected finite numbers, texts, lists or nested values',
);
const anyKeys = (keys: readonly string[]) => Object.fromEntries(keys.map((key) => [key, json.optional()]));

/** A list, or its short form ("12x (3x a, b)"). */
const runs = <Item extends z.ZodType>(item: Item) =>
  z.union([
    z.array(item).max(10_000),
    z.string().refine((value) => expandRuns(value) !== undefined, 'is not a run list such as "12x (3x a, b)"'),
  ]);

const ropeNumbers = {
  type: name.optional(),
  theta: z.number().positive().max(1e12).optional(),
  factor: z.number().positive().max(1e5).optional(),
  originalMaxPositionEmbeddings: count(1e9).optional(),
  partialRotaryFactor: z.number().min(0).max(1).optional(),
};

/** The fields that every family reads, with their limits. */
const coreConfig = {
  dtype: z.enum(dtypes).optional(),
  hiddenSize: count(1_000_000).optional(),
  layers: count(10_000).optional(),
  heads: count(100_000).optional(),
  kvHeads: count(100_000).optional(),
  headDim: count(100_000).optional(),
  intermediateSize: z
    .union([count(10_000_000, 0), z.array(count(10_000_000, 0)), runs(count(10_000_000, 0))])
    .optional(),
  vocabSize: count(100_000_000),
  maxPositionEmbeddings: count(1_000_000_000).optional(),
  tieWordEmbeddings: z.boolean().optional(),
  slidingWindow: count(1_000_000_000, 0).optional(),
  layerTypes: runs(name).optional(),
  experts: count(100_000, 0).optional(),
  expertsPerToken: z.union([count(100_000, 0), runs(count(100_000, 0))]).optional(),
  moeIntermediateSize: z.union([count(10_000_000, 0), runs(count(10_000_000, 0))]).optional(),
};

const config = z.strictObject({
  ...anyKeys(configKeys),
  ...coreConfig,
  rope: z.strictObject({ ...anyKeys(ropeKeys), ...ropeNumbers }).optional(),
  vision: z.strictObject(anyKeys(visionKeys)).optional(),
  audio: z.strictObject(anyKeys(audioKeys)).optional(),
});

const quantization = z.looseObject({ method: name });

export const modelSchema = z.strictObject({
  id,
  name: name.optional(),
  hfId: name.optional(),
  aliases: z.array(name).max(100).optional(),
  shortNames: z.array(name).max(20).optional(),
  family: name.optional(),
  architecture: name,
  modelType: name,
  textModelType: name.optional(),
  task: z.literal('embed').optional(),
  released: date.optional(),
  parameters: count(1e15).optional(),
  source: text.optional(),
  notes: notes.optional(),
  config,
  quantization: quantization.optional(),
});

/** A normalized config.json: the same limits, any other key, and the sizes that no family can do without. */
export const looseConfigSchema = z.looseObject({
  ...coreConfig,
  hiddenSize: coreConfig.hiddenSize.unwrap(),
  rope: z.looseObject(ropeNumbers).optional(),
});

const bytes = count(1e15);
const rate = z.number().positive().max(1e18);
const share = z.number().positive().max(1);
const seconds = z.number().min(0).max(10);
const price = z.number().min(0).max(1e6);

export const gpuSchema = z.strictObject({
  id,
  name,
  aliases: z.array(name).max(100).optional(),
  printedNames: z.array(name).max(100).optional(),
  vendor: z.enum(vendors),
  architecture: name.optional(),
  computeCapability: z
    .string()
    .regex(/^\d{1,2}\.\d$/, 'a compute capability is written as "9.0"')
    .optional(),
  driverTotalBytes: bytes,
  cudaTotalBytes: bytes,
  cudaTotalConfidence: z.enum(['exact', 'derived', 'estimated']).optional(),
  windowsTotalBytes: bytes.optional(),
  eccTotalBytes: bytes.optional(),
  multiprocessors: count(10_000).optional(),
  l2CacheBytes: bytes.optional(),
  bandwidthBytesPerSecond: rate.optional(),
  flops: z
    .strictObject({
      fp16: rate.optional(),
      bf16: rate.optional(),
      fp8: rate.optional(),
      fp4: rate.optional(),
      int8: rate.optional(),
    })
    .optional(),
  formats: z
    .strictObject({
      fp16: z.boolean().optional(),
      bf16: z.boolean().optional(),
      fp8: z.boolean().optional(),
      int8: z.boolean().optional(),
      fp4: z.boolean().optional(),
    })
    .optional(),
  nvlinkBytesPerSecond: rate.optional(),
  nvlinkDomain: count(100_000).optional(),
  pcie: name.optional(),
  integrated: z.boolean().optional(),
  maxGpusPerNode: count(1_000_000).optional(),
  pricePerHour: z
    .strictObject({
      min: price,
      max: price,
      offers: z.record(name, price).optional(),
      date: date.optional(),
      source: text,
    })
    .optional(),
  sliceOf: name.optional(),
  stepTime: z
    .strictObject({
      fitted: z.boolean(),
      source: text,
      launchSeconds: seconds.optional(),
      layerSeconds: seconds.optional(),
      bandwidthEfficiency: share.optional(),
      computeEfficiency: share.optional(),
      attentionBandwidthEfficiency: share.optional(),
      prefillAttentionEfficiency: share.optional(),
      expertEfficiency: share.optional(),
      elementwiseMemoryShare: share.optional(),
    })
    .optional(),
  sources: notes.optional(),
  notes: notes.optional(),
});

export const nodeSchema = z.strictObject({
  id,
  name,
  aliases: z.array(name).max(100).optional(),
  provider: name,
  gpu: name,
  count: count(100_000),
  nvlinkDomain: count(100_000),
  vcpus: count(1_000_000).optional(),
  hostMemoryBytes: bytes.optional(),
  networkBytesPerSecond: rate.optional(),
  prices: z
    .array(z.strictObject({ kind: z.enum(priceKinds), perHour: price, date, source: text }))
    .max(100)
    .optional(),
  sources: notes.optional(),
  notes: notes.optional(),
});

export const variantBookSchema = z.strictObject({
  variants: z.array(
    z.strictObject({
      id: name,
      base: name,
      scheme: name.optional(),
      config: z.record(z.string(), json).optional(),
      note: text.optional(),
    }),
  ),
  rules: z.array(
    z.strictObject({
      organisations: z.array(name),
      suffix: text,
      scheme: name,
      note: text.optional(),
    }),
  ),
});

const claim = z
  .strictObject({
    what: name.describe('what the original states a figure of'),
    claimed: name.describe('as the original writes it: 28 GB, 64, yes'),
    of: z.enum(claimFigures).optional().describe('the figure of the plan that it is held against'),
    context: count(1e9).optional(),
    sequences: count(1e6).optional(),
    because: text.min(1).describe('why it is wrong, or cannot be checked'),
  })
  .refine(({ claimed, of }) => of === undefined || claimedValues(claimed, of).length > 0, {
    path: ['claimed'],
    error: 'cannot be read as such a figure (28 GB, 128 KiB, 64, yes, no)',
  });

/** A user's own file needs a model and GPUs only. */
export const deploymentSchema = z.strictObject({
  id: id.optional(),
  name: name.optional(),
  description: text.min(1).optional(),
  intent: text.min(1).optional().describe('what it is for'),
  model: name.describe('as --model takes it'),
  gpu: name.describe('as --gpu takes it'),
  engine: name.optional().describe('as --engine takes it'),
  quantization: name.optional(),
  options: z
    .record(z.string().regex(/^[a-z][a-z0-9-]*$/, 'an option is written as the engine spells it, without dashes'), json)
    .optional()
    .describe("the engine's own option names without the leading dashes"),
  requirement: z.strictObject({ context: count(1e9).optional(), concurrency: count(1e6).optional() }).optional(),
  environment: z.record(z.string().regex(/^[A-Z_][A-Z0-9_]*$/, 'not a name of a variable'), text).optional(),
  fits: z.boolean().optional().describe('whether it starts and holds its requirement'),
  corrects: id.optional().describe('the deployment that this one corrects'),
  changes: notes.optional().describe('what was changed, and why'),
  claims: z.array(claim).max(50).optional(),
  sources: notes.min(1).optional(),
  notes: notes.optional(),
});

/** A shipped one is named, says what it is for, where it comes from, and whether it is to fit. */
export const deploymentPresetSchema = deploymentSchema.required({
  id: true,
  name: true,
  description: true,
  intent: true,
  requirement: true,
  fits: true,
  sources: true,
});

const expression = text.min(1).describe('over the columns of vram compare, as --filter takes it');
const words = z.array(name).min(1).max(200);
const sizes = z.array(count(65_536)).min(1).max(20);

/** What `vram compare --for` takes. */
export const scenarioSchema = z.strictObject({
  id,
  name,
  aliases: z.array(name).max(20).optional(),
  question: text.min(1),
  load: z
    .strictObject({
      promptTokens: count(1e9),
      outputTokens: count(1e9),
      concurrency: count(1e6),
      longest: count(1e9).optional().describe('the longest sequence that has to be served'),
    })
    .describe('what one server gets at once'),
  models: words.describe('as --model takes them, in the order of preference'),
  gpus: words.describe('as --gpu takes them'),
  consider: z.strictObject({
    engines: words,
    quantizations: words,
    kvCacheDtypes: words.optional(),
    tp: sizes.optional(),
    pp: sizes.optional(),
    dp: sizes.optional(),
  }),
  options: z
    .record(z.string(), z.record(z.string(), json))
    .optional()
    .describe('by engine, its own option names; $context, $concurrency, $tokens, $longest stand for the load'),
  constraints: z
    .array(z.strictObject({ expression, because: text.min(1), source: text.optional() }))
    .min(1)
    .max(20),
  objective: z
    .array(
      z.strictObject({
        by: expression,
        title: name,
        unit: name,
        better: z.enum(['less', 'more']),
        within: z.number().min(0).max(1).optional().describe('share below which a difference does not count'),
      }),
    )
    .min(1)
    .max(10),
  claim: z
    .strictObject({
      advice: name,
      expression,
      assumptions: z
        .array(
          z.strictObject({ says: text.min(1), expression, otherwise: text.min(1), essential: z.boolean().optional() }),
        )
        .min(1)
        .max(10),
    })
    .describe('what the well-known decision table advises, and when that holds'),
  sources: notes.min(1),
  notes: notes.optional(),
});
