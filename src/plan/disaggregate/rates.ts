// What one server does a second when it only prefills, only decodes, or does both; how long a request waits for it. Steps are those of
// the simulator's time model, waiting is Sakasegawa's approximation of M/D/c (1977). All of it is an estimate.
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import type { StepTime } from '../../sim/time/index.ts';
import type { PlanRequest } from '../request.ts';
import { loopRates, mixedWork } from '../speed/loop.ts';
import { stepTimeOf } from '../speed/model.ts';

export interface ServerShape {
  promptTokens: number;
  outputTokens: number;
}

export interface Server {
  planned: VllmPlanned;
  request: PlanRequest;
  time: StepTime;
  shape: ServerShape;
  /** Sequences at once. */
  capacity: number;
  /** Tokens of a step. */
  budget: number;
}

/** Undefined where the bandwidth of the GPU is not known, or not one such sequence fits. */
export function serverOf(planned: VllmPlanned, request: PlanRequest, shape: ServerShape): Server | undefined {
  const time = stepTimeOf(planned, request);
  const { maxNumSeqs, maxNumBatchedTokens } = planned.resolved;
  const capacity = Math.min(maxNumSeqs, planned.sequencesAt(shape.promptTokens + shape.outputTokens));
  if (!time || capacity < 1 || !planned.plan.verdict.fits) return undefined;
  return { planned, request, time, shape, capacity, budget: maxNumBatchedTokens };
}

/** One prompt alone, in pieces of the budget. */
export function prefillSeconds({ time, shape: { promptTokens }, budget }: Server): number {
  const pieces = Math.ceil(promptTokens / budget);
  return pieces * time.seconds(mixedWork(0, { context: 0, prefill: promptTokens / pieces, promptTokens }));
}

/** Prompts a second, as many of them in a step as its budget holds. */
export function prefillRate(server: Server): number {
  const { time, shape, budget, capacity } = server;
  const { promptTokens } = shape;
  const together = Math.min(Math.floor(budget / promptTokens), capacity);
  if (together < 2) return 1 / prefillSeconds(server);
  return together / time.seconds(mixedWork(0, { context: 0, prefill: together * promptTokens, promptTokens }));
}

/** Between two tokens while so many sequences decode and nothing else runs. */
export function decodeSeconds({ time, shape: { promptTokens, outputTokens } }: Server, sequences: number): number {
  return time.seconds(mixedWork(sequences, { context: promptTokens + outputTokens / 2, prefill: 0, promptTokens }));
}

/** Answers a second with every place taken; the first token of an answer came from the prefill. */
export function decodeRate(server: Server): number {
  return server.capacity / (decodesOf(server) * decodeSeconds(server, server.capacity));
}

/** Sequences that decode at once while so many requests a second arrive: arrivals x time (Little), which depends on them. */
export function decodingAt(server: Server, requestsPerSecond: number): number {
  return crossing(server.capacity, (n) => n / (decodesOf(server) * decodeSeconds(server, n)), requestsPerSecond);
}

function decodesOf({ shape }: Server): number {
  return Math.max(1, shape.outputTokens - 1);
}

export interface MixedRates {
  requestsPerSecond: number;
  ttftSeconds: number;
  tpotSeconds: number;
}

/**
 * A server that does both, with so many requests in it all the time. A prompt waits for those before it, then takes steps of its own with
 * everybody who decodes in them; between two tokens lies the average step, those with prompts in them included.
 */
export function mixedRates(server: Server, sequences: number): MixedRates {
  const { time, shape, budget, planned } = server;
  const { promptTokens, outputTokens } = shape;
  const { enableChunkedPrefill, engine } = planned.resolved;
  const mixed = enableChunkedPrefill || engine === 'v1';
  const tokens = enableChunkedPrefill ? budget : Math.max(budget, promptTokens);
  const loop = loopRates({ time, sequences, promptTokens, outputTokens, budget: tokens, mixed });
  const { requestsPerSecond, decoding, tokenSeconds } = loop;
  const pieces = Math.ceil(promptTokens / Math.max(1, tokens - (mixed ? sequences : 0)));
  const piece = { context: promptTokens + outputTokens / 2, prefill: promptTokens / pieces, promptTokens };
  const own = pieces * time.seconds(mixedWork(mixed ? decoding : 0, piece));
  const wait = waitSeconds(own, 1, Math.min(requestsPerSecond * prefillSeconds(server), 0.99));
  return { requestsPerSecond, tpotSeconds: tokenSeconds, ttftSeconds: wait + own };
}

/** The same while so many requests a second arrive; undefined above what it can do. */
export function mixedRatesAt(server: Server, requestsPerSecond: number): MixedRates | undefined {
  const most = mixedRates(server, server.capacity).requestsPerSecond;
  if (requestsPerSecond >= most) return undefined;
  return mixedRates(
    server,
    Math.max(
      1,
      crossing(server.capacity, (n) => mixedRates(server, n).requestsPerSecond, requestsPerSecond),
    ),
  );
}

/** M/D/c by Sakasegawa: half of M/M/c's wait, rho^(sqrt(2 (c + 1)) - 1) / (c (1 - rho)) of a service. */
export function waitSeconds(serviceSeconds: number, servers: number, utilization: number): number {
  if (utilization >= 1) return Number.POSITIVE_INFINITY;
  const busy = utilization ** (Math.sqrt(2 * (servers + 1)) - 1);
  return (serviceSeconds * busy) / (2 * servers * (1 - utilization));
}

/** Where a rate that grows with n reaches the one asked for, n in (0, most]. */
function crossing(most: number, rateAt: (n: number) => number, asked: number): number {
  let [low, high] = [0, most];
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (rateAt(Math.max(middle, 1e-6)) < asked) low = middle;
    else high = middle;
  }
  return high;
}
