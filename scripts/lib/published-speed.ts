// Published speeds (test/ground-truth/published-speed.yaml) beside the static estimate of the same deployment. A row is planned as `vram
// plan` plans its words; what its load means for the estimate (all requests at once, so many in flight, so many a second) is decided
// here, by rules that hold for every row alike.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { makeCommand, parseCommand } from '../../src/commands/command.ts';
import { addEngineOptions, readPlanArguments } from '../../src/commands/engine-arguments.ts';
import { addLlamaOptions, readLlamaOptions, withLongNames } from '../../src/commands/llama-arguments.ts';
import { resolveLlamaArguments } from '../../src/commands/plan-llama.ts';
import { type PlanArguments, resolveArguments } from '../../src/commands/plan-request.ts';
import { planLlama } from '../../src/engines/llamacpp/plan.ts';
import { planVllm } from '../../src/engines/vllm/plan.ts';
import { quietIo } from '../../src/io.ts';
import { vllmRegistry } from '../../src/load/flags.ts';
import {
  type DeploymentSpeed,
  estimateLlamaSpeed,
  estimateSpeed,
  type SpeedShape,
} from '../../src/plan/speed/index.ts';
import type { SpeedFigure } from '../../src/plan/types.ts';

export interface PublishedSpeed {
  id: string;
  source: string;
  date: string;
  /** Release of vLLM, or llama.cpp@build. */
  engine: string;
  model: string;
  gpu: string;
  /** Further words of `vram plan`. */
  args?: string;
  promptTokens: number;
  /** Mean tokens of an answer. */
  outputTokens: number;
  /** Answers end by themselves, at the latest after so many. */
  longestTokens?: number;
  /** sharegpt: lengths differ as they do in that data set; else all alike. */
  lengths?: 'sharegpt';
  /** Requests of the run; without concurrency and rate all are sent at once. */
  requests?: number;
  /** Requests in flight at most. */
  concurrency?: number;
  /** Requests a second. */
  rate?: number;
  /** So many servers of this kind behind a proxy. */
  servers?: number;
  metric:
    | 'outputTokensPerSecond'
    | 'totalTokensPerSecond'
    | 'requestsPerSecond'
    | 'tpotSeconds'
    | 'ttftSeconds'
    | 'latencySeconds';
  value: number;
  notes?: string;
  /** Why there is no estimate. */
  unplanned?: string;
}

export function readPublishedSpeeds(): PublishedSpeed[] {
  const file = new URL('../../test/ground-truth/published-speed.yaml', import.meta.url);
  const { runs } = parse(readFileSync(file, 'utf8')) as {
    runs: { source: string; rows: Omit<PublishedSpeed, 'source'>[] }[];
  };
  return runs.flatMap(({ source, rows }) => rows.map((row) => ({ ...row, source })));
}

export interface SpeedJudgement {
  row: PublishedSpeed;
  /** Not looked at when the rules of the estimate were chosen: half of all rows, by a hash of the id. */
  heldOut: boolean;
  estimated: number;
  /** (estimated - published) / published, of rates; of times the other way round, so that too fast is positive in both. */
  error: number;
  bound: SpeedFigure['bound'];
  /** The range that the estimate states for its rates, as a share. */
  share: number;
}

export async function judgeSpeeds(rows: readonly PublishedSpeed[]): Promise<SpeedJudgement[]> {
  const judgements: SpeedJudgement[] = [];
  for (const row of rows) {
    if (row.unplanned !== undefined) continue;
    const at = await estimatorOf(row);
    const estimated = estimateOf(row, at);
    const isTime = /Seconds$/.test(row.metric);
    judgements.push({
      row,
      heldOut: isHeldOut(row.id),
      estimated,
      error: isTime ? row.value / estimated - 1 : estimated / row.value - 1,
      bound: boundOf(row, at),
      share: at(load(row)).uncertaintyShare,
    });
  }
  return judgements;
}

