// Reads a trace file or standard input into a workload, row by row: finds the format, hands rows to its reader, collects what
// is wrong. The whole file is never in memory, only the requests.
import type { Diagnostic } from '../../diagnostics.ts';
import { inputError } from '../../diagnostics.ts';
import { thousands } from '../../numbers.ts';
import type { Workload } from '../../sim/types.ts';
import { WorkloadBuilder } from '../../sim/workload/builder.ts';
import { printable } from '../names.ts';
import { csvFormats } from './csv-formats.ts';
import { containerOf, formatOf, knownFormats } from './detect.ts';
import type { JsonRow, ReadContext, RowReader, TraceFormat, TraceFormatId } from './format.ts';
import { forEachElement } from './json-array.ts';
import { jsonFormats } from './json-formats.ts';
import { forEachLine } from './lines.ts';
import { counted, RowProblem, TraceReport } from './report.ts';
import { openSource, type TraceContext, type TraceSource } from './source.ts';

export interface TraceOptions {
  /** Only the first so many requests of the file. */
  limit?: number;
  thinkSeconds?: number;
  model?: string;
  /** Parallel samples, or beams, of every request that states none. */
  samples?: number;
  beamWidth?: number;
  /** The option that named the file, for messages. */
  option?: string;
}

export interface Trace {
  workload: Workload;
  diagnostics: Diagnostic[];
  format: TraceFormatId;
  title: string;
  rows: number;
  rejected: number;
  /** The trace states when requests arrive; otherwise all arrivals are 0. */
  hasArrivals: boolean;
  /** Tokens of one hash id, for traces that have them. */
  blockTokens?: number;
  /** Row order, where requests were not in order of time: fileOrder[i] is the row of request i. */
  fileOrder?: number[];
}

/** A simulation of more requests would not end within a day, and its requests not fit into memory. */
const maxRequests = 5_000_000;
/** Lines looked at to find the keys of JSON lines. */
const maxKeyLines = 20;

export async function readTrace(path: string, context: TraceContext, options: TraceOptions = {}): Promise<Trace> {
  const file = path === '-' ? 'standard input' : path;
  const source = await openSource(path, context, options.option ?? '--workload');
  try {
    const reading = new Reading(file, options);
    const container = containerOf(source.head, file, source.blankLines);
    if (container === 'csv') await readCsv(source, file, reading);
    else await readJson(source, file, reading, container === 'json' ? forEachElement : forEachLine);
    return reading.finish();
  } finally {
    source.close();
  }
}

type Cutter = typeof forEachLine;

async function readCsv({ chunks, blankLines }: TraceSource, file: string, reading: Reading): Promise<void> {
  const { parse } = await import('csv-parse/sync');
  // A line of a trace is a record; csv-parse is asked where quotes are, a plain line is split.
  const cellsOf = (text: string): string[] => {
    if (!text.includes('"')) return text.split(',');
    try {
      return (parse(text, { relax_column_count: true }) as string[][])[0] ?? [];
    } catch {
      throw new RowProblem('VRAM605', 'the quotes of the line do not match');
    }
  };
  let reader: RowReader<readonly string[]> | undefined;
  await forEachLine(
    chunks,
    file,
    (raw, line) => {
      const text = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
      if (text.trim() === '') return true;
      if (reader) {
        const ready = reader;
        return reading.row(line, () => ready.row(cellsOf(text), line));
      }
      const header = headerOf(text, cellsOf);
      const format = formatOf(csvFormats, header, file, line);
      const places = header.map((name) => name.toLowerCase());
      const begun = reading.begin(format);
      begun.report.empty = { why: 'there is a header and no row', line, hint: 'a request is a line below the header' };
      reader = format.reader(begun, (name) => places.indexOf(name.toLowerCase()));
      reading.done = reader.done;
      return true;
    },
    blankLines,
  );
}

function headerOf(text: string, cellsOf: (text: string) => string[]): string[] {
  const plain = text.replace(/^\ufeff/, '');
  try {
    return cellsOf(plain).map((name) => name.trim());
  } catch {
    return plain.split(',').map((name) => name.trim());
  }
}

