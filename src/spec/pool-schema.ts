// The shape of a pool file (several models on the same GPUs) as a zod schema: strict keys, plausible numbers, and what its entries say of
// each other (ids that are unique, minima below maxima, names that exist). What the numbers mean is plan/sharing.
import * as z from 'zod';
import { loadingFields } from './loading-schema.ts';
import { count, id, json, name } from './schema.ts';
import { weightPlaces } from './sharing.ts';

const size = z.union([
  count(1e15, 0),
  name.regex(
    /^\s*(\d+(_\d+)*(\.\d+)?|\.\d+)\s*([KMGT]i?B|B)\s*$/i,
    'is not a size: write a number and a unit, e.g. 24GiB, 512MiB or 25.8GB',
  ),
]);
const seconds = (max = 1e9) =>
  z.number().min(0, 'must not be negative').max(max, `is longer than anything plausible (limit ${max} s)`);
const fraction = z.number().positive('must be above 0').max(1, 'must be at most 1');
const rateText = z.union([
  z.number().positive('must be above 0').max(1e6),
  name.regex(
    /^\s*(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*(x|\/s|)\s*$/i,
    'is not a rate: 2x doubles it, 4/s makes it 4 requests a second',
  ),
]);
const oneOrMore = <Item extends z.ZodType>(item: Item, most: number) => z.union([item, z.array(item).min(1).max(most)]);

const workload = z.strictObject({
  ref: name.describe('a trace file, a preset or an inline form, as --workload takes it'),
  workloadModel: z
    .union([name, count(1e6, 0)])
    .optional()
    .describe('the rows of one model of a trace that has several'),
  rate: rateText.optional().describe('2x scales the arrivals, 4/s sets requests per second'),
  concurrency: count(1e6).optional().describe('closed loop: so many unfinished requests at a time'),
  seed: count(2 ** 32 - 1, 0).optional(),
  limit: count(1e9).optional().describe('only the first so many requests'),
  duration: seconds().optional().describe('only arrivals within so many seconds'),
  repeat: count(1e6).optional(),
  samples: count(1024).optional(),
  beamWidth: count(1024).optional(),
  think: seconds().optional(),
  shift: z
    .number()
    .min(-1e9)
    .max(1e9)
    .optional()
    .describe('seconds by which the arrivals are rotated within the span of the trace'),
});

const shared = z.union([
  name,
  z.strictObject({ with: name, part: name.optional().describe('a part of the model: vision, audio, text') }),
]);

const model = z.strictObject({
  id: name.optional().describe('what the model is called here; default: the reference'),
  model: name.describe('as --model takes it'),
  engine: name.optional().describe('as --engine takes it'),
  quantization: name.optional(),
  options: z
    .record(
      z
        .string()
        .regex(
          /^[a-z][a-z0-9-]*$/,
          'is no option: written like max-model-len, with dashes between the words and none in front',
        ),
      json,
    )
    .optional()
    .describe("the engine's own option names without the leading dashes"),
  devices: z.array(count(4095, 0)).min(1, 'names no GPU').max(64).optional().describe('indexes of its GPUs, from 0'),
  workload: z.union([name, workload]).optional(),
  priority: z.number().int('expected an integer').min(-1000).max(1000).optional().describe('larger goes first'),
  minMemory: size.optional().describe('KV cache that it always keeps'),
  maxMemory: size.optional().describe('KV cache that it may take at most'),
  slo: z
    .strictObject({
      ttft: z.number().positive('must be above 0').max(1e6).optional().describe('seconds'),
      tpot: z.number().positive('must be above 0').max(1e6).optional().describe('seconds'),
      scale: z
        .number()
        .min(1, 'must be at least 1')
        .max(1e6)
        .optional()
        .describe('slower than alone by so much at most'),
    })
    .optional(),
  weights: z.enum(weightPlaces).optional().describe('where they are before anybody asks for the model'),
  preloadAt: oneOrMore(seconds(), 1000).optional().describe('seconds from the start at which it is loaded unasked'),
  shares: oneOrMore(shared, 20)
    .optional()
    .describe('models with which it has its weights, or a part of them, in common'),
  lora: z
    .string()
    .regex(/^\s*[1-9]\d{0,3}\s+adapters?\s*$/, 'is written as "8 adapters"')
    .or(count(10_000))
    .optional()
    .describe('adapters that are served on its weights: counted as vLLM counts its slots'),
});

const loading = z.union([
  id,
  z
    .strictObject(loadingFields)
    .partial()
    .extend({
      preset: id.optional().describe('the behaviour whose fields hold where none is given here'),
      id: id.optional().describe('what it is called here; default: the preset, or own'),
    }),
]);

const policyOptions = z.record(id, z.record(z.string().max(60), z.union([z.number(), name, z.null()])));

export const poolSchema = z
  .strictObject({
    name: name.optional(),
    gpu: name.describe('as --gpu takes it: a100-80gb, "2x l40s"'),
    gpuMemory: z
      .union([name, count(1e15)])
      .optional()
      .describe('as --gpu-memory takes it'),
    engine: name.optional().describe('of every model that names none'),
    gpuMemoryUtilization: fraction.optional().describe('share of each GPU that all engines together may use'),
    policy: oneOrMore(id, 50).optional().describe('how the memory is shared; of several the first is chosen'),
    compare: z
      .union([z.literal('all'), z.array(id).max(50)])
      .optional()
      .describe('policies shown beside it'),
    policyOptions: policyOptions.optional().describe('parameters in place of those of a policy'),
    loading: oneOrMore(loading, 20)
      .optional()
      .describe('when weights come and go; of several the first is chosen, and every policy is run with each'),
    hostMemory: size.optional(),
    diskRate: z.number().positive('must be above 0').max(1e15).optional().describe('bytes per second'),
    seed: count(2 ** 32 - 1, 0).optional(),
    models: z.array(model).min(1, 'names no model').max(200),
  })
  .superRefine(({ models }, context) => {
    const refuse = (path: (string | number)[], message: string): void => {
      context.addIssue({ code: 'custom', path, message });
    };
    const ids = models.map((one) => one.id ?? one.model);
    models.forEach((one, i) => {
      const first = ids.indexOf(ids[i]!);
      if (first < i)
        refuse(
          ['models', i, ...(one.id === undefined ? ['model'] : ['id'])],
          one.id === undefined
            ? `is the same as models.${first}: give each an id of its own`
            : `is the id of models.${first} too: an id is unique`,
        );
      const devices = one.devices ?? [];
      if (new Set(devices).size < devices.length) refuse(['models', i, 'devices'], 'names a GPU twice');
      if (typeof one.workload === 'object' && one.workload.rate !== undefined && one.workload.concurrency !== undefined)
        refuse(['models', i, 'workload', 'rate'], 'a closed loop has no rate: leave out the rate or the concurrency');
      const named = [one.shares ?? []].flat().map((share) => (typeof share === 'string' ? share : share.with));
      if (named.includes(ids[i]!)) refuse(['models', i, 'shares'], 'names the model itself');
    });
  });

export type PoolFile = z.infer<typeof poolSchema>;
