// The figures of a shared run that has ended: every model's as of a run alone, what sharing adds, and all of them together. Service
// levels: a request is served well when its first token and its later ones come within the model's objective, or, where none is given,
// within `scale` times what they take on an idle GPU (SLO scale of Prism and MuxServe; both default to 5).
import { sequencesOf } from '../requests.ts';
import type { PerRequest, RunResult } from '../result.ts';
import { summarize } from '../run/statistics.ts';
import { emptyWork } from '../step-work.ts';
import type { SimRequest, StepWork } from '../types.ts';
import type { Engine } from './engine.ts';
import { pageIdBytes } from './memory.ts';
import type { SharedModelResult, SharedResult, SharedSummary } from './result.ts';
import type { SharedSimulation } from './run.ts';

interface Served {
  ttft: number[];
  tpot: number[];
  e2e: number[];
  queue: number[];
  outputTokens: number;
  attained: number;
  /** Sum over requests of time alone over time taken. */
  speed: number;
  firstArrival: number;
  lastOutput: number;
}

/** What became of every request, by model. */
export type SharedRequests = readonly PerRequest[];

export function summarizeShared(simulation: SharedSimulation): { result: SharedResult; requests: SharedRequests } {
  const { engines, statistics } = simulation;
  const ended = engines.map((engine) => engine.end());
  const served = engines.map((engine, index) => servedOf(engine, ended[index]!.perRequest));
  const models = engines.map((engine, index): SharedModelResult => {
    const { result } = ended[index]!;
    return { ...result, id: engine.model.id, ...sharedFigures(simulation, index, served[index]!) };
  });
  const pool = poolSummary(simulation, models, served);
  return {
    result: { models, pool, timeline: statistics.timeline },
    requests: ended.map(({ perRequest }) => perRequest),
  };
}

function sharedFigures(
  { setup, engines, statistics, residency }: SharedSimulation,
  index: number,
  { attained, speed }: Served,
): Omit<SharedModelResult, 'id' | keyof RunResult> {
  const { tenant, model, refusals, refusedSince, begun } = engines[index] as Engine;
  const held = statistics.held[index] as (typeof statistics.held)[number];
  const seconds = statistics.endTime;
  const mean = (sum: number): number => (seconds > 0 ? sum / seconds : 0);
  const total = begun.workload.requests.length;
  const counters = residency.counters[index] as (typeof residency.counters)[number];
  const open = Number.isNaN(refusedSince) ? 0 : seconds - refusedSince;
  const pages = tenant?.pages ?? { mapped: 0, unmapped: 0, mapSeconds: 0, unmapSeconds: 0, denied: 0, peakMapped: 0 };
  const tokenBytes = model.blockBytes / model.run.setup.paged.blockSize;
  return {
    pages: { bytes: pageIdBytes(setup.policy, model), ...pages },
    memoryBytes: {
      meanMapped: mean(held.mapped),
      peakMapped: held.peakMapped,
      meanUsed: mean(held.used),
      meanCached: mean(held.cached),
      meanTokens: mean(begun.statistics.tokenSeconds * tokenBytes * model.devices.length),
    },
    refusals: { count: refusals.count, seconds: refusals.seconds + open },
    loads: {
      fromHost: counters.fromHost,
      fromDisk: counters.fromDisk,
      unloads: counters.unloads,
      switches: counters.switches,
      seconds: counters.seconds,
      waitSeconds: held.waitSeconds,
    },
    slo: { attained, total, attainment: total > 0 ? attained / total : 1 },
    relativeSpeed: total > 0 ? speed / total : 1,
  };
}

function servedOf(engine: Engine, { generated, arrival, firstToken, finish }: PerRequest): Served {
  const { begun, model } = engine;
  const { requests } = begun.workload;
  const alone = aloneTimes(engine);
  const { ttftSeconds, tpotSeconds, scale } = model.objective;
  const served: Served = {
    ttft: [],
    tpot: [],
    e2e: [],
    queue: [],
    outputTokens: 0,
    attained: 0,
    speed: 0,
    firstArrival: Number.POSITIVE_INFINITY,
    lastOutput: 0,
  };
  for (let i = 0; i < requests.length; i++) {
    const came = arrival[i] as number;
    if (came < served.firstArrival) served.firstArrival = came;
    const end = finish[i] as number;
    if (Number.isNaN(end)) continue;
    const first = firstToken[i] as number;
    const tokens = generated[i] as number;
    const ttft = first - came;
    const tpot = tokens > 1 ? (end - first) / (tokens - 1) : 0;
    served.ttft.push(ttft);
    if (tokens > 1) served.tpot.push(tpot);
    served.e2e.push(end - came);
    const admitted = engine.admittedAt[i] as number;
    if (!Number.isNaN(admitted)) served.queue.push(admitted - came);
    served.outputTokens += sequencesOf(requests[i] as SimRequest) * tokens;
    served.lastOutput = Math.max(served.lastOutput, end);
    const ideal = alone(requests[i] as SimRequest, tokens);
    if (ttft <= (ttftSeconds ?? scale * ideal.first) && tpot <= (tpotSeconds ?? scale * ideal.later)) served.attained++;
    const took = end - came;
    served.speed += took > 0 ? Math.min(1, (ideal.first + (tokens - 1) * ideal.later) / took) : 1;
  }
  return served;
}

