// One simulation from start to end: a workload, a serving system, a step time; out comes the result of the JSON contract. Times are
// counted from the first arrival.
import { sequencesOf } from '../requests.ts';
import type { PerRequest, Rejection, RunResult } from '../result.ts';
import type { RequestListener, ServingSystem, SimRequest, StepWork, SystemCounters, Workload } from '../types.ts';
import { Clock, type ClockOptions, type StepObserver } from './clock.ts';
import { perRequestCrc32 } from './run-config.ts';
import { Statistics, summarize } from './statistics.ts';

export interface StepTimeModel {
  seconds(work: Readonly<StepWork>): number;
  estimate: RunResult['latency']['estimate'];
  uncertainty: string;
  /** Of the step timed last, the share in which the device computes; absent: all of it. */
  deviceShare?: () => number;
  /** What the steps timed so far were bound by. */
  bounds?: () => RunResult['latency']['bound'];
}

interface SimulationInput {
  workload: Workload;
  /** Makes the serving system, which reports to the listener. */
  system: (listener: RequestListener) => ServingSystem;
  /** Absent: every step lasts 1 second, and calls that do nothing too. */
  stepTime?: StepTimeModel;
  bytesPerBlock?: number | null;
  /** Answers end where prompt and answer reach it (max_model_len). */
  maxModelLen?: number;
  /** fileOrder[i] is the row of request i, where requests are not in file order. */
  fileOrder?: readonly number[];
  clock?: Pick<ClockOptions, 'events' | 'progress' | 'progressEvery' | 'stepByStep' | 'observer'>;
}

interface Simulation {
  result: RunResult;
  perRequest: PerRequest;
}

export function simulate(input: SimulationInput): Simulation {
  const begun = beginSimulation(input);
  begun.clock.run(begun.system, begun.options);
  return begun.end();
}

/** A simulation at time 0, for who drives its clock. */
export interface BegunSimulation {
  clock: Clock;
  system: ServingSystem;
  statistics: Statistics;
  options: ClockOptions;
  /** The figures, once the clock has run to its end. */
  end(): Simulation;
}

export function beginSimulation(input: SimulationInput): BegunSimulation {
  const { workload, stepTime } = input;
  const clock = new Clock(workload);
  const system = input.system(clock);
  const statistics = new Statistics(system);
  return {
    clock,
    system,
    statistics,
    options: {
      ...input.clock,
      ...(stepTime ? { stepSeconds: (work) => stepTime.seconds(work) } : {}),
      observer: input.clock?.observer ? both(statistics, input.clock.observer) : statistics,
    },
    end() {
      const perRequest = perRequestOf(clock, input);
      return { result: resultOf(input, clock, { system, statistics }), perRequest };
    },
  };
}

function both(one: StepObserver, other: StepObserver): StepObserver {
  return {
    scheduled(time, seconds) {
      one.scheduled?.(time, seconds);
      other.scheduled?.(time, seconds);
    },
    idle(from, to) {
      one.idle?.(from, to);
      other.idle?.(from, to);
    },
  };
}

/** What became of each request, in the order of the workload. */
export function perRequestOf(
  { times }: Clock,
  { workload, maxModelLen }: Pick<SimulationInput, 'workload' | 'maxModelLen'>,
): PerRequest {
  const { arrival, first, finish, preemptions, rejected } = times;
  const generated = generatedTokens(workload, maxModelLen);
  return { generated, arrival, firstToken: first, finish, preemptions, rejected };
}

/** The figures of a run that has ended. */
export function resultOf(
  { workload, stepTime, bytesPerBlock = null, fileOrder, maxModelLen }: Omit<SimulationInput, 'system'>,
  { times, totals }: Clock,
  { system, statistics }: { system: ServingSystem; statistics: Statistics },
): RunResult {
  const generated = generatedTokens(workload, maxModelLen);
  const latency = latencies(workload, times, generated);
  const start = firstArrival(times.arrival);
  const makespanSeconds = Math.max(0, totals.endTime - start);
  const perSecond = (count: number): number => (makespanSeconds > 0 ? count / makespanSeconds : 0);
  return {
    requests: {
      total: workload.requests.length,
      finished: totals.finished,
      rejected: times.rejected.size,
      cut: cutRequests(workload, times.finish, generated),
      rejections: rejectionsOf(times.rejected, workload),
    },
    steps: totals.steps,
    scheduledTokens: totals.scheduledTokens,
    makespanSeconds,
    perRequestCrc32: stepTime ? null : perRequestCrc32(times, workload, fileOrder),
    pool: { numBlocks: system.usableBlocks, blockSize: system.blockSize, bytesPerBlock },
    memory: {
      meanUtilization: statistics.meanUtilization,
      peakUtilization: statistics.peakUtilization,
      shares: statistics.result(),
    },
    ...countedOf(system.counters),
    latency: {
      ...latency.summaries,
      estimate: stepTime?.estimate ?? 'fixed',
      uncertainty: stepTime?.uncertainty ?? 'every step lasts one second',
      ...(stepTime?.bounds ? { bound: stepTime.bounds() } : {}),
    },
    throughput: {
      requestsPerSecond: perSecond(totals.finished),
      outputTokensPerSecond: perSecond(latency.outputTokens),
      meanBatch: statistics.meanBatch,
    },
    timeline: statistics.timeline,
  };
}

