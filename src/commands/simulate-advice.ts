// Advice that a simulation can justify: one option changed at a time, the run made again, and only what clearly helps is said, with
// the figure before and after. What is worth trying follows from the first run: preemptions, waiting, a short workload.

import { percent, thousands } from '../numbers.ts';
import type { Advice, Settings } from '../plan/simulate-output.ts';
import { rate, seconds } from '../render/simulate-text.ts';
import type { RunResult } from '../sim/result.ts';
import type { Run } from '../sim/simulate.ts';
import { type JobOptions, runJobs } from './simulate-jobs.ts';

/** Sequences scheduled over all steps beyond which repeating the run several times takes too long to do unasked. */
export const adviceLimit = 40_000_000;
/** A change has to move its figure by this share to be worth a word. */
const worthwhile = 0.03;
const mostAdvice = 3;

interface AdviceInput {
  run: Run;
  result: RunResult;
  /** The same run with these settings; undefined when the engine would not start. */
  make: (settings: Settings) => Run | undefined;
  /** The pool comes from a plan, so that options which move memory change it. */
  planned: boolean;
  utilization: number | undefined;
  /** The GPU computes with 8-bit caches, and the cache is not one yet. */
  fp8Cache: boolean;
  longest: number;
}

export function workOf({ steps, throughput }: RunResult): number {
  return steps * throughput.meanBatch;
}

export async function adviceFor(input: AdviceInput, options: JobOptions): Promise<Advice[]> {
  const tried = candidates(input)
    .map((settings) => ({ settings, run: input.make(settings) }))
    .filter((candidate): candidate is { settings: Settings; run: Run } => candidate.run !== undefined);
  const results = await runJobs(
    tried.map(({ run }) => run),
    { ...options, doing: 'trying changes' },
  );
  const advice = tried.flatMap(({ settings }, i) => {
    const outcome = results[i]!;
    return outcome.ok ? adviceOf(settings, input, outcome.result) : [];
  });
  return advice
    .sort((a, b) => b.gain - a.gain || (a.advice.change < b.advice.change ? -1 : 1))
    .slice(0, mostAdvice)
    .map(({ advice: one }) => one);
}

/** What could help, judged by the first run alone. */
function candidates({ run, result, planned, utilization, fp8Cache, longest }: AdviceInput): Settings[] {
  const { paged } = run.setup;
  const { preemptions, memory, timeline, requests } = result;
  const all: Settings[] = [];
  const preempted = preemptions.recompute + preemptions.swap;
  const waits = timeline.some(({ waiting, swapped }) => waiting + swapped > 0);
  const mostRunning = Math.max(0, ...timeline.map(({ running }) => running));
  const full = memory.peakUtilization > 0.95;
  if (preempted > 0) {
    const typical = Math.max(1, Math.floor(result.throughput.meanBatch));
    all.push({ 'max-num-seqs': typical }, { 'max-num-seqs': Math.max(1, Math.floor((mostRunning * 3) / 4)) });
  }
  if (waits && !full && mostRunning >= paged.maxNumSeqs) all.push({ 'max-num-seqs': paged.maxNumSeqs * 2 });
  if (waits || preempted > 0) {
    all.push({ 'max-num-batched-tokens': paged.maxNumBatchedTokens * 2 });
    if (paged.maxNumBatchedTokens >= 2048)
      all.push({ 'max-num-batched-tokens': Math.floor(paged.maxNumBatchedTokens / 2) });
  }
  if (planned && (full || requests.rejected > 0)) {
    if (utilization !== undefined && utilization < 0.945) all.push({ 'gpu-memory-utilization': 0.95 });
    if (fp8Cache) all.push({ 'kv-cache-dtype': 'fp8' });
  }
  const reserves = run.setup.policy !== 'paged' && run.setup.policy !== 'nano';
  const enough = Math.ceil((longest + 1) / 256) * 256;
  if (requests.rejected > 0 && longest >= paged.maxModelLen) all.push({ 'max-model-len': enough });
  if (longest > 0 && enough <= paged.maxModelLen * 0.8 && (reserves || full || preempted > 0))
    all.push({ 'max-model-len': enough });
  if (memory.shares.internalFragmentation > 0.02 && paged.blockSize > 16 && !reserves) all.push({ 'block-size': 16 });
  if (result.prefixCache.hitRate > 0.01 && paged.blockSize > 16 && !reserves) all.push({ 'block-size': 16 });
  const distinct = new Map(all.map((settings) => [JSON.stringify(settings), settings]));
  return [...distinct.values()].filter((settings) => !isAlready(settings, run));
}

