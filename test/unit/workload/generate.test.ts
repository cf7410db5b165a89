// Synthetic workloads: figures come out as asked, the same seed gives the same, purposes do not disturb each other.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Arrivals, arrivalTimes } from '../../../src/sim/workload/arrivals.ts';
import {
  countSampler,
  type Distribution,
  distributionMean,
  parseDistribution,
  sampler,
} from '../../../src/sim/workload/distribution.ts';
import { generateWorkload } from '../../../src/sim/workload/generate.ts';
import { randomStream } from '../../../src/sim/workload/random.ts';
import { readSpec, type SyntheticFields } from '../../../src/sim/workload/spec.ts';
import { expandRuns, mean } from './helpers.ts';

const generate = (fields: SyntheticFields, seed = 0) => generateWorkload(readSpec(fields, 'test'), seed);
const draw = (count: number, one: () => number): number[] => Array.from({ length: count }, one);
const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });

function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}

describe('random streams', () => {
  it('are uniform, and normal with variance 1', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const random = randomStream(seed, 'test');
        const uniform = draw(20_000, random.uniform);
        expect(Math.min(...uniform)).toBeGreaterThanOrEqual(0);
        expect(Math.max(...uniform)).toBeLessThan(1);
        expect(mean(uniform)).toBeCloseTo(0.5, 1);
        const normal = draw(20_000, random.normal);
        expect(Math.abs(mean(normal))).toBeLessThan(0.05);
        expect(Math.abs(deviation(normal) - 1)).toBeLessThan(0.05);
      }),
      { numRuns: 20 },
    );
  });

  it('of neighbouring seeds and other purposes have nothing in common', () => {
    const first = (seed: number, purpose: string) => draw(4, randomStream(seed, purpose).uniform).join();
    const all = [0, 1, 2, 3].flatMap((seed) => ['arrivals', 'input', 'output'].map((purpose) => first(seed, purpose)));
    expect(new Set(all).size).toBe(all.length);
    const a = draw(5000, randomStream(1, 'input').uniform);
    const b = draw(5000, randomStream(2, 'input').uniform);
    const correlation = mean(a.map((x, i) => (x - 0.5) * (b[i]! - 0.5))) * 12;
    expect(Math.abs(correlation)).toBeLessThan(0.06);
  });

  it.each([0.2, 0.83, 1, 4, 30])('gamma of shape %d has its mean and variance', (shape) => {
    const random = randomStream(7, 'gamma');
    const values = draw(60_000, () => random.gamma(shape));
    expect(mean(values) / shape).toBeCloseTo(1, 1);
    expect(deviation(values) ** 2 / shape).toBeCloseTo(1, 1);
  });
});

describe('lengths', () => {
  it.each([
    ['512', 512],
    ['uniform(10, 20)', 15],
    ['exponential(200)', 200],
    ['lognormal(161.31, 0.75)', 161.31],
    ['lognormal(337.99,1)', 337.99],
    ['lognormal(19.31, 0.75)', 19.31],
    ['quantiles(0, 10, 100)', 30],
  ])('%s has the mean %d', (text, expected) => {
    const distribution = parseDistribution(text)!;
    expect(distributionMean(distribution)).toBeCloseTo(expected, 9);
    const random = randomStream(11, 'lengths');
    const sample = countSampler(distribution);
    expect(mean(draw(100_000, () => sample(random))) / expected).toBeCloseTo(1, 1);
  });

  it('are whole, positive, and within their limits', () => {
    const distributions: Distribution[] = [
      { kind: 'lognormal', mean: 2, sigma: 2, max: 50 },
      { kind: 'uniform', min: 0, max: 3 },
      { kind: 'exponential', mean: 0.1 },
    ];
    for (const distribution of distributions) {
      const random = randomStream(3, 'whole');
      const sample = countSampler(distribution);
      const values = draw(5000, () => sample(random));
      expect(values.every((value) => Number.isInteger(value) && value >= 1 && value <= 50)).toBe(true);
    }
  });

  it('empirical ones are those observed', () => {
    const random = randomStream(3, 'empirical');
    const sample = sampler({ kind: 'empirical', values: [3, 7] });
    expect(new Set(draw(100, () => sample(random)))).toEqual(new Set([3, 7]));
  });

  it.each([
    '',
    'lognormal(1)',
    'lognormal(-1,2)',
    'uniform(5,1)',
    'normal(1,2)',
    '-4',
    'quantiles(3,1)',
    'fixed(1',
    '1e99',
    'NaN',
  ])('%j is none', (text) => {
    expect(parseDistribution(text)).toBeUndefined();
  });
});

