// What the page of a comparison is given: columns with their values, one name and one state per row. Shared by the program, which
// writes it, and the page, which reads it; text in it has its control characters already made visible.
import type { ColumnUnit } from '../../plan/compare/output.ts';

export type Value = number | string | boolean | null;

export interface PageColumn {
  key: string;
  title: string;
  unit: ColumnUnit | null;
  better: 'more' | 'less' | null;
  estimate: boolean;
  description: string;
  /** A choice has few values, a text many. */
  kind: 'number' | 'choice' | 'text';
  /** The figure shown is the value divided by this: bytes become GiB, shares percent. */
  scale: number;
  /** Whether the table shows it at first. */
  shown: boolean;
  /** One per row. */
  values: Value[];
}

/** `starts`: the engine starts, but the workload asked for does not fit. */
export type RowState = 'fits' | 'starts' | 'no';

export interface PageData {
  title: string;
  columns: PageColumn[];
  names: string[];
  states: RowState[];
  /** Why a row does not fit or does not hold the workload. */
  reasons: (string | null)[];
  /** Columns of the chart; null where no column holds figures. */
  axes: { x: number; y: number } | null;
}
