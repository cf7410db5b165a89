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

interface Emptiness {
  why: string;
  line: number;
  hint: string;
}

export class TraceReport {
  rows = 0;
  rejected = 0;
  readonly #named: Diagnostic[] = [];
  readonly #notes: Diagnostic[] = [];
  readonly #tallies = new Map<string, Tally>();
  /** What there is to say when no row comes. */
  empty: Emptiness = {
    why: 'the list is empty',
    line: 1,
    hint: 'conversations stand in a list: [{"conversations": [...]}, ...]',
  };
  /** Models of rows that were left out because another one was asked for. */
  readonly otherModels = new Set<string>();

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
    const file = printable(this.file);
    const nothing = this.rows === 0 ? this.empty : this.rejected === 0 ? this.#allLeftOut() : undefined;
    const bad = `${thousands(this.rejected)} of ${counted(this.rows, 'row')} bad`;
    const why = nothing?.why ?? `${bad}: a trace is refused when more than half are, or nothing is left`;
    const cut = this.#named.length > 0 && this.#named.every(({ code }) => code === 'VRAM605');
    const summary: Diagnostic = {
      severity: 'error',
      code: this.rows === 0 ? 'VRAM601' : 'VRAM607',
      message: `${file}: ${why}`,
      path: nothing ? `${file}:${nothing.line}` : file,
      hint: nothing?.hint ?? (cut ? oneRequestALine : 'correct these rows, or leave them out'),
    };
    const named = this.#named.map((diagnostic) => ({ ...diagnostic, severity: 'error' as const }));
    throw new InputError([summary, ...named, ...(requests === 0 && !nothing ? this.#notes : [])]);
  }

  /** Good rows, none of which is a request. */
  #allLeftOut(): Emptiness {
    const line = (what: string): number => this.#tallies.get(what)?.lines[0] ?? 1;
    const models = [...this.otherModels].map((name) => printable(name, 40)).join(', ');
    if (this.tallied('otherModel') > 0) {
      const hint = models === '' ? 'leave the model out' : `models of the trace: ${models}`;
      return { why: 'no row is of the model that is asked for', line: line('otherModel'), hint };
    }
    if (this.tallied('failed') > 0) {
      const hint = 'take a trace with requests that were answered';
      return { why: 'every request failed (response 0)', line: line('failed'), hint };
    }
    const hint = 'a turn "from" human or user comes first, then one "from" gpt or assistant';
    return { why: 'no conversation has a question and its answer', line: line('unanswered'), hint };
  }

  #more(): Diagnostic[] {
    if (this.rejected <= this.#named.length) return [];
    const message = `${thousands(this.rejected)} of ${thousands(this.rows)} rows were rejected; the first ${maxNamed} are named`;
    return [{ severity: 'warning', code: 'VRAM606', message, path: printable(this.file) }];
  }
}

const oneRequestALine = 'a trace has one request a line: a line of CSV, or one JSON object';

/** 1 row, 2 rows. */
export function counted(count: number, noun: string): string {
  return `${thousands(count)} ${noun}${count === 1 ? '' : 's'}`;
}
