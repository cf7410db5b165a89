// The comparison of sharing policies: which loads, which policies, what is expected (what the authors of kvcached, MuxServe and the mapping
// layer say of their systems), and, where something else came out, why. All policies have the same bytes to share; what is drawn at
// random is drawn three times, and of the Azure trace three samples are taken.

import type { PoolSpec } from '../../../src/spec/pool.ts';
import { farBetter, gain, type Holds, isBetween, type Means, mapShare, noGain, sameWithinMapCost } from './expect.ts';
import { azure, burst, bursts, steady } from './loads.ts';
import type { Extra, Figures, Variant } from './runs.ts';
import { poolFile } from './runs.ts';

/** One pool under some policies. */
export interface Trial extends Extra {
  spec: PoolSpec;
  variants: readonly Variant[];
}

/** One line of the table: two variants under one load, or under two. */
export interface Line {
  name: string;
  from: string;
  to: string;
  expects: string;
  holds: Holds;
  /** Figures that the columns do not have. */
  also?: (of: Means) => string;
  /** What came out instead, or what it is due to. */
  note?: string;
}

export interface SharingCase {
  id: string;
  load: string;
  /** Pools by seed or sample; the names of the variants are unique among those of one. */
  trials: readonly (() => Promise<Trial[]>)[];
  lines: readonly Line[];
  /** The load whose policies are all shown side by side. */
  all?: string;
}

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
const expandNote =
  'It maps only after a sequence was preempted or refused, one page a step, and gives one back at every step at which nobody waits, so that soon somebody is preempted again; a higher ratio lets more of them wait. What it lacks is a reserve: see the line of the one that keeps empty pages ready.';
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
        note: 'kvcached keeps up to 16,000 cached tokens for each model, here 7.8 GiB, and nobody can take their pages from it: of the gain little is left.',
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
          `${held(of[lastTouched.name]!, of.kvcached!)}, at the end ${gib(of[lastTouched.name]!.endBytes)} -> ${gib(of.kvcached!.endBytes)}`,
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

function at(name: string, load: string): string {
  return load === '' ? name : `${name}, ${load}`;
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

function same(name: string, load: string): Line {
  const [from, to] = [at('static', load), at('kvcached', load)];
  return {
    name,
    from,
    to,
    expects: 'equal within the map cost',
    holds: sameWithinMapCost(from, to),
    also: (of) =>
      `mean latency ${of[from]!.e2eMean.toFixed(2)} -> ${of[to]!.e2eMean.toFixed(2)} s, mapping ${(100 * mapShare(of[to]!)).toFixed(1)} % of the time`,
  };
}

function better(name: string): Line {
  return {
    name,
    from: 'static',
    to: 'kvcached',
    expects: 'far better: half or less',
    holds: farBetter('static', 'kvcached'),
  };
}

function alike(name: string, load: string): Line {
  const [from, to] = [at('static', load), at('kvcached', load)];
  return { name, from, to, expects: 'no gain, slightly worse', holds: noGain(from, to) };
}

function largerPages(from: string, to: string): Line {
  return {
    name: `peaks apart, ${to} instead of ${from === 'kvcached' ? 2 : 4}`,
    from,
    to,
    expects: 'fewer maps, more fragmentation',
    holds: (of) => of[to]!.maps < of[from]!.maps && of[to]!.idleBytes > of[from]!.idleBytes,
    also: (of) =>
      `${Math.round(of[from]!.maps).toLocaleString('en')} -> ${Math.round(of[to]!.maps).toLocaleString('en')} page ids mapped, ${held(of[from]!, of[to]!)}`,
  };
}

function between(name: string, what: string): Line {
  const ends = ['static', 'kvcached'] as const;
  return {
    name: `peaks apart, expand with ${what}`,
    from: 'static',
    to: name,
    expects: 'between static and kvcached',
    holds: (of) =>
      isBetween(of, name, ends, ({ ttftP99 }) => ttftP99) &&
      isBetween(of, name, ends, ({ preemptions }) => preemptions) &&
      isBetween(of, name, ends, ({ slo }) => slo),
    note: expandNote,
  };
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
    note: 'Empty pages that every model keeps and pages in partial use are 7.6 of the 28 GiB: the busiest model gets less than the 17 GiB of a slice cut to a load known beforehand and waits longer, while more requests in all are served in time.',
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

function held(from: Figures, to: Figures): string {
  return `${gib(from.idleBytes)} -> ${gib(to.idleBytes)} GiB mapped, not used`;
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1);
}
