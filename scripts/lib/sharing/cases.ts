// The comparison of sharing policies: which loads, which policies, what is expected (what the authors of kvcached, MuxServe and the mapping
// layer say of their systems), and, where something else came out, why. All policies have the same bytes to share; what is drawn at
// random is drawn three times, and of the Azure trace three samples are taken.
import { farBetter, gain } from './expect.ts';
import {
  alike,
  at,
  better,
  between,
  gib,
  held,
  type Line,
  largerPages,
  percent,
  type SharingCase,
  same,
} from './lines.ts';
import { azure, burst, bursts, steady } from './loads.ts';
import { poolFile, type Variant } from './runs.ts';

const seeds = [0, 1000, 2000];
const samples = ['a', 'b', 'c'];
const two = named('static', 'kvcached');
const every = named('static', 'static-load', 'expand', 'kvcached', 'muxserve', 'oracle');
const hotShares = [1 / 3, 1 / 2, 2 / 3, 0.8, 0.9];
const hottest = 2.1;
const otherPages = [4, 8].map((mib): Variant => {
  return { name: `pages of ${mib} MiB`, policy: 'kvcached', options: { pageBytes: mib * 2 ** 20 } };
});
const otherExpands: readonly Variant[] = [
  { name: 'expand 0.3', policy: 'expand', options: { ratio: 0.3 } },
  { name: 'expand 0.5', policy: 'expand', options: { ratio: 0.5 } },
  { name: 'expand keeping pages', policy: 'expand', options: { minReservedPages: 5, maxReservedPages: 10 } },
];
const lastTouched: Variant = {
  name: 'LRU, last touched',
  policy: 'kvcached',
  options: { allocation: 'last-touched', eviction: 'lru' },
};
const skewNote =
  'The gain grows until the cold models leave the GPU idle: then the hot one computes alone, its requests end sooner (mean latency), so fewer of them hold memory at once, and its slice is short less often.';
const nothingKept: Variant = {
  name: 'kvcached keeping 0',
  policy: 'kvcached',
  options: { minReservedPages: 0, maxReservedPages: 0 },
};

export const sharingCases: readonly SharingCase[] = [
  {
    id: 'steady',
    load: 'three engines of CodeLlama 7B on an A100-80GB, lengths of the Azure trace, 10 min',
    trials: seeds.map((seed) => async () => [
      { spec: await steady([0.4, 0.4, 0.4], seed, 'poisson'), variants: two },
      { spec: await steady([0.9, 0.9, 0.9], seed, 'poisson'), variants: under('full', two) },
      { spec: await steady([0.9, 0.9, 0.9], seed, 'constant'), variants: under('even', two) },
    ]),
    lines: [
      same('equal steady loads, Poisson, 0.4/s each', ''),
      {
        ...same('equal steady loads, Poisson, 0.9/s each: slices often full', 'full'),
        note: 'Independent arrivals have short peaks of their own, which seldom meet: where slices are often full, a pool gains from that too. With even gaps and lengths (next line) it does not.',
      },
      same('the same with even gaps and equal lengths', 'even'),
    ],
  },
  {
    id: 'azure-3',
    load: 'test/fixtures/sharing/azure-3.yaml: three engines of CodeLlama 7B on an A100-80GB',
    all: 'Azure, three models, peaks apart',
    trials: samples.map((sample) => async () => [
      { spec: await azure('azure-3', sample), variants: [...every, ...otherPages, ...otherExpands] },
      { spec: await azure('azure-3', sample, { apart: false }), variants: under('together', every) },
      { spec: await azure('azure-3', sample, { pace: 2.7 }), variants: under('too much', two) },
      { spec: await azure('azure-3', sample, { caching: true }), variants: under('cached', two) },
    ]),
    lines: [
      better('Azure, three models, peaks a third of the trace apart'),
      alike('the same, peaks together', 'together'),
      {
        ...alike('peaks apart at 2.7 times the pace: more than the whole pool holds', 'too much'),
        expects: 'no gain',
        holds: (of) => gain(of, 'static, too much', 'kvcached, too much') <= 1.1,
        note: 'Where all memory is taken, first come is first served: a slice shields a model from the queue of the others, a pool does not.',
      },
      largerPages('kvcached', 'pages of 4 MiB'),
      largerPages('pages of 4 MiB', 'pages of 8 MiB'),
      between('expand', 'ratio 0.1'),
      between('expand 0.3', 'ratio 0.3'),
      between('expand 0.5', 'ratio 0.5'),
      {
        name: 'peaks apart, expand (0.1) that keeps 5 to 10 empty pages ready',
        from: 'expand',
        to: 'expand keeping pages',
        expects: 'a tenth of the preemptions or fewer (the reason of the lines above)',
        holds: (of) => 10 * of['expand keeping pages']!.preemptions <= of.expand!.preemptions,
      },
      {
        name: 'peaks apart, kvcached with a prefix cache',
        from: 'kvcached',
        to: 'kvcached, cached',
        expects: 'more held, worse',
        holds: (of) =>
          of['kvcached, cached']!.idleBytes > of.kvcached!.idleBytes && gain(of, 'kvcached', 'kvcached, cached') < 1,
        also: (of) => held(of.kvcached!, of['kvcached, cached']!),
        note: 'kvcached keeps up to 16,000 cached tokens for each model, here 7.8 GiB, and nobody can take their pages from it: most of the gain is gone.',
      },
    ],
  },
  {
    id: 'azure-2',
    load: 'test/fixtures/sharing/azure-2.yaml: two engines of CodeLlama 7B on 50 GiB of an A100',
    all: 'Azure, two models, peaks apart',
    trials: samples.map((sample) => async () => [
      { spec: await azure('azure-2', sample), variants: every },
      { spec: await azure('azure-2', sample, { apart: false }), variants: under('together', two) },
    ]),
    lines: [better('Azure, two models, peaks half the trace apart'), alike('the same, peaks together', 'together')],
  },
  {
    id: 'page-aware',
    load: 'azure-3.yaml with Llama 3.1 8B (16,000 cached tokens are 2 GiB) and a prefix cache',
    trials: samples.map((sample) => async () => {
      const spec = await azure('azure-3', sample, { caching: true });
      const models = spec.models.map((model) => ({ ...model, model: 'llama-3.1-8b' }));
      return [{ spec: { ...spec, models }, variants: [...two, lastTouched] }];
    }),
    lines: [
      {
        name: 'prefix cache: page-aware instead of LRU from the page touched last',
        from: lastTouched.name,
        to: 'kvcached',
        expects: 'less held, while busy and at the end',
        holds: (of) =>
          of.kvcached!.idleBytes < of[lastTouched.name]!.idleBytes &&
          of.kvcached!.endBytes < of[lastTouched.name]!.endBytes,
        also: (of) =>
          `${held(of[lastTouched.name]!, of.kvcached!)}, at the end ${gib(of[lastTouched.name]!.endBytes)} → ${gib(of.kvcached!.endBytes)}`,
      },
    ],
  },
  {
    id: 'skew',
    load: `as the steady loads, ${hottest}/s in all`,
    trials: seeds.map(
      (seed) => () =>
        Promise.all(
          hotShares.map(async (share) => {
            const cold = (hottest * (1 - share)) / 2;
            return {
              spec: await steady([hottest * share, cold, cold], seed, 'poisson'),
              variants: under(percent(share), two),
            };
          }),
        ),
    ),
    lines: hotShares.map(skewed),
  },
  {
    id: 'burst',
    load: 'as the steady loads: ten requests each at 0.1/s, a minute of nothing, then 48 at once',
    trials: seeds.map((seed) => async () => [
      { spec: await bursts([48, 0, 0], seed), variants: two, change: burst },
      { spec: await bursts([16, 16, 16], seed), variants: under('all', two), change: burst },
    ]),
    lines: [
      better('all idle, then a burst at one of three models'),
      alike('all idle, then a burst at all three', 'all'),
    ],
  },
  ...([2, 3, 8] as const).map(prism),
];

