// A workload as it comes from a trace, a preset or an inline form, before the command's rate, duration and repetition act on it.
import type { Diagnostic } from '../../diagnostics.ts';
import type { Workload } from '../../sim/types.ts';
import type { Rate } from '../../spec/simulation-values.ts';
import type { TraceFormatId } from './format.ts';

export interface WorkloadOptions {
  seed?: number;
  rate?: Rate;
  /** Closed loop instead of the arrivals. */
  concurrency?: number;
  /** Only the first so many requests (rows of a trace). */
  limit?: number;
  /** Only arrivals within so many seconds, after the rate was changed. */
  durationSeconds?: number;
  repeat?: number;
  /** Parallel samples, or beams, of every request. */
  samples?: number;
  beamWidth?: number;
  /** Pause before follow-up turns of a trace that states none. */
  thinkSeconds?: number;
  /** Only one model's rows of a trace with several. */
  model?: string;
  /** Arrivals do not matter: a trace without them is as good. */
  timeless?: boolean;
  option?: string;
}

/** With the option's name filled in, for messages. */
export type Given = WorkloadOptions & { option: string };

/** A workload before rate, concurrency, repetition and duration. */
export interface Base {
  workload: Workload;
  diagnostics: Diagnostic[];
  title: string;
  format: TraceFormatId | 'synthetic';
  rows: number | null;
  rejected: number | null;
  blockTokens: number | null;
  fileOrder?: readonly number[];
  rate: number | undefined;
  hasArrivals: boolean;
}
