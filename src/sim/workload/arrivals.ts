// When requests arrive: Poisson, bursty (gamma distributed gaps), at a constant rate, on a ramp, or in a closed loop where the
// next one comes when one has finished.
import { assertNever } from '../../assert.ts';
import type { Random } from './random.ts';

export const arrivalKinds = ['poisson', 'gamma', 'constant', 'ramp', 'closed'] as const;
export type ArrivalKind = (typeof arrivalKinds)[number];

export type Arrivals =
  | { kind: 'poisson'; rate: number }
  /** cv: standard deviation of the gaps over their mean; 1 is Poisson, above it comes in bursts. */
  | { kind: 'gamma'; rate: number; cv: number }
  | { kind: 'constant'; rate: number }
  /** Poisson whose rate goes from `from` to `to` in `seconds`, and stays there. */
  | { kind: 'ramp'; from: number; to: number; seconds: number }
  | { kind: 'closed'; concurrency: number };

/** Gives one arrival time after the other, never earlier than the last. */
export function arrivalTimes(arrivals: Arrivals, random: Random): () => number {
  switch (arrivals.kind) {
    case 'poisson':
      return summed(() => random.exponential() / arrivals.rate);
    case 'gamma': {
      const shape = 1 / arrivals.cv ** 2;
      return summed(() => random.gamma(shape) / (shape * arrivals.rate));
    }
    case 'constant': {
      let index = 0;
      return () => index++ / arrivals.rate;
    }
    case 'ramp': {
      let expected = 0;
      return () => {
        expected += random.exponential();
        return rampTime(arrivals, expected);
      };
    }
    case 'closed':
      return () => 0;
    default:
      return assertNever(arrivals);
  }
}

/** Requests per second over the first `requests` requests; undefined in a closed loop. */
export function meanRate(arrivals: Arrivals, requests: number): number | undefined {
  if (arrivals.kind === 'closed') return undefined;
  return arrivals.kind === 'ramp' ? requests / rampTime(arrivals, requests) : arrivals.rate;
}

/** The same pattern, `factor` times as fast. */
export function scaledArrivals(arrivals: Arrivals, factor: number): Arrivals {
  switch (arrivals.kind) {
    case 'closed':
      return arrivals;
    case 'ramp': {
      const { kind, from, to, seconds } = arrivals;
      return { kind, from: from * factor, to: to * factor, seconds: seconds / factor };
    }
    default:
      return { ...arrivals, rate: arrivals.rate * factor };
  }
}

/** The pattern of a part of the requests: a conversation of five turns begins a fifth as often as requests arrive. */
export function withShare(arrivals: Arrivals, share: number): Arrivals {
  switch (arrivals.kind) {
    case 'closed':
      return arrivals;
    case 'ramp':
      return { ...arrivals, from: arrivals.from * share, to: arrivals.to * share };
    default:
      return { ...arrivals, rate: arrivals.rate * share };
  }
}

/**
 * Gives every conversation its time, and all of its turns the same: the earliest at which they could come. A rate counts
 * requests, of which each conversation brings several, so conversations begin at the rate times their share of the requests.
 */
export function spreadConversations(
  requests: readonly { arrival: number; readonly after?: number | undefined }[],
  timesOf: (share: number) => () => number,
): void {
  let conversations = 0;
  for (const { after } of requests) if (after === undefined) conversations++;
  const next = timesOf(conversations / requests.length);
  for (const request of requests) {
    request.arrival = request.after === undefined ? next() : requests[request.after]!.arrival;
  }
}

function summed(gap: () => number): () => number {
  let time = 0;
  return () => {
    time += gap();
    return time;
  };
}

/** The time at which so many requests are expected: from*t + (to - from)*t^2 / (2*seconds) = expected, solved for t. */
function rampTime({ from, to, seconds }: Extract<Arrivals, { kind: 'ramp' }>, expected: number): number {
  const duringRamp = ((from + to) / 2) * seconds;
  if (expected >= duringRamp) return seconds + (expected - duringRamp) / to;
  const slope = (to - from) / seconds;
  // The form of the solution that does not divide by a slope of nearly nothing.
  return (2 * expected) / (from + Math.sqrt(from * from + 2 * slope * expected));
}
