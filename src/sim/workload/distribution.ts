// Distributions of lengths and times, as people write them (lognormal(161.31, 0.75), uniform(10, 20), 512) and as samplers.
import { assertNever } from '../../assert.ts';
import type { Random } from './random.ts';

export type Distribution =
  | { kind: 'fixed'; value: number }
  | { kind: 'uniform'; min: number; max: number }
  | { kind: 'exponential'; mean: number }
  /** Mean of the numbers themselves, standard deviation of their logarithms; nothing above `max`. */
  | { kind: 'lognormal'; mean: number; sigma: number; max?: number }
  /** Equally spaced quantiles from the smallest to the largest, straight lines between them. */
  | { kind: 'quantiles'; values: readonly number[] }
  /** Drawn from what was observed. */
  | { kind: 'empirical'; values: readonly number[] }
  /** The lengths of a trace that still has to be read: its inputs for an input, its outputs for an output. */
  | { kind: 'trace'; file: string };

export const distributionForms =
  '512, uniform(64,512), exponential(200), lognormal(mean,sigma), lognormal(mean,sigma,max), quantiles(a,b,...), empirical(FILE)';

/** Undefined for a text that is no distribution; the numbers are not negative. */
export function parseDistribution(text: string): Distribution | undefined {
  const plain = text.trim();
  if (/^\d/.test(plain)) {
    const value = numberOf(plain);
    return value === undefined ? undefined : { kind: 'fixed', value };
  }
  const match = /^([a-z]+)\s*\(([^()]*)\)$/.exec(plain);
  if (!match) return undefined;
  const [, kind, inside] = match;
  if (kind === 'empirical') return inside!.trim() === '' ? undefined : { kind: 'trace', file: inside!.trim() };
  const numbers = inside!.split(',').map((part) => numberOf(part.trim()));
  if (!numbers.every((number) => number !== undefined)) return undefined;
  return ofNumbers(kind!, numbers);
}

function ofNumbers(kind: string, numbers: readonly number[]): Distribution | undefined {
  const [a = 0, b = 0, c] = numbers;
  const count = numbers.length;
  if (kind === 'fixed' && count === 1) return { kind, value: a };
  if (kind === 'uniform' && count === 2 && a <= b) return { kind, min: a, max: b };
  if (kind === 'exponential' && count === 1) return { kind, mean: a };
  if (kind === 'lognormal' && (count === 2 || count === 3) && a > 0 && b <= 5 && (c === undefined || c > 0)) {
    return { kind, mean: a, sigma: b, ...(c === undefined ? {} : { max: c }) };
  }
  const ascends = numbers.every((number, at) => at === 0 || number >= numbers[at - 1]!);
  if (kind === 'quantiles' && count >= 2 && ascends) return { kind, values: numbers };
  return undefined;
}

function numberOf(text: string): number | undefined {
  const number = /^(?:\d+\.?\d*|\.\d+)(?:e\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  return number <= 2 ** 31 ? number : undefined;
}

/** Expected value (of a lognormal one before its limit); undefined where a trace has to be read for it. */
export function distributionMean(distribution: Distribution): number | undefined {
  switch (distribution.kind) {
    case 'fixed':
      return distribution.value;
    case 'uniform':
      return (distribution.min + distribution.max) / 2;
    case 'exponential':
    case 'lognormal':
      return distribution.mean;
    case 'quantiles': {
      const { values } = distribution;
      const inner = values.reduce((sum, value) => sum + value, 0) - (values[0]! + values.at(-1)!) / 2;
      return inner / (values.length - 1);
    }
    case 'empirical':
      return distribution.values.reduce((sum, value) => sum + value, 0) / distribution.values.length;
    case 'trace':
      return undefined;
    default:
      return assertNever(distribution);
  }
}

type Sampler = (random: Random) => number;

export function sampler(distribution: Distribution): Sampler {
  switch (distribution.kind) {
    case 'fixed':
      return () => distribution.value;
    case 'uniform':
      return (random) => distribution.min + (distribution.max - distribution.min) * random.uniform();
    case 'exponential':
      return (random) => distribution.mean * random.exponential();
    case 'lognormal': {
      // The mean of a lognormal number is exp(mu + sigma^2/2).
      const { mean, sigma, max = Number.POSITIVE_INFINITY } = distribution;
      const mu = Math.log(mean) - (sigma * sigma) / 2;
      return (random) => Math.min(Math.exp(mu + sigma * random.normal()), max);
    }
    case 'quantiles': {
      const { values } = distribution;
      return (random) => {
        const place = random.uniform() * (values.length - 1);
        const at = Math.floor(place);
        return values[at]! + (values[at + 1]! - values[at]!) * (place - at);
      };
    }
    case 'empirical':
      return (random) => distribution.values[Math.floor(random.uniform() * distribution.values.length)]!;
    case 'trace':
      throw new RangeError('the lengths of the trace have not been read');
    default:
      return assertNever(distribution);
  }
}

/** Whole numbers of at least 1. A uniform whole number takes both ends as likely as the others. */
export function countSampler(distribution: Distribution): Sampler {
  if (distribution.kind === 'uniform') {
    const min = Math.max(1, Math.ceil(distribution.min));
    const width = Math.max(1, Math.floor(distribution.max) - min + 1);
    return (random) => min + Math.floor(random.uniform() * width);
  }
  const sample = sampler(distribution);
  return (random) => Math.max(1, Math.round(sample(random)));
}