/** All judged: the middle of their absolute errors, and of the signed ones as a factor (so that halves and doubles cancel). */
export function summary(judgements: readonly SpeedJudgement[]): { median: number; within30: number; bias: number } {
  const absolute = judgements.map(absoluteError);
  const logs = judgements.map(({ error }) => Math.log(1 + error));
  return {
    median: median(absolute),
    within30: absolute.filter((error) => error <= 0.3).length / absolute.length,
    bias: Math.exp(median(logs)) - 1,
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Of the phase that most of the time goes to. */
function boundOf(row: PublishedSpeed, at: Estimator): SpeedFigure['bound'] {
  const { decode, prefill, runningSequences } = at(row.rate === undefined ? load(row) : littles(row, at));
  const prompts = row.promptTokens / prefill.tokensPerSecond;
  const answers = row.outputTokens / decode.tokensPerSecond;
  if (row.metric === 'ttftSeconds' || (runningSequences > 1 && prompts > answers)) return prefill.bound;
  return decode.bound;
}

export function isHeldOut(id: string): boolean {
  return createHash('sha256').update(id).digest()[0]! % 2 === 1;
}

/** Share of a figure: |estimated - published| / published, whatever the metric measures. */
export function absoluteError({ row, estimated }: SpeedJudgement): number {
  return Math.abs(estimated / row.value - 1);
}

type Estimator = (concurrency: number) => DeploymentSpeed;

async function estimatorOf(row: PublishedSpeed): Promise<Estimator> {
  const { promptTokens, outputTokens } = row;
  const args = await planArgumentsOf(row);
  const estimate = isLlama(row) ? await llamaEstimate(args) : await vllmEstimate(args);
  return (concurrency) => {
    const speed = estimate({ concurrency, promptTokens, outputTokens });
    if (!speed) throw new Error(`${row.id}: nothing runs, or no bandwidth is known`);
    return speed;
  };
}

export function isLlama({ engine }: PublishedSpeed): boolean {
  return engine.startsWith('llama.cpp');
}

async function planArgumentsOf(row: PublishedSpeed): Promise<PlanArguments> {
  const command = makeCommand('plan', '', [], quietIo()).option('-m, --model <ref>').option('-g, --gpu <ref>');
  command.option('--engine <ref>');
  addEngineOptions(command);
  addLlamaOptions(command);
  const engine = isLlama(row) ? row.engine : `vllm@${row.engine}`;
  const words = ['-m', row.model, '-g', row.gpu, '--engine', engine, ...(row.args?.split(' ').filter(Boolean) ?? [])];
  await parseCommand(command, withLongNames(words));
  return { ...readPlanArguments(command), llama: readLlamaOptions(command), require: [] };
}

type Estimate = (shape: SpeedShape) => DeploymentSpeed | undefined;

async function vllmEstimate(args: PlanArguments): Promise<Estimate> {
  const { request } = (await resolveArguments(args, quietIo())).devices!;
  const planned = planVllm(request, vllmRegistry());
  return (shape) => estimateSpeed({ planned, request, shape });
}

async function llamaEstimate(args: PlanArguments): Promise<Estimate> {
  const { request: asked, gpus } = await resolveLlamaArguments(args, quietIo());
  const request = { ...asked, gpus: gpus! };
  const planned = planLlama(request);
  return (shape) => estimateLlamaSpeed({ planned, request, shape });
}

/** Requests in flight on one server. */
function load({ requests, concurrency, rate, servers = 1 }: PublishedSpeed): number {
  if (rate !== undefined) return 1;
  return Math.max(1, Math.min(concurrency ?? Number.POSITIVE_INFINITY, requests ?? Number.POSITIVE_INFINITY) / servers);
}

function estimateOf(row: PublishedSpeed, at: Estimator): number {
  const { outputTokens, promptTokens } = row;
  const inFlight = row.rate === undefined ? load(row) : littles(row, at);
  const speed = at(inFlight);
  const perSecond = (): number => row.requests! / duration(row, at);
  switch (row.metric) {
    case 'tpotSeconds':
      return inFlight === 1 ? speed.tpotSeconds : speed.loadedTpotSeconds;
    case 'ttftSeconds':
      return speed.ttftSeconds;
    case 'latencySeconds':
      return row.requests === undefined
        ? speed.ttftSeconds + (outputTokens - 1) * speed.loadedTpotSeconds
        : duration(row, at);
    case 'requestsPerSecond':
      return perSecond();
    case 'outputTokensPerSecond':
      return row.requests === undefined ? speed.outputTokensPerSecond : perSecond() * outputTokens;
    case 'totalTokensPerSecond':
      return perSecond() * (outputTokens + promptTokens);
  }
}

/** Requests in flight at a rate below saturation: rate x time of one request, which depends on them in turn. */
function littles({ rate = 1, outputTokens, servers = 1 }: PublishedSpeed, at: Estimator): number {
  let inFlight = 1;
  for (let i = 0; i < 30; i++) {
    const { ttftSeconds, loadedTpotSeconds } = at(Math.max(1, Math.round(inFlight)));
    const next = (rate / servers) * (ttftSeconds + outputTokens * loadedTpotSeconds);
    inFlight = (inFlight + next) / 2;
  }
  return Math.max(1, Math.round(inFlight));
}

/**
 * Of the whole run on one server. Answers of one length: as many requests as the closed loop finishes. Of different lengths: until
 * the last request starts the loop is full; then it drains, k requests left finishing after O / k steps (lengths spread about as an
 * exponential does: ShareGPT's standard deviation is near its mean), at most five mean answers long, as --max-tokens or the data's own
 * limit of 1024 cuts them.
 */
function duration(row: PublishedSpeed, at: Estimator): number {
  const requests = row.requests! / (row.servers ?? 1);
  const full = at(load(row));
  const perSecond = full.outputTokensPerSecond / row.outputTokens;
  if (row.longestTokens !== undefined) return untilLongest(row, row.longestTokens, at);
  if (row.lengths === undefined) return requests / perSecond;
  const running = Math.min(full.runningSequences, requests);
  const prompts = (running * row.promptTokens) / full.prefill.tokensPerSecond;
  return Math.max(0, requests - running) / perSecond + prompts + drainSeconds(row, at, running);
}

/** All at once, the last one stopped at a limit: on average mean / limit of them are left. */
function untilLongest(row: PublishedSpeed, longest: number, at: Estimator): number {
  const left = at(Math.max(1, Math.round((load(row) * row.outputTokens) / longest)));
  const prompts = (load(row) * row.promptTokens) / left.prefill.tokensPerSecond;
  return prompts + (longest * left.runningSequences) / left.decode.tokensPerSecond;
}

const drainParts = 12;

function drainSeconds({ outputTokens }: PublishedSpeed, at: Estimator, running: number): number {
  const last = Math.max(1, running * Math.exp(-5));
  const width = Math.log(running / last) / drainParts;
  let seconds = 0;
  for (let i = 0; i < drainParts; i++) {
    const left = running * Math.exp(-(i + 0.5) * width);
    seconds += outputTokens * width * (left / at(Math.max(1, Math.round(left))).decode.tokensPerSecond);
  }
  return seconds + (last === 1 ? outputTokens / at(1).decode.tokensPerSecond : 0);
}
