// What `vram compare` answers: one row per combination, nested as `plan` has its figures, and the columns that name them. It knows
// neither how rows come about nor how they are shown.
import type { Envelope } from '../output.ts';
import type { RowDiff } from './diff.ts';
import type { ReleaseChange } from './rule-changes.ts';
import type { ScenarioResult } from './scenario-output.ts';

export const columnUnits = ['GiB', 'MiB', 'tokens', 'count', 'USD/h', 'USD/M', 'tokens/s', 's', '%'] as const;
export type ColumnUnit = (typeof columnUnits)[number];

export interface CompareColumn {
  /** Dotted path into a row. A key that ends in `Bytes` or `bytes` holds bytes, whatever unit they are shown in. */
  key: string;
  title: string;
  unit: ColumnUnit | null;
  /** Which way is better; null where neither is. */
  better: 'more' | 'less' | null;
  estimate: boolean;
  description: string;
}

export interface CompareRow {
  id: string;
  model: string;
  gpu: string;
  gpus: number;
  engine: string;
  quantization: string;
  verdict: { fits: boolean; reason: string | null; refusal?: string | null; [key: string]: unknown };
  pareto?: boolean;
  [key: string]: unknown;
}

export interface CompareResult {
  /** Combinations planned, those that fit, those that meet the filter. */
  combinations: { planned: number; fitting: number; kept: number };
  columns: CompareColumn[];
  /** In the order asked for, at most --top of them. */
  rows: CompareRow[];
  /** The rows that no other row beats in all of `columns`, by index. */
  pareto: { columns: string[]; rows: number[] } | null;
  /** --group-by: the rows of each value, the best first. */
  groups?: { column: string; values: { value: string | number | boolean | null; fitting: number; rows: number[] }[] };
  /** --diff: against the first combination or a baseline file. */
  diff?: { baseline: string; rows: RowDiff[]; releases: ReleaseDiff[] };
  /** --for: what a scenario recommends. */
  scenario?: ScenarioResult;
}

/** What an upgrade moves for one combination, and which rule moves it. */
export interface ReleaseDiff extends ReleaseChange {
  id: string;
}

export type CompareOutput = Envelope<'compare', Record<string, unknown>, CompareResult>;
