// Collects what is wrong with the rows of a trace: bad rows are rejected and counted, the first ones named with their line;
// when more than half are bad the whole trace is refused. What is wrong with a row is the readers' business.
import { type Diagnostic, InputError } from '../../diagnostics.ts';
import { thousands } from '../../numbers.ts';
import type { WorkloadCode } from '../../sim/workload/codes.ts';
import { printable } from '../names.ts';

/** A row that cannot be used; the reader of rows catches it. */
export class RowProblem extends Error {
  constructor(
    readonly code: WorkloadCode,
    message: string,
  ) {
    super(message);
  }
}

/** Rejected rows that are named one by one; of further ones only the number is told. */
const maxNamed = 10;
/** After so many rows a trace that is mostly bad is not read to its end. */
const judgedRows = 10_000;

interface Tally {
  count: number;
  lines: number[];
}

export class TraceReport {
  rows = 0;
  rejected = 0;
  readonly #named: Diagnostic[] = [];
  readonly #notes: Diagnostic[] = [];
  readonly #tallies = new Map<string, Tally>();

  constructor(readonly file: string) {}

  reject(line: number, code: WorkloadCode, message: string): void {
    this.rejected++;
    if (this.#named.length < maxNamed) {
      this.#named.push({
        severity: 'warning',
        code,
        message: `row rejected: ${printable(message, 200)}`,
        path: `${printable(this.file)}:${line}`,
      });
    }
    if (this.rows >= judgedRows) this.#judge();
  }

  /** Counts something that happens to many rows; tell() makes one note of it. */
  tally(what: string, line: number): void {
    const tally = this.#tallies.get(what) ?? { count: 0, lines: [] };
    this.#tallies.set(what, tally);
    tally.count++;
    if (tally.lines.length < 5) tally.lines.push(line);
  }

  tallied(what: string): number {
    return this.#tallies.get(what)?.count ?? 0;
  }

  /** One note of what was tallied, when there was any. */
  tell(what: string, code: WorkloadCode, noun: string, rest: string): void {
    const tally = this.#tallies.get(what);
    if (!tally) return;
    const more = tally.count > tally.lines.length ? ', ...' : '';
    const where = `line${tally.count === 1 ? '' : 's'} ${tally.lines.join(', ')}${more}`;
    this.note(code, `${counted(tally.count, noun)} ${rest} (${where})`);
  }

  note(code: WorkloadCode, message: string, hint?: string): void {
    this.#notes.push({ severity: 'note', code, message, ...(hint ? { hint } : {}), path: printable(this.file) });
  }

  /** What to tell of a trace that was read; throws when it is to be refused. */
  finish(requests: number): Diagnostic[] {
    if (this.rejected * 2 > this.rows || requests === 0) this.#refuse(requests);
    return [...this.#named, ...this.#more(), ...this.#notes];
  }

  #judge(): void {
    if (this.rejected * 2 > this.rows) this.#refuse(1);
  }

  #refuse(requests: number): never {
    const bad = `${thousands(this.rejected)} of ${counted(this.rows, 'row')} bad`;
    const why =
      this.rejected > 0
        ? `${bad}: a trace is refused when more than half are, or nothing is left`
        : this.rows === 0
          ? 'there is a header and no row'
          : 'no row holds a request';
    const summary: Diagnostic = {
      severity: 'error',
      code: this.rows === 0 ? 'VRAM601' : 'VRAM607',
      message: `${printable(this.file)}: ${why}`,
      path: printable(this.file),
      ...(this.#named.length > 0 && this.#named.every(({ code }) => code === 'VRAM605')
        ? { hint: 'a trace has one request a line: a line of CSV, or one JSON object' }
        : {}),
    };
    const named = this.#named.map((diagnostic) => ({ ...diagnostic, severity: 'error' as const }));
    throw new InputError([summary, ...named, ...(requests === 0 ? this.#notes : [])]);
  }

  #more(): Diagnostic[] {
    if (this.rejected <= this.#named.length) return [];
    const message = `${thousands(this.rejected)} of ${thousands(this.rows)} rows were rejected; the first ${maxNamed} are named`;
    return [{ severity: 'warning', code: 'VRAM606', message, path: printable(this.file) }];
  }
}

/** 1 row, 2 rows. */
export function counted(count: number, noun: string): string {
  return `${thousands(count)} ${noun}${count === 1 ? '' : 's'}`;
}
