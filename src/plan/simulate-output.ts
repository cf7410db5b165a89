// The JSON envelope of `vram simulate`: what was asked (resolved), the result of one run or of several, the diagnostics. It adds
// to a RunResult only what says which run it is and what running it again with one change would give.
import type { Diagnostic } from '../diagnostics.ts';
import type { CurvePoint, RunResult } from '../sim/result.ts';
import { type Envelope, envelope, type PlanInputEcho } from './output.ts';

/** Options of a run that a sweep may vary, by their name on the command line without the dashes. */
export type Settings = Readonly<Record<string, number | string>>;

export interface WorkloadEcho {
  /** As given on the command line. */
  ref: string;
  name: string;
  format: string;
  requests: number;
  promptTokens: number;
  outputTokens: number;
  maxPromptTokens: number;
  maxOutputTokens: number;
  /** From time 0 to the last arrival, after the rate was applied; 0 in a closed loop. */
  spanSeconds: number;
  /** Unfinished requests at a time, in a closed loop. */
  concurrency: number | null;
  /** What --rate does to the arrivals: "2x", "10/s"; null: as they are. */
  rate: string | null;
  /** Requests per second as it runs; null without arrivals. */
  requestsPerSecond: number | null;
  /** Rows of a trace and how many of them were bad; null for a synthetic workload. */
  rows: number | null;
  rejectedRows: number | null;
}

export interface SimulateInputEcho {
  model: PlanInputEcho['model'] | null;
  gpu: PlanInputEcho['gpu'] | null;
  engine: PlanInputEcho['engine'];
  parallel: PlanInputEcho['parallel'] | null;
  workload: WorkloadEcho;
  /** Where the number of blocks comes from. */
  poolSource: 'plan' | 'option' | 'run-config' | 'none';
  seed: number;
}

export interface Advice {
  /** In words, e.g. "--max-num-seqs 128". */
  change: string;
  flags: { flag: string; value: string }[];
  /** Path of the figure in the result. */
  figure: string;
  before: number;
  after: number;
  /** The figure before and after, in words. */
  effect: string;
}

/** One run among several. */
export interface NamedRun extends RunResult {
  policy: string;
  eviction: string;
  settings: Settings;
  /** What a run of a file states that `counters` should be. */
  expected?: Readonly<Record<string, number>>;
}

/** A run that the engine would not start, or that cannot be simulated. */
export interface RefusedRun {
  policy: string;
  settings: Settings;
  reason: string;
}

export interface RateTrial {
  /** Factor on the arrivals of the workload. */
  scale: number;
  requestsPerSecond: number;
  holds: boolean;
  /** Value of each objective's figure, in the order of `slo`. */
  values: number[];
}

export interface MaxRate {
  slo: string[];
  /** The highest rate found that holds; null when none of those tried does. */
  scale: number | null;
  requestsPerSecond: number | null;
  /** The lowest rate found that does not hold; null when every one tried does. */
  failsAtScale: number | null;
  trials: RateTrial[];
}

export type SingleRun = NamedRun & { advice: Advice[]; maxRate?: MaxRate };
export interface SeveralRuns {
  runs: NamedRun[];
  refused: RefusedRun[];
}
export interface CurveResult {
  /** How hits are counted. */
  counting: string;
  curve: CurvePoint[];
}
type SimulateResult = SingleRun | SeveralRuns | CurveResult;

export type SimulateOutput<Result extends SimulateResult = SimulateResult> = Envelope<
  'simulate',
  SimulateInputEcho,
  Result
>;

export function simulateOutput(
  input: SimulateInputEcho,
  result: SimulateResult,
  diagnostics: readonly Diagnostic[],
): SimulateOutput {
  return envelope('simulate', input, result, diagnostics);
}

/** Every run of a result, in order; none for a curve. */
export function runsOf(result: SimulateResult): readonly NamedRun[] {
  if ('runs' in result) return result.runs;
  return 'curve' in result ? [] : [result];
}

/** Each integer that is not what a run states it should be, in words. */
export function differencesOf({ counters = {}, expected = {} }: NamedRun): string[] {
  return Object.entries(expected)
    .filter(([name, value]) => counters[name] !== value)
    .map(([name, value]) => `${name} ${counters[name] ?? 'not counted'} instead of ${value}`);
}

/** What sets runs apart: the names of what differs between them, and each run's values of it. */
export function distinctions(runs: readonly NamedRun[]): { keys: string[]; values: string[][] } {
  const differs = (of: (run: NamedRun) => string): boolean => new Set(runs.map(of)).size > 1;
  const settings = [...new Set(runs.flatMap((run) => Object.keys(run.settings)))];
  const columns: { key: string; of: (run: NamedRun) => string }[] = settings.map((key) => ({
    key,
    of: (run) => String(run.settings[key] ?? ''),
  }));
  const evictions = { key: 'eviction', of: (run: NamedRun) => run.eviction };
  const policies = { key: 'policy', of: (run: NamedRun) => run.policy };
  if (differs(evictions.of) && !settings.includes('eviction')) columns.unshift(evictions);
  if (differs(policies.of) || columns.length === 0) columns.unshift(policies);
  return { keys: columns.map(({ key }) => key), values: runs.map((run) => columns.map(({ of }) => of(run))) };
}
