// What can be done to a workload before it runs: other rates, repetition, a limited duration, a closed loop. The requests that
// come in are left as they are; prompts are shared between the old and the new ones.
import { inputError } from '../../diagnostics.ts';
import type { Rate } from '../../spec/simulation-values.ts';
import type { SimRequest, TokenRuns, Workload } from '../types.ts';
import { arrivalTimes, spreadConversations } from './arrivals.ts';
import { randomStream } from './random.ts';
import {
  generatedEnd,
  generatedFrom,
  generatedStride,
  longGeneratedEnd,
  longGeneratedFrom,
  privateEnd,
  privateFrom,
} from './token-space.ts';

interface RateContext {
  /** Requests per second as the workload stands; undefined when it has no arrival times. */
  rate: number | undefined;
  seed: number;
}

/**
 * The workload at another rate: times scaled, their pattern kept (think times are people's and stay). Without arrival times a
 * rate per second makes Poisson arrivals: of conversations, so many that their turns come to that rate.
 */
export function withRate(workload: Workload, rate: Rate, context: RateContext): Workload {
  if (workload.concurrency !== undefined) {
    throw closedLoopHasNoRate();
  }
  if (context.rate === undefined) {
    if (rate.kind === 'scale') {
      throw inputError('VRAM614', 'the workload has no arrival times that could be scaled', {
        hint: 'give requests per second, e.g. --rate 4/s',
        path: '--rate',
      });
    }
    return poissonArrivals(workload, rate.requests, context.seed);
  }
  const factor = rate.kind === 'scale' ? rate.factor : rate.requests / context.rate;
  const requests = workload.requests.map((request) => ({ ...request, arrival: request.arrival / factor }));
  return { ...workload, requests };
}

export function closedLoopHasNoRate(): Error {
  return inputError('VRAM617', 'a closed loop has no rate', {
    hint: 'leave out the rate or the concurrency',
    path: '--rate',
  });
}

/** Requests per second between the first and the last arrival; undefined when all arrive at once. */
export function observedRate({ requests, concurrency }: Workload): number | undefined {
  if (concurrency !== undefined || requests.length < 2) return undefined;
  const span = requests.at(-1)!.arrival - requests[0]!.arrival;
  return span > 0 ? (requests.length - 1) / span : undefined;
}

/** So many unfinished requests at a time, whatever the arrivals were. */
export function withConcurrency(workload: Workload, concurrency: number): Workload {
  return { requests: workload.requests.map((request) => ({ ...request, arrival: 0 })), concurrency };
}

/** Only what arrives within so many seconds of the start. */
export function withDuration(workload: Workload, seconds: number): Workload {
  const { requests } = workload;
  let end = 0;
  while (end < requests.length && requests[end]!.arrival <= seconds) end++;
  if (end === requests.length) return workload;
  const kept = requests.slice(0, end).map((request) => {
    return request.after !== undefined && request.after >= end ? { ...request, after: undefined } : request;
  });
  return { ...workload, requests: kept };
}

/**
 * The workload several times in a row, a mean gap between two rounds. Stated token ids return in every round, as a service
 * would see the same prefixes again; tokens that belong to one request alone, and generated ones, are new.
 */
export function withRepeats(workload: Workload, times: number): Workload {
  const { requests } = workload;
  if (times <= 1 || requests.length === 0) return workload;
  const last = requests.at(-1)!.arrival;
  const period =
    workload.concurrency === undefined ? last + (last - requests[0]!.arrival) / Math.max(1, requests.length - 1) : 0;
  const spaces = spacesOf(requests);
  if (spaces.some(({ from, to, end }) => from + (to - from) * times > end)) {
    throw inputError('VRAM618', 'the repeated workload holds more tokens than can be numbered', {
      hint: 'repeat less often',
    });
  }
  const all = [...requests];
  for (let round = 1; round < times; round++) {
    for (const request of requests) {
      all.push({
        ...request,
        id: `${request.id}#${round + 1}`,
        arrival: request.arrival + round * period,
        prompt: moved(request.prompt, spaces, round),
        outputBase: place(request.outputBase, spaces, round),
        ...(request.after === undefined ? {} : { after: request.after + round * requests.length }),
      });
    }
  }
  return { ...workload, requests: all };
}

/**
 * The same requests so many seconds later, those past the end of the trace from its start again: its period is that of withRepeats.
 * A conversation stays whole: its turns move as its first one does. `order[i]` is where request i was.
 */
export function withShift(workload: Workload, seconds: number): { workload: Workload; order: number[] } {
  const { requests, concurrency } = workload;
  if (concurrency !== undefined) {
    throw inputError('VRAM617', 'a closed loop has no arrivals that could be shifted', {
      hint: 'leave out the shift or the concurrency',
    });
  }
  const last = requests.at(-1)?.arrival ?? 0;
  const span = last - (requests[0]?.arrival ?? 0);
  const period = last + span / Math.max(1, requests.length - 1);
  const moves: number[] = [];
  const moved = requests.map(({ arrival, after }, i) => {
    const within = span > 0 ? (((arrival + seconds) % period) + period) % period : arrival;
    moves.push(after === undefined ? within - arrival : moves[after]!);
    return arrival + moves[i]!;
  });
  const order = requests.map((_, i) => i).sort((a, b) => moved[a]! - moved[b]! || a - b);
  const places = new Array<number>(order.length);
  order.forEach((from, to) => {
    places[from] = to;
  });
  const shifted = order.map((from) => {
    const request = requests[from]!;
    const { after } = request;
    return { ...request, arrival: moved[from]!, ...(after === undefined ? {} : { after: places[after]! }) };
  });
  return { workload: { ...workload, requests: shifted }, order };
}

interface Space {
  from: number;
  /** One after the last id in use. */
  to: number;
  /** One after the last id there is. */
  end: number;
}

/** The ids that are new in every round. */
function spacesOf(requests: readonly SimRequest[]): Space[] {
  const spaces: Space[] = [
    { from: generatedFrom, to: generatedFrom + requests.length * generatedStride, end: generatedEnd },
    { from: longGeneratedFrom, to: longGeneratedFrom, end: longGeneratedEnd },
    { from: privateFrom, to: privateFrom, end: privateEnd },
  ];
  const reach = (id: number): void => {
    for (const space of spaces) if (id > space.from && id <= space.end) space.to = Math.max(space.to, id);
  };
  for (const { prompt, outputBase, maxTokens, samples, beamWidth } of requests) {
    for (let at = 1; at < prompt.length; at += 2) reach(prompt[at]!);
    reach(outputBase + maxTokens * Math.max(samples ?? 1, beamWidth ?? 1));
  }
  return spaces;
}

function moved(prompt: TokenRuns, spaces: readonly Space[], round: number): TokenRuns {
  if (!prompt.some((id) => id >= generatedFrom)) return prompt;
  const runs: number[] = [];
  for (let at = 0; at < prompt.length; at += 2) {
    const from = prompt[at]!;
    const start = place(from, spaces, round);
    runs.push(start, prompt[at + 1]! - from + start);
  }
  return runs;
}

function place(id: number, spaces: readonly Space[], round: number): number {
  for (const { from, to, end } of spaces) if (id >= from && id < end) return id + (to - from) * round;
  return id;
}

function poissonArrivals(workload: Workload, rate: number, seed: number): Workload {
  const requests = workload.requests.map((request) => ({ ...request }));
  const random = randomStream(seed, 'arrivals');
  spreadConversations(requests, (share) => arrivalTimes({ kind: 'poisson', rate: rate * share }, random));
  return { ...workload, requests };
}