describe('arrivals', () => {
  const gaps = (arrivals: Arrivals, count = 40_000): number[] => {
    const next = arrivalTimes(arrivals, randomStream(5, 'arrivals'));
    let last = 0;
    return draw(count, () => {
      const time = next();
      const gap = time - last;
      last = time;
      return gap;
    });
  };

  it.each([
    [{ kind: 'poisson', rate: 4 } as const, 1],
    [{ kind: 'gamma', rate: 4, cv: 0.5 } as const, 0.5],
    [{ kind: 'gamma', rate: 4, cv: 3 } as const, 3],
    [{ kind: 'constant', rate: 4 } as const, 0],
  ])('%j: mean gap and its variation', (arrivals, cv) => {
    const values = gaps(arrivals);
    expect(mean(values) * 4).toBeCloseTo(1, 1);
    expect(Math.abs(deviation(values) / mean(values) - cv)).toBeLessThan(0.06 * Math.max(1, cv));
  });

  it('a ramp has its rates at both ends and stays at the last', () => {
    const next = arrivalTimes({ kind: 'ramp', from: 10, to: 90, seconds: 100 }, randomStream(2, 'arrivals'));
    const times = draw(10_000, next);
    const within = (from: number, to: number) => times.filter((time) => time >= from && time < to).length / (to - from);
    expect(Math.abs(within(0, 10) - 14)).toBeLessThan(4);
    expect(Math.abs(within(90, 100) - 86)).toBeLessThan(10);
    expect(Math.abs(within(100, 150) - 90)).toBeLessThan(6);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });
});

