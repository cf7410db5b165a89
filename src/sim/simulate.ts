// One run from its setup and workload to its figures: serving systems, step times and clock put together. Plain data in and out, so
// that it runs in any thread; nothing here knows where the setup comes from.
import { expandArchitecture } from '../architecture/index.ts';
import { type EventSink, watch } from './events.ts';
import { createParallel } from './parallel/index.ts';
import type { PerRequest, RunResult } from './result.ts';
import { type BegunSimulation, beginSimulation, type StepTimeModel } from './run/simulate.ts';
import { createServing, type SharedHooks } from './serving.ts';
import type { SimSetup } from './setup.ts';
import { BoundTally, createStepTime } from './time/index.ts';
import type { RequestListener, ServingSystem, Workload } from './types.ts';

/** A run to make: the workload may be another's, at a multiple of its rate. */
export interface Run {
  setup: SimSetup;
  workload: Workload;
  /** Factor on the rate of the arrivals. */
  rateScale?: number;
  /** fileOrder[i] is the row of request i, where a trace was not in order. */
  fileOrder?: readonly number[];
}

export interface RunOutcome {
  result: RunResult;
  perRequest: PerRequest;
}

export interface RunHooks {
  /** The share of requests done, now and then. */
  progress?: (ended: number, total: number) => void;
  /** Every block taken, freed and evicted, and what happens to requests. */
  events?: EventSink;
}

/** A GPU whose bandwidth is not known: its steps cannot be timed. */
export class NoStepTime extends Error {
  override name = 'NoStepTime';
}

export function simulateRun(run: Run, hooks: RunHooks = {}): RunOutcome {
  const begun = beginRun(run, hooks);
  begun.clock.run(begun.system, begun.options);
  return begun.end();
}

/** A run at time 0, for who drives its clock; `shared` is what a server that shares its GPU is given. */
export interface BegunRun extends Omit<BegunSimulation, 'end'> {
  /** The workload as it runs, and what a step takes (undefined: always 1). */
  workload: Workload;
  stepTime: StepTimeModel | undefined;
  end(): RunOutcome;
}

export function beginRun(
  { setup: asked, workload: given, rateScale = 1, fileOrder }: Run,
  hooks: RunHooks & { shared?: SharedHooks },
): BegunRun {
  const workload = scaled(given, rateScale);
  const stepTime = stepTimeOf(asked);
  const setup = withTransferTime(asked, stepTime?.hostRate);
  const server = (listener: RequestListener): ServingSystem =>
    createParallel({
      ranks: Array.from({ length: setup.replicas }, () => createServing(setup, workload, listener, hooks.shared)),
      synchronized: (stepTime?.synchronizedRanks ?? 1) > 1,
      ...(stepTime ? { stepSeconds: (work) => stepTime.seconds(work) } : {}),
    });
  const watched = hooks.events ? watch(hooks.events, workload) : undefined;
  const begun = beginSimulation({
    workload,
    system: (listener) => (watched ? watched.system(server(watched.listener(listener))) : server(listener)),
    maxModelLen: setup.paged.maxModelLen,
    ...(stepTime ? { stepTime } : {}),
    ...(fileOrder ? { fileOrder } : {}),
    clock: {
      ...(hooks.progress ? { progress: hooks.progress } : {}),
      ...(watched ? { observer: watched.observer, stepByStep: true } : {}),
    },
  });
  return {
    ...begun,
    workload,
    stepTime,
    end() {
      const { result, perRequest } = begun.end();
      return { result: { ...result, pool: poolOf(result, setup) }, perRequest };
    },
  };
}

function poolOf({ pool }: RunResult, setup: SimSetup): RunResult['pool'] {
  // As vLLM prints it, the null block included; other policies have none.
  const numBlocks = setup.policy === 'paged' ? setup.paged.numBlocks * setup.replicas : pool.numBlocks;
  // Policies that hand out single slots have blocks of their own size over the same bytes.
  const share = pool.blockSize / setup.paged.blockSize;
  const bytesPerBlock = setup.bytesPerBlock === null ? null : Math.round(setup.bytesPerBlock * share);
  return { ...pool, numBlocks, bytesPerBlock };
}

/** The same requests so many times as fast; pauses of people stay. */
function scaled(workload: Workload, factor: number): Workload {
  if (factor === 1) return workload;
  const requests = workload.requests.map((request) => ({ ...request, arrival: request.arrival / factor }));
  return { ...workload, requests };
}

type TimedSteps = StepTimeModel & { synchronizedRanks: number; hostRate?: number };

/** Undefined where a step lasts 1: the clock's own unit, in which idle time passes step by step too. */
function stepTimeOf({ time }: SimSetup): TimedSteps | undefined {
  if (time.kind === 'fixed') {
    const { seconds } = time;
    if (seconds === 1) return undefined;
    return {
      seconds: () => seconds,
      estimate: 'fixed',
      uncertainty: `every step lasts ${seconds} s`,
      synchronizedRanks: 1,
    };
  }
  const model = createStepTime({ ...time, architecture: expandArchitecture(time.spec) });
  if (!model) throw new NoStepTime(`the bandwidth of ${time.gpu.name} is not known: give --step-time`);
  const tally = new BoundTally();
  let share = 1;
  return {
    ...model,
    hostRate: model.coefficients.hostRate,
    seconds(work) {
      const breakdown = model.breakdown(work);
      tally.add(work, breakdown);
      share = breakdown.total > 0 ? breakdown.device / breakdown.total : 1;
      return breakdown.total;
    },
    deviceShare: () => share,
    bounds: () => tally.result(),
  };
}

/** Offloaded blocks go over the link between GPU and host, at its rate where it is known. */
function withTransferTime(setup: SimSetup, hostRate: number | undefined): SimSetup {
  const { paged, bytesPerBlock } = setup;
  if (!paged.offload || hostRate === undefined || bytesPerBlock === null) return setup;
  return { ...setup, paged: { ...paged, offload: { ...paged.offload, blockSeconds: bytesPerBlock / hostRate } } };
}
