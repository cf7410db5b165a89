// The static speed estimate of a planned deployment: decode, prefill, one sequence alone, and a closed loop at a concurrency. It knows
// no law of its own: steps are those of the simulator's time model (sim/time), put together by averages instead of one by one. Judged
// by published measurements (test/ground-truth/published-speed.yaml, `npm run speed`).
import { pcieBytesPerSecond } from '../../accounting/link.ts';
import type { VllmPlanned } from '../../engines/vllm/plan.ts';
import { isThroughputKnown } from '../../sim/time/coefficients.ts';
import type { StepBound, StepTime } from '../../sim/time/index.ts';
import type { StepWork } from '../../sim/types.ts';
import type { PlanRequest } from '../request.ts';
import type { SpeedFigure } from '../types.ts';
import { loopRates, mixedWork } from './loop.ts';
import { stepTimeOf } from './model.ts';
import type { DeploymentSpeed, SpeedShape } from './types.ts';

export { estimateLlamaSpeed } from './llama.ts';
export type { DeploymentSpeed, SpeedShape } from './types.ts';

export interface SpeedInput {
  planned: VllmPlanned;
  request: PlanRequest;
  shape: SpeedShape;
}

/** Undefined where the device's bandwidth is not known, where nothing was loaded or not even one such sequence fits. */
export function estimateSpeed({ planned, request, shape }: SpeedInput): DeploymentSpeed | undefined {
  const time = stepTimeOf(planned, request);
  if (!time) return undefined;
  const { resolved } = planned;
  const { promptTokens, outputTokens } = shape;
  const context = promptTokens + outputTokens / 2;
  const replicas = resolved.dataParallelSize;
  const asked = Math.ceil(shape.concurrency / replicas);
  const capacity = Math.min(resolved.maxNumSeqs, planned.sequencesAt(Math.ceil(context)));
  if (capacity < 1) return undefined;
  const running = Math.min(asked, capacity);
  const sequences = running < asked ? running * replicas : shape.concurrency;
  const lockstep = time.synchronizedRanks > 1 ? withRanks(time, replicas) : time;

  const mixed = resolved.enableChunkedPrefill || resolved.engine === 'v1';
  const budget = resolved.enableChunkedPrefill
    ? resolved.maxNumBatchedTokens
    : Math.max(resolved.maxNumBatchedTokens, promptTokens);
  const decode = lockstep.breakdown(mixedWork(running, { context, prefill: 0, promptTokens }));
  const alone = time.seconds(mixedWork(1, { context, prefill: 0, promptTokens }));
  const prompt = promptTime(time, promptTokens, budget);
  const loop = loopRates({ time: lockstep, sequences: running, promptTokens, outputTokens, budget, mixed });
  const uncertaintyShare = uncertaintyOf(request, time);
  const output = loop.requestsPerSecond * outputTokens * (sequences / running);
  return {
    decode: figure(sequences / decode.total, decode.bound, uncertaintyShare),
    prefill: figure(promptTokens / prompt.seconds, prompt.bound, uncertaintyShare),
    tpotSeconds: alone,
    ttftSeconds: prompt.seconds,
    outputTokensPerSecond: output,
    lowOutputTokensPerSecond: output * (1 - uncertaintyShare),
    highOutputTokensPerSecond: output * (1 + uncertaintyShare),
    loadedTpotSeconds: loop.tokenSeconds,
    runningSequences: sequences,
    estimate: time.estimate,
    uncertaintyShare,
    assumptions: assumptionsOf({ planned, request, shape }, sequences),
  };
}

/** Every rank has the same work, or at least the agreement on it. */
function withRanks(time: StepTime, replicas: number): StepTime {
  const all = (work: Readonly<StepWork>): StepWork => ({
    ...work,
    ranks: Array.from({ length: replicas }, () => work),
  });
  return {
    ...time,
    seconds: (work) => time.seconds(all(work)),
    bound: (work) => time.bound(all(work)),
    breakdown: (work) => time.breakdown(all(work)),
  };
}

/** One prompt in pieces of the budget, nothing beside it; the last piece samples. */
function promptTime(time: StepTime, promptTokens: number, budget: number): { seconds: number; bound: StepBound } {
  const pieces = Math.ceil(promptTokens / budget);
  const step = time.breakdown(mixedWork(0, { context: 0, prefill: promptTokens / pieces, promptTokens }));
  return { seconds: pieces * step.total, bound: step.bound };
}

function figure(tokensPerSecond: number, bound: StepBound, share: number): SpeedFigure {
  return {
    tokensPerSecond,
    lowTokensPerSecond: tokensPerSecond * (1 - share),
    highTokensPerSecond: tokensPerSecond * (1 + share),
    bound: bound === 'bandwidth' ? 'memory' : bound,
  };
}

/** What published measurements show of the estimate (README, table of speeds): most lie within these shares. */
function uncertaintyOf({ gpus }: PlanRequest, { estimate }: StepTime): number {
  if (!isThroughputKnown(gpus[0]!)) return 0.6;
  return estimate === 'fitted' ? 0.3 : 0.4;
}

function assumptionsOf({ planned, request, shape }: SpeedInput, sequences: number): string[] {
  const { resolved } = planned;
  const gpu = request.gpus[0]!;
  const assumptions: string[] = [];
  if (sequences < shape.concurrency) assumptions.push(`${sequences} of ${shape.concurrency} sequences run at once`);
  if (resolved.speculativeTokens > 0) assumptions.push('tokens one by one, none of them drafted');
  if (resolved.cpuOffloadBytes)
    assumptions.push(
      `offloaded weights are read at .8 of ${(pcieBytesPerSecond(gpu) / 1e9).toFixed(0)} GB/s (PCIe) in every pass`,
    );
  if (request.gpus.some(({ id }) => id !== gpu.id)) assumptions.push(`every GPU as fast as ${gpu.name}`);
  if (!isThroughputKnown(gpu)) assumptions.push(`throughput of ${gpu.name} inferred`);
  return assumptions;
}