/** What the serving system counted. */
function countedOf(
  counters: Readonly<SystemCounters>,
): Pick<RunResult, 'prefixCache' | 'preemptions' | 'copyOnWrite' | 'offload' | 'speculation'> {
  return {
    prefixCache: {
      queriedTokens: counters.queriedTokens,
      hitTokens: counters.hitTokens,
      hitRate: ratio(counters.hitTokens, counters.queriedTokens),
      queriedBlocks: counters.queriedBlocks,
      hitBlocks: counters.hitBlocks,
      blockHitRate: ratio(counters.hitBlocks, counters.queriedBlocks),
      evictions: counters.evictions,
    },
    preemptions: {
      recompute: counters.preemptions,
      swap: counters.swapPreemptions,
      recomputedTokens: counters.preemptedComputedTokens,
      swappedBlocks: counters.swappedBlocks,
    },
    copyOnWrite: {
      copies: counters.copies,
      sharedBlocksPeak: counters.sharedBlocksPeak,
      savedBlocksShare: ratio(counters.savedBlockSteps, counters.unsharedBlockSteps),
    },
    ...(counters.storedBlocks > 0 ? { offload: offloadOf(counters) } : {}),
    ...(counters.draftTokens > 0 ? { speculation: speculationOf(counters) } : {}),
  };
}

function offloadOf(counters: Readonly<SystemCounters>): NonNullable<RunResult['offload']> {
  const { storedBlocks, loadedBlocks, diskReadBlocks, diskWrittenBlocks } = counters;
  return { storedBlocks, loadedBlocks, diskReadBlocks, diskWrittenBlocks };
}

function speculationOf({ draftTokens, acceptedTokens }: Readonly<SystemCounters>): RunResult['speculation'] {
  return { draftTokens, acceptedTokens };
}

function latencies(
  { requests }: Workload,
  { arrival, first, finish }: { arrival: Float64Array; first: Float64Array; finish: Float64Array },
  generated: Float64Array,
) {
  const ttft: number[] = [];
  const tpot: number[] = [];
  const e2e: number[] = [];
  let outputTokens = 0;
  for (let i = 0; i < requests.length; i++) {
    const end = finish[i] as number;
    if (Number.isNaN(end)) continue;
    const output = sequencesOf(requests[i] as SimRequest) * (generated[i] as number);
    const start = arrival[i] as number;
    const begun = first[i] as number;
    outputTokens += output;
    ttft.push(begun - start);
    e2e.push(end - start);
    if ((generated[i] as number) > 1) tpot.push((end - begun) / ((generated[i] as number) - 1));
  }
  const summaries = { ttftSeconds: summarize(ttft), tpotSeconds: summarize(tpot), e2eSeconds: summarize(e2e) };
  return { summaries, outputTokens };
}

/** Tokens of each answer that the engine really gives: it stops at max_model_len. */
function generatedTokens({ requests }: Workload, maxModelLen = Number.POSITIVE_INFINITY): Float64Array {
  const generated = new Float64Array(requests.length);
  for (let i = 0; i < requests.length; i++) {
    const { promptTokens, outputTokens } = requests[i] as SimRequest;
    generated[i] = Math.min(outputTokens, Math.max(1, maxModelLen - promptTokens));
  }
  return generated;
}

/** Finished requests whose answer max_model_len cut short. */
function cutRequests({ requests }: Workload, finish: Float64Array, generated: Float64Array): number {
  let cut = 0;
  for (let i = 0; i < requests.length; i++)
    if (!Number.isNaN(finish[i] as number) && (generated[i] as number) < (requests[i] as SimRequest).outputTokens)
      cut++;
  return cut;
}

function firstArrival(arrival: Float64Array): number {
  let first = Number.POSITIVE_INFINITY;
  for (const time of arrival) if (time < first) first = time;
  return Number.isFinite(first) ? first : 0;
}

function rejectionsOf(rejected: ReadonlyMap<number, string>, { requests }: Workload): Rejection[] {
  const reasons = new Map<string, Rejection>();
  for (const [index, reason] of rejected) {
    // Counts differ from request to request; the reason is the text without them.
    const kind = reason.replace(/\d+/g, '#');
    const known = reasons.get(kind);
    if (known) known.count++;
    else reasons.set(kind, { reason, count: 1, first: (requests[index] as SimRequest).id });
  }
  return [...reasons.values()];
}

function ratio(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}