async function readJson(
  { chunks, blankLines }: TraceSource,
  file: string,
  reading: Reading,
  cut: Cutter,
): Promise<void> {
  let reader: RowReader<JsonRow> | undefined;
  await cut(
    chunks,
    file,
    (raw, line) => {
      const text = line === 1 ? raw.replace(/^\ufeff/, '') : raw;
      if (text.trim() === '') return true;
      return reading.row(line, () => {
        const row = objectOf(text);
        if (!reader) {
          const format = formatOf(jsonFormats, Object.keys(row), file, line);
          reader = format.reader(reading.begin(format));
          reading.done = reader.done;
        }
        reader.row(row, line);
      });
    },
    blankLines,
  );
  if (!reader) reading.refuseUnknown();
}

function objectOf(text: string): JsonRow {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new RowProblem('VRAM605', `not a JSON value: ${shorten(text)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RowProblem('VRAM605', `not a JSON object: ${shorten(text)}`);
  }
  return value as JsonRow;
}

function shorten(text: string): string {
  const end = text.trimEnd();
  return end.length <= 60 ? end : `${end.slice(0, 30)} ... ${end.slice(-20)}`;
}

/** One reading: counts rows, catches bad ones, stops at the limit. */
class Reading {
  readonly #report: TraceReport;
  #format: TraceFormat | undefined;
  #builder = new WorkloadBuilder(false);
  done: (() => void) | undefined;

  constructor(
    readonly file: string,
    readonly options: TraceOptions,
  ) {
    this.#report = new TraceReport(file);
  }

  begin(format: TraceFormat): ReadContext {
    this.#format = format;
    const { thinkSeconds, model, samples, beamWidth } = this.options;
    const extras = format.extras === true || samples !== undefined || beamWidth !== undefined;
    this.#builder = new WorkloadBuilder(extras, { samples, beamWidth });
    return { builder: this.#builder, report: this.#report, thinkSeconds, model };
  }

  /** Reads one row; false when enough was read. */
  row(line: number, read: () => void): boolean {
    const report = this.#report;
    report.rows++;
    try {
      read();
    } catch (error) {
      if (!(error instanceof RowProblem)) throw error;
      report.reject(line, error.code, error.message);
      if (!this.#format && report.rows >= maxKeyLines) this.refuseUnknown();
    }
    if (this.#builder.size > maxRequests) {
      throw inputError('VRAM618', `${printable(this.file)} has more than ${thousands(maxRequests)} requests`, {
        hint: 'take a part with --limit',
        path: `${printable(this.file)}:${line}`,
      });
    }
    return this.#builder.size < (this.options.limit ?? Number.POSITIVE_INFINITY);
  }

  /** No row told what the file is. */
  refuseUnknown(): never {
    this.#report.finish(0);
    throw inputError('VRAM602', `${printable(this.file)} is no known trace`, {
      path: printable(this.file),
      hint: knownFormats,
    });
  }

  finish(): Trace {
    const format = this.#format;
    const report = this.#report;
    if (!format) return this.refuseUnknown();
    this.done?.();
    const requests = this.#builder.requests;
    const hasArrivals = requests.length > 0 && !Number.isNaN(requests[0]!.arrival);
    if (!hasArrivals) for (const request of requests) request.arrival = 0;
    report.tell('zeroOutput', 'VRAM610', 'request', 'without a generated token: taken as 1, what a prefill gives');
    report.tell('otherModel', 'VRAM609', 'row', 'of other models left out');
    const assembled = this.#builder.finish({ fromZero: hasArrivals && !format.keepsTimes });
    if (assembled.moved > 0) {
      report.note(
        'VRAM608',
        `${counted(assembled.moved, 'row')} out of order: sorted by arrival, equal times as in the file`,
      );
    }
    const diagnostics = report.finish(assembled.requests.length);
    return {
      workload: { requests: assembled.requests },
      diagnostics,
      format: format.id,
      title: format.title,
      rows: report.rows,
      rejected: report.rejected,
      hasArrivals,
      ...(format.blockTokens ? { blockTokens: format.blockTokens } : {}),
      ...(assembled.fileOrder ? { fileOrder: assembled.fileOrder } : {}),
    };
  }
}