function named(...policies: string[]): Variant[] {
  return policies.map((policy) => ({ name: policy, policy }));
}

function under(load: string, variants: readonly Variant[]): Variant[] {
  return variants.map((variant) => ({ ...variant, name: at(variant.name, load) }));
}

function skewed(share: number, i: number): Line {
  const pair = (of: number): [string, string] => [at('static', percent(of)), at('kvcached', percent(of))];
  const [from, to] = pair(share);
  return {
    name: `skew: one model with ${percent(share)} of the requests, two with the rest`,
    from,
    to,
    expects: i === 0 ? 'a gain' : 'a larger gain',
    holds: (of) => gain(of, from, to) > (i === 0 ? 1 : gain(of, ...pair(hotShares[i - 1]!))),
    also: (of) => `gain ${gain(of, from, to).toFixed(1)}x; mean latency of kvcached ${of[to]!.e2eMean.toFixed(1)} s`,
    ...(share >= 0.8 ? { note: skewNote } : {}),
  };
}

function prism(models: 2 | 3 | 8): SharingCase {
  const file = `examples/prism-${models}.yaml`;
  const name = `Prism, ${models} models`;
  const against: Line = {
    ...better(`${name}, against slices by mean load`),
    from: 'static-load',
    holds: farBetter('static-load', 'kvcached'),
    also: (of) => held(of['static-load']!, of.kvcached!),
    note: 'First come, first served: rank 0 holds up to 9.4 GiB, twice its slice (51 → 99 % in SLO), when the busiest model peaks, which then waits longer than with a slice cut to a load known beforehand; the empty pages that all keep add to that (next line).',
  };
  const keeping: Line = {
    name: `${name}, kvcached that keeps no empty pages`,
    from: 'kvcached',
    to: nothingKept.name,
    expects: 'better (what its reserve of 5 to 10 pages a model costs)',
    holds: (of) => gain(of, 'kvcached', nothingKept.name) > 1,
  };
  return {
    id: `prism-${models}`,
    load: file,
    all: name,
    trials: [async () => [{ spec: await poolFile(file), variants: [...every, nothingKept] }]],
    lines: [
      {
        ...better(name),
        ...(models === 3
          ? {
              note: 'TTFT as expected, preemptions not: a page id of Llama 2 7B is 128 MiB, and three models keep 5 to 10 of them empty (see the line below).',
            }
          : {}),
      },
      ...(models === 8 ? [against] : []),
      keeping,
    ],
  };
}