/** Seconds of a request on an idle GPU: its prompt in steps of the batch limit, then a token a step at its mean length. */
function aloneTimes({
  begun,
  model,
}: Engine): (request: SimRequest, tokens: number) => { first: number; later: number } {
  const { stepTime } = begun;
  const { maxNumBatchedTokens } = model.run.setup.paged;
  const seconds = (work: Partial<StepWork>): number =>
    stepTime ? stepTime.seconds({ ...emptyWork(), sequences: 1, ...work }) : 1;
  return ({ promptTokens }, tokens) => {
    let first = 0;
    for (let done = 0; done < promptTokens; done += maxNumBatchedTokens) {
      const chunk = Math.min(maxNumBatchedTokens, promptTokens - done);
      first += seconds({
        tokens: chunk,
        prefillTokens: chunk,
        prefillSequences: 1,
        prefillAttention: chunk * done + (chunk * chunk) / 2,
        rows: done + chunk >= promptTokens ? 1 : 0,
      });
    }
    const later = seconds({ tokens: 1, rows: 1, decodeContext: promptTokens + tokens / 2 });
    return { first, later };
  };
}

function poolSummary(
  simulation: SharedSimulation,
  models: readonly SharedModelResult[],
  served: readonly Served[],
): SharedSummary {
  const { statistics, poolBytes } = simulation;
  const total = (of: (model: SharedModelResult) => number): number => models.reduce((sum, model) => sum + of(model), 0);
  const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);
  const all = (of: (one: Served) => number[]): number[] => served.flatMap(of);
  const mapped = total(({ memoryBytes }) => memoryBytes.meanMapped);
  const used = total(({ memoryBytes }) => memoryBytes.meanUsed);
  const cached = total(({ memoryBytes }) => memoryBytes.meanCached);
  const requests = {
    total: total((model) => model.requests.total),
    finished: total((model) => model.requests.finished),
    rejected: total((model) => model.requests.rejected),
  };
  const start = Math.min(...served.map(({ firstArrival }) => firstArrival));
  const end = Math.max(...served.map(({ lastOutput }) => lastOutput));
  const makespanSeconds = end > start ? end - start : 0;
  return {
    poolBytes,
    tokenShare: share(
      total(({ memoryBytes }) => memoryBytes.meanTokens),
      poolBytes,
    ),
    usedShare: share(used, poolBytes),
    cachedShare: share(cached, poolBytes),
    mappedShare: share(mapped, poolBytes),
    fragmentationBytes: mapped - used - cached,
    fragmentationShare: share(mapped - used - cached, mapped),
    strandedBytes: share(statistics.strandedByteSeconds, statistics.refusedSeconds),
    strandedTimeShare: share(statistics.refusedSeconds, statistics.endTime),
    requests,
    preemptions: total(({ preemptions }) => preemptions.recompute + preemptions.swap),
    refusals: total(({ refusals }) => refusals.count),
    refusedSeconds: total(({ refusals }) => refusals.seconds),
    maps: total(({ pages }) => pages.mapped),
    unmaps: total(({ pages }) => pages.unmapped),
    mapSeconds: total(({ pages }) => pages.mapSeconds),
    unmapSeconds: total(({ pages }) => pages.unmapSeconds),
    denied: total(({ pages }) => pages.denied),
    loads: total(({ loads }) => loads.fromHost + loads.fromDisk),
    unloads: total(({ loads }) => loads.unloads),
    switches: total(({ loads }) => loads.switches),
    loadSeconds: total(({ loads }) => loads.seconds),
    loadWaitSeconds: total(({ loads }) => loads.waitSeconds),
    ttftSeconds: summarize(all(({ ttft }) => ttft)),
    tpotSeconds: summarize(all(({ tpot }) => tpot)),
    e2eSeconds: summarize(all(({ e2e }) => e2e)),
    queueSeconds: summarize(all(({ queue }) => queue)),
    sloAttainment: share(
      served.reduce((sum, { attained }) => sum + attained, 0),
      requests.total,
    ),
    fairness: jain(models.filter((model) => model.requests.total > 0).map(({ relativeSpeed }) => relativeSpeed)),
    makespanSeconds,
    outputTokensPerSecond: share(
      served.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
      makespanSeconds,
    ),
    busyShare: share(statistics.busySeconds, statistics.endTime),
  };
}

/** Jain's index: (sum x)^2 / (n sum x^2); 1 when all are served alike, 1/n when one gets everything. */
function jain(values: readonly number[]): number {
  const sum = values.reduce((total, value) => total + value, 0);
  const squares = values.reduce((total, value) => total + value * value, 0);
  return squares > 0 ? (sum * sum) / (values.length * squares) : 1;
}