function isAlready(settings: Settings, { setup: { paged } }: Run): boolean {
  const now: Record<string, number> = {
    'max-num-seqs': paged.maxNumSeqs,
    'max-num-batched-tokens': paged.maxNumBatchedTokens,
    'max-model-len': paged.maxModelLen,
    'block-size': paged.blockSize,
  };
  return Object.entries(settings).every(([key, value]) => now[key] === value);
}

interface Figure {
  path: string;
  name: string;
  of: (result: RunResult) => number;
  text: (value: number) => string;
  higherIsBetter?: true;
}

/** What can be improved, the most telling first. */
const figures: readonly Figure[] = [
  {
    path: 'requests.finished',
    name: 'requests served',
    of: (r) => r.requests.finished,
    text: thousands,
    higherIsBetter: true,
  },
  { path: 'latency.e2eSeconds.mean', name: 'mean latency', of: (r) => r.latency.e2eSeconds.mean, text: seconds },
  { path: 'latency.ttftSeconds.p99', name: 'TTFT p99', of: (r) => r.latency.ttftSeconds.p99, text: seconds },
  {
    path: 'throughput.outputTokensPerSecond',
    name: 'output tokens/s',
    of: (r) => r.throughput.outputTokensPerSecond,
    text: rate,
    higherIsBetter: true,
  },
];
const besides: readonly Figure[] = [
  {
    path: 'preemptions.recompute',
    name: 'preemptions',
    of: (r) => r.preemptions.recompute + r.preemptions.swap,
    text: thousands,
  },
  {
    path: 'memory.peakUtilization',
    name: 'peak use',
    of: (r) => r.memory.peakUtilization,
    text: (value) => percent(value),
  },
];

function adviceOf(
  settings: Settings,
  { result: before }: AdviceInput,
  after: RunResult,
): { advice: Advice; gain: number }[] {
  const gains = figures.map((figure) => ({ figure, gain: gainOf(figure, before, after) }));
  // More requests served is worth longer times; otherwise nothing may get clearly worse but the slowest first tokens.
  const servesMore = after.requests.finished > before.requests.finished;
  const worse = gains.some(({ figure, gain }) => gain < -worthwhile && figure.path !== 'latency.ttftSeconds.p99');
  if (worse && !servesMore) return [];
  const best = servesMore ? gains[0]! : gains.find(({ gain }) => gain >= worthwhile);
  if (!best) return [];
  const { figure } = best;
  const flags = Object.entries(settings).map(([key, value]) => ({ flag: `--${key}`, value: String(value) }));
  const moved = [
    figure,
    ...[...figures, ...besides].filter(
      (other) => other !== figure && Math.abs(gainOf(other, before, after)) >= worthwhile,
    ),
  ];
  return [
    {
      // Requests that were turned away come before any time.
      gain: best.gain + (servesMore ? 1e6 : 0),
      advice: {
        change: `${flags.map(({ flag, value }) => `${flag} ${value}`).join(' ')}${'kv-cache-dtype' in settings ? ' (8-bit cache: check the quality of answers)' : ''}`,
        flags,
        figure: figure.path,
        before: figure.of(before),
        after: figure.of(after),
        effect: moved.map(({ name, of, text }) => `${name} ${text(of(before))} -> ${text(of(after))}`).join(', '),
      },
    },
  ];
}

/** Share by which a figure gets better. */
function gainOf({ of, higherIsBetter }: Figure, before: RunResult, after: RunResult): number {
  const from = of(before);
  const to = of(after);
  if (from === to) return 0;
  const change = (to - from) / Math.max(Math.abs(from), 1e-12);
  return higherIsBetter ? change : -change;
}
