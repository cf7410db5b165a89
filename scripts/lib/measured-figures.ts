// The figures in which a simulated run is compared with the measured one: means over requests of time to first token, time per output
// token and end-to-end latency, the makespan, and the curves of cache use and queues. Times count from queued_ts, when the
// engine's core received the request.
import type { RequestTimes } from '../../src/sim/run/clock.ts';
import type { Workload } from '../../src/sim/types.ts';

export interface MeasuredRequest {
  queued_ts: number;
  first_token_ts: number;
  last_token_ts: number;
  output_toks: number;
}

export interface SeriesRow {
  t: number;
  running: number;
  waiting: number;
  kvPercent: number;
}

export interface Sample {
  time: number;
  running: number;
  waiting: number;
  kvPercent: number;
}

export interface Comparison {
  figure: string;
  observed: number;
  simulated: number;
  /** Relative for times and counts, in points for the cache; null: nothing was observed. */
  error: number | null;
  unit: 's' | 'ms' | 'points' | 'share';
}

interface ComparedRun {
  workload: Workload;
  times: RequestTimes;
  samples: readonly Sample[];
  observed: readonly MeasuredRequest[];
  series: readonly SeriesRow[];
}

interface Request {
  ttft: number;
  tpot: number;
  latency: number;
  end: number;
}

export function compareRun({ workload, times, samples, observed, series }: ComparedRun): Comparison[] {
  const start = Math.min(...observed.map(({ queued_ts }) => queued_ts));
  const real = observed.map(({ queued_ts, first_token_ts, last_token_ts, output_toks }) =>
    requestOf(queued_ts - start, first_token_ts - start, last_token_ts - start, output_toks),
  );
  const begin = Math.min(...times.arrival);
  const simulated = workload.requests.map(({ outputTokens }, i) =>
    requestOf(times.arrival[i]! - begin, times.first[i]! - begin, times.finish[i]! - begin, outputTokens),
  );
  const pair = (figure: string, unit: 's' | 'ms', of: (requests: readonly Request[]) => number): Comparison => {
    const [a, b] = [of(real), of(simulated)];
    return { figure, observed: a, simulated: b, error: b / a - 1, unit };
  };
  return [
    pair('TTFT mean', 's', (all) => mean(all.map(({ ttft }) => ttft))),
    pair('TTFT p99', 's', (all) => percentile(all.map(({ ttft }) => ttft))),
    pair('TPOT mean', 'ms', (all) => 1000 * mean(all.flatMap(({ tpot }) => (Number.isNaN(tpot) ? [] : [tpot])))),
    pair('latency mean', 's', (all) => mean(all.map(({ latency }) => latency))),
    pair('latency p99', 's', (all) => percentile(all.map(({ latency }) => latency))),
    pair('makespan', 's', (all) => Math.max(...all.map(({ end }) => end))),
    ...curves(series, samples, begin),
  ];
}

function requestOf(arrival: number, first: number, last: number, tokens: number): Request {
  return {
    ttft: first - arrival,
    tpot: tokens > 1 ? (last - first) / (tokens - 1) : Number.NaN,
    latency: last - arrival,
    end: last,
  };
}

/**
 * The engine's logger keeps the state after each step's output; a row holds the last one before t. Its clock starts when the server is
 * up, a moment before the first request; the difference is not recorded and taken as nothing.
 */
function curves(series: readonly SeriesRow[], samples: readonly Sample[], begin: number): Comparison[] {
  const sampled = series.map(({ t }) => lastBefore(samples, t + begin));
  const queue = (figure: string, key: 'running' | 'waiting'): Comparison => {
    const total = series.reduce((sum, row) => sum + row[key], 0);
    const difference = series.reduce((sum, row, i) => sum + Math.abs(row[key] - sampled[i]![key]), 0);
    return {
      figure,
      observed: total / series.length,
      simulated: mean(sampled.map((sample) => sample[key])),
      error: total === 0 ? null : difference / total,
      unit: 'share',
    };
  };
  const isRecorded = series.some(({ kvPercent }) => kvPercent > 0);
  return [
    {
      figure: 'KV cache use',
      observed: mean(series.map(({ kvPercent }) => kvPercent)),
      simulated: mean(sampled.map(({ kvPercent }) => kvPercent)),
      error: isRecorded ? mean(series.map((row, i) => Math.abs(row.kvPercent - sampled[i]!.kvPercent))) : null,
      unit: 'points',
    },
    queue('running', 'running'),
    queue('waiting', 'waiting'),
  ];
}

const nothing: Sample = { time: 0, running: 0, waiting: 0, kvPercent: 0 };

/** The server is empty before the first and after the last sample. */
function lastBefore(samples: readonly Sample[], time: number): Sample {
  let low = 0;
  let high = samples.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (samples[middle]!.time < time) low = middle + 1;
    else high = middle;
  }
  return low === samples.length ? nothing : (samples[low - 1] ?? nothing);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function percentile(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(0.99 * sorted.length) - 1)]!;
}
