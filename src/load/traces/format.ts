// What a trace format is to the reading machinery: the columns or keys it is known by, and a reader of single rows. One format
// is one entry; how files are cut into rows is not known here.
import type { WorkloadBuilder } from '../../sim/workload/builder.ts';
import type { TraceReport } from './report.ts';

const traceFormats = [
  'azure',
  'burstgpt',
  'vidur',
  'prism',
  'mooncake',
  'bailian',
  'sharegpt',
  'measured',
  'vram',
] as const;
export type TraceFormatId = (typeof traceFormats)[number];

export interface ReadContext {
  builder: WorkloadBuilder;
  report: TraceReport;
  /** Pause before a follow-up turn, where the trace has conversations without times. */
  thinkSeconds?: number;
  /** Only rows of this model, where a trace has several. */
  model?: string;
}

export interface RowReader<Row> {
  /** Adds what the row asks for to the builder; throws RowProblem for a bad row. */
  row(row: Row, line: number): void;
  /** After the last row: what is known only then, and notes of the tallies. */
  done?(): void;
}

interface Common {
  id: TraceFormatId;
  /** What people call it. */
  title: string;
  /** Names that must be there; the inner list: one of these. */
  required: readonly (string | readonly string[])[];
  /** Requests carry priority, salt, turns, ... */
  extras?: boolean;
  /** Arrivals stay as stated; otherwise they count from the first one. */
  keepsTimes?: boolean;
  /** Tokens of one hash id. */
  blockTokens?: number;
}

export interface CsvFormat extends Common {
  container: 'csv';
  /** `column` gives the position of a column, -1 without it. */
  reader(context: ReadContext, column: (name: string) => number): RowReader<readonly string[]>;
}

export type JsonRow = Readonly<Record<string, unknown>>;

export interface JsonFormat extends Common {
  container: 'jsonl';
  reader(context: ReadContext): RowReader<JsonRow>;
}

export type TraceFormat = CsvFormat | JsonFormat;

/** A row without arrival time; whoever asked for the trace has to say how requests arrive. */
export const noArrival = Number.NaN;

/** Zero tokens cannot be generated: a prefill always gives one. */
export function atLeastOne(output: number, line: number, report: TraceReport): number {
  if (output > 0) return output;
  report.tally('zeroOutput', line);
  return 1;
}