describe('workloads', () => {
  const plain: SyntheticFields = { rate: 2, requests: 50, input: 'lognormal(100, 1)', output: 'lognormal(50, 1)' };

  it('the same seed gives the same, another one something else', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        expect(generate(plain, seed)).toEqual(generate(plain, seed));
        expect(generate(plain, seed)).not.toEqual(generate(plain, seed + 1));
      }),
      { numRuns: 30 },
    );
  });

  it('each purpose draws for itself', () => {
    const inputs = (fields: SyntheticFields) => generate(fields, 9).requests.map(({ promptTokens }) => promptTokens);
    const arrivals = (fields: SyntheticFields) => generate(fields, 9).requests.map(({ arrival }) => arrival);
    const bursts = { ...plain, arrivals: 'gamma', cv: 3 };
    expect(inputs(bursts)).toEqual(inputs(plain));
    expect(inputs({ ...plain, output: '5' })).toEqual(inputs(plain));
    expect(arrivals({ ...plain, input: '5', prefixes: '3x100' })).toEqual(arrivals(plain));
    // More requests: the first ones stay.
    expect(inputs({ ...plain, requests: 80 }).slice(0, 50)).toEqual(inputs(plain));
  });

  it('shared prefixes are asked for as their popularity says', () => {
    const { requests } = generate({ ...plain, requests: 20_000, prefixes: '4x64', zipf: 1, prefixShare: 0.5 });
    const shared = requests.filter(({ prompt }) => prompt.length === 4);
    expect(shared.length / requests.length).toBeCloseTo(0.5, 1);
    const share = (prefix: number) =>
      shared.filter(({ prompt }) => prompt[0] === prefix * 2 ** 24).length / shared.length;
    const harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4;
    for (const prefix of [0, 1, 2, 3]) expect(share(prefix)).toBeCloseTo(1 / (prefix + 1) / harmonic, 1);
    expect(shared.every(({ prompt }) => prompt[1]! - prompt[0]! === 64)).toBe(true);
  });

  const conversations = fc.record({
    turns: fc.constantFrom('3', 'uniform(1,6)'),
    prefixes: fc.constantFrom(undefined, '2x30'),
    samples: fc.constantFrom(undefined, 3),
    maxContext: fc.constantFrom(undefined, 200),
    seed: seeds,
  });

  it('every turn holds the earlier prompt and its answer', () => {
    fc.assert(
      fc.property(conversations, ({ seed, ...fields }) => {
        const { requests } = generate(
          { rate: 1, requests: 30, input: 'uniform(1,40)', output: 'uniform(1,30)', ...fields },
          seed,
        );
        expect(requests).toHaveLength(30);
        for (const request of requests) {
          const prompt = expandRuns(request.prompt);
          expect(prompt).toHaveLength(request.promptTokens);
          expect(new Set(prompt).size).toBe(prompt.length);
          if (fields.maxContext && request.after !== undefined) {
            expect(request.promptTokens + request.outputTokens).toBeLessThanOrEqual(200);
          }
          if (request.after === undefined) continue;
          const before = requests[request.after]!;
          const answer = draw(
            before.outputTokens,
            (
              (k = 0) =>
              () =>
                before.outputBase + k++
            )(),
          );
          const history = [...expandRuns(before.prompt), ...answer];
          expect(prompt.slice(0, history.length)).toEqual(history);
          expect(prompt.length).toBeGreaterThan(history.length);
        }
        // Nobody generates the tokens of another one.
        const generated = requests.flatMap(({ outputBase, outputTokens }) =>
          draw(
            outputTokens,
            (
              (k = 0) =>
              () =>
                outputBase + k++
            )(),
          ),
        );
        expect(new Set(generated).size).toBe(generated.length);
      }),
      { numRuns: 60 },
    );
  });

  it('max_tokens cuts outputs and is what the scheduler knows', () => {
    const { requests } = generate({ ...plain, maxTokens: 40 });
    expect(requests.every((r) => r.outputTokens <= 40 && r.maxTokens === 40)).toBe(true);
    expect(requests.some((r) => r.outputTokens < 40)).toBe(true);
  });

  it('a closed loop has a concurrency and no times', () => {
    const workload = generate({ arrivals: 'closed', concurrency: 8, input: 10, output: 10 });
    expect(workload.concurrency).toBe(8);
    expect(workload.requests.every(({ arrival }) => arrival === 0)).toBe(true);
  });

  it('all objects have one shape', () => {
    for (const fields of [plain, { ...plain, turns: 3 }, { ...plain, samples: 2 }]) {
      const shapes = new Set(generate(fields).requests.map((request) => Object.keys(request).join()));
      expect(shapes.size).toBe(1);
    }
  });
});

describe('a spec', () => {
  it('that grows beyond what one request may bring is refused', () => {
    const endless: SyntheticFields = { rate: 1, input: 10_000_000, output: 1, turns: 3 };
    expect(() => generate(endless)).toThrow(/request 2 has 20,000,001 prompt and 1 output tokens, above 16,777,216/);
    expect(generate({ ...endless, maxContext: 16_000_000, requests: 3 }).requests).toHaveLength(3);
  });

  it('is refused with all that is wrong with it', () => {
    try {
      generate({
        arrivals: 'gamma',
        rate: -1,
        zipf: 2,
        input: 'normal(1,2)',
        output: 5,
        requests: 1.5,
        concurrency: 4,
      });
      expect.unreachable();
    } catch (error) {
      const messages = (error as { diagnostics: { message: string; code: string }[] }).diagnostics.map(
        ({ message }) => message,
      );
      expect(messages.join('\n')).toMatch(/input is "normal\(1,2\)", no distribution/);
      expect(messages.join('\n')).toMatch(/requests is 1.5/);
      expect(messages.join('\n')).toMatch(/concurrency does not go with gamma/);
      expect(messages.join('\n')).toMatch(/rate is "-1"/);
      expect(messages.join('\n')).toMatch(/needs cv/);
      expect(messages.join('\n')).toMatch(/zipf needs prefixes/);
    }
  });
});
