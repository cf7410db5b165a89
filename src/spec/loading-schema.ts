// The shape of a loading behaviour (presets/loading/*.yaml) as a zod schema; a pool file gives single fields of one in the same form.
// What the numbers mean is spec/sharing.ts, what they do sim/sharing/residency.ts.
import * as z from 'zod';
import { count, id, name } from './schema.ts';
import { unloadings } from './sharing.ts';

const seconds = z.number().min(0, 'must not be negative').max(1e9, 'is longer than anything plausible (limit 1e9 s)');
const rate = z.number().positive('must be above 0').max(1e15).describe('bytes per second');
const line = z.string().min(1).max(2000);

export const loadingFields = {
  keepAliveSeconds: seconds.nullable().describe('an idle model is unloaded after so long; null: never for that reason'),
  maxLoaded: count(1000).nullable().describe('models in memory at once; null: as many as fit'),
  maxLoadedPerGpu: z.boolean().describe('whether maxLoaded is meant for each GPU'),
  unloads: z.enum(unloadings).describe('who goes when room is needed'),
  drains: z.boolean().describe('where nobody is idle, the one that is to go takes no new requests'),
  quantumSeconds: seconds.nullable().describe('busy: a model computes at least so long before it is taken off'),
  startSeconds: z.strictObject({ disk: seconds, host: seconds }).describe('of a start, beside moving the weights'),
  unloadSeconds: seconds.describe('until the memory of an unloaded model is free, beside moving anything'),
  savesWeights: z.boolean().describe('whether weights are copied to the host when a model is unloaded'),
  linkShare: z.number().positive('must be above 0').max(1, 'must be at most 1').describe("of the link's rate"),
  loaderRate: rate.nullable().describe('bytes per second at most by the loader itself; null: the link decides'),
  diskRate: rate,
  hostMemoryBytes: count(1e15, 0).nullable().describe('host memory for weights; null: all have room there'),
  prefetch: z.number().min(0).max(1).describe('share of a load that hides behind the computing of others'),
  keepsContext: z.boolean().describe('whether an unloaded model keeps its CUDA context'),
};

export const loadingSchema = z
  .strictObject({
    id,
    name,
    summary: line,
    ...loadingFields,
    sources: z.array(line).min(1).max(100),
    notes: z.array(line).max(100).optional(),
  })
  .refine(({ unloads, quantumSeconds }) => (unloads === 'busy') === (quantumSeconds !== null), {
    path: ['quantumSeconds'],
    error: 'goes with unloads: busy, and only with it',
  });
