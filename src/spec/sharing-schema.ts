// The policies by which models share memory (presets/sharing/*.yaml) as a zod schema: what each kind has to state, within plausible
// bounds. What the parameters mean is spec/sharing.ts; the same schema reads the shipped files and what a pool file states in place of them.
import * as z from 'zod';
import { count, id, name, text } from './schema.ts';
import type { SharingPolicy } from './sharing.ts';

const MiB = 2 ** 20;

const common = {
  id,
  name,
  summary: text.min(1).describe('who gives memory to whom, and when'),
  runs: z.boolean().describe('false where no engine does it: a bound, or a proposal'),
  sources: z.array(text.min(1)).min(1).max(50),
  notes: z.array(text.min(1)).max(50).optional(),
};

const share = z.number().min(0).max(1);
const pages = count(1e6, 0);
const seconds = z.number().min(0).max(10);
const cost = z
  .strictObject({
    perPageId: seconds.describe('seconds for a page id, whatever its size'),
    perPage: seconds.describe('seconds for each of its pages (tensors), beside that'),
  })
  .describe('what a page id costs the step that waits for it');
const pageBytes = count(2 ** 40)
  .refine((bytes) => bytes % (2 * MiB) === 0, 'must be a multiple of 2 MiB, the unit of the driver')
  .describe('bytes of a page in one tensor (K or V of one layer)');
const reserved = {
  minReservedPages: pages.describe('mapped and empty pages that are filled up to in the background'),
  maxReservedPages: pages.describe('mapped and empty pages that are kept; more are given back'),
};

const policy = z.discriminatedUnion('kind', [
  z.strictObject({ ...common, kind: z.literal('static'), split: z.enum(['equal', 'weights', 'load']) }),
  z.strictObject({
    ...common,
    kind: z.literal('expand'),
    pageBytes,
    ratio: z.number().min(0).max(100).describe('grow when swapped > ratio x max(1, running)'),
    ...reserved,
    mapSeconds: cost,
    unmapSeconds: cost,
  }),
  z.strictObject({
    ...common,
    kind: z.literal('kvcached'),
    pageBytes,
    ...reserved,
    gpuUtilization: share.describe("share of the GPU's total that everything on it may use"),
    maxCachedTokens: count(1e12, 0).nullable().describe('cached tokens that nobody uses, at most; null: no limit'),
    allocation: z.enum(['best-fit', 'last-touched']),
    eviction: z.enum(['whole-page', 'lru']),
    mapSeconds: cost,
    unmapSeconds: cost,
  }),
  z.strictObject({
    ...common,
    kind: z.literal('muxserve'),
    initialQuota: z.enum(['rate', 'size']),
    periodSeconds: z.number().positive().max(1e6).describe('seconds between two adaptations'),
    windowSteps: count(1e6).describe('decode steps over which use is averaged'),
    takesAbove: share.describe('share of its quota from which a model takes'),
    queueFactor: z
      .number()
      .min(1)
      .max(100)
      .describe('waiting and running sequences over the mean, from which it takes'),
    takesShare: share.describe('share of its mean use that it takes at a time'),
    leavesFree: share.describe('share of its quota that a giver keeps above its use'),
  }),
  z.strictObject({ ...common, kind: z.literal('oracle') }),
]);

/** What a file in presets/sharing/ states. */
export const sharingSchema: z.ZodType<SharingPolicy> = policy.refine(
  (stated) => !('minReservedPages' in stated) || stated.minReservedPages <= stated.maxReservedPages,
  { path: ['minReservedPages'], error: 'must not exceed maxReservedPages' },
);
