// Files beside the result: the timeline as CSV, SVG or HTML, one CSV line a request, events as JSON lines. Each is complete or not
// there: written to a neighbour first, then renamed.
import { closeSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { extname } from 'node:path';
import { inputError, VramError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { printable } from '../load/names.ts';
import { writeTarget } from '../load/write.ts';
import { runsOf, type SimulateOutput } from '../plan/simulate-output.ts';
import { csvText } from '../render/flat.ts';
import { timelineCsv } from '../render/simulate-flat.ts';
import { titleOf } from '../render/simulate-text.ts';
import type { SimEvent } from '../sim/events.ts';
import type { PerRequest } from '../sim/result.ts';
import type { Workload } from '../sim/types.ts';
import { writeOutput } from './output.ts';

const timelineForms = ['.csv', '.svg', '.html'] as const;

/** Refuses a name that says no form, before anything runs. */
export function checkTimeline(file: string | undefined): void {
  if (file === undefined || timelineForms.some((form) => form === extname(file).toLowerCase())) return;
  throw inputError('VRAM664', `--timeline takes a file that ends in .csv, .svg or .html, not ${JSON.stringify(file)}`, {
    hint: 'e.g. --timeline memory.svg',
    path: '--timeline',
  });
}

export async function writeTimeline(file: string, output: SimulateOutput, io: Io): Promise<void> {
  const runs = runsOf(output.result);
  switch (extname(file).toLowerCase()) {
    case '.svg':
      return writeOutput(
        await (await import('../render/simulate-chart.ts')).timelineSvg(runs, titleOf(output)),
        file,
        io,
      );
    case '.html':
      return writeOutput(await (await import('../render/simulate-html.ts')).timelineHtml(output), file, io);
    default:
      return writeOutput(timelineCsv(runs), file, io);
  }
}

/** Longer ids are cut. */
const longestId = 200;

const requestColumns = [
  'id',
  'arrival',
  'promptTokens',
  'outputTokens',
  'firstToken',
  'finish',
  'ttftSeconds',
  'tpotSeconds',
  'e2eSeconds',
  'preemptions',
  'rejected',
];

interface Requests {
  workload: Workload;
  perRequest: PerRequest;
  fileOrder?: readonly number[] | undefined;
}

/** One line a request in the order of the file; times in seconds, empty where they never came. */
export function perRequestCsv(workload: Workload, perRequest: PerRequest, fileOrder?: readonly number[]): string {
  return csvText([requestColumns, ...requestRows({ workload, perRequest, fileOrder })]);
}

/** The same for several models, with a column that says which. */
export function modelRequestsCsv(models: readonly (Requests & { model: string })[]): string {
  const rows = models.flatMap(({ model, ...one }) =>
    requestRows(one).map((row) => [printable(model, longestId), ...row]),
  );
  return csvText([['model', ...requestColumns], ...rows]);
}

function requestRows({ workload: { requests }, perRequest, fileOrder }: Requests): (string | number)[][] {
  const { generated, arrival, firstToken, finish, preemptions, rejected } = perRequest;
  const time = (value: number): number | string => (Number.isNaN(value) ? '' : value);
  const rows = requests.map((request, i) => [
    printable(request.id, longestId),
    time(arrival[i]!),
    request.promptTokens,
    generated[i]!,
    time(firstToken[i]!),
    time(finish[i]!),
    time(firstToken[i]! - arrival[i]!),
    generated[i]! > 1 ? time((finish[i]! - firstToken[i]!) / (generated[i]! - 1)) : '',
    time(finish[i]! - arrival[i]!),
    preemptions[i]!,
    rejected.get(i) ?? '',
  ]);
  return fileOrder ? inOrder(rows, fileOrder) : rows;
}

function inOrder<Row>(rows: readonly Row[], fileOrder: readonly number[]): Row[] {
  return rows
    .map((row, i) => ({ row, place: fileOrder[i] ?? i }))
    .sort((a, b) => a.place - b.place)
    .map(({ row }) => row);
}

/**
 * Writes event by event; `end` puts the file in its place, `abandon` leaves nothing. Until then it has no name, so that a run that
 * is interrupted leaves nothing either: a run is one long computation, in which no signal is heard.
 */
export class EventFile {
  private readonly path: string;
  private readonly temporary: string | undefined;
  private readonly handle: number;
  private lines: string[] = [];

  constructor(private readonly file: string) {
    if (file === '')
      throw inputError('VRAM167', '--events names no file', { hint: 'e.g. --events events.jsonl', path: '--events' });
    const target = this.guarded(() => writeTarget(file));
    this.path = target.path;
    this.temporary = target.temporary;
    this.handle = this.guarded(() => openSync(target.temporary ?? target.path, target.temporary ? 'wx+' : 'w'));
    this.abandon();
  }

  readonly add = (event: SimEvent): void => {
    this.lines.push(JSON.stringify(event));
    if (this.lines.length >= 10_000) this.flush();
  };

  end(): void {
    this.flush();
    this.guarded(() => {
      if (this.temporary) {
        const named = openSync(this.temporary, 'wx');
        copyAll(this.handle, named);
        closeSync(named);
        renameSync(this.temporary, this.path);
      }
      closeSync(this.handle);
    });
  }

  abandon(): void {
    if (this.temporary) rmSync(this.temporary, { force: true });
  }

  private flush(): void {
    if (this.lines.length === 0) return;
    const text = `${this.lines.join('\n')}\n`;
    this.lines = [];
    this.guarded(() => {
      writeAll(this.handle, Buffer.from(text));
    });
  }

  private guarded<Value>(act: () => Value): Value {
    try {
      return act();
    } catch (error) {
      this.abandon();
      const { code, message } = error as NodeJS.ErrnoException;
      throw new VramError(
        'VRAM301',
        `cannot write ${this.file}: ${code ?? message}`,
        'check that the directory exists and can be written',
        { cause: error },
      );
    }
  }
}

function writeAll(handle: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at);
}

function copyAll(from: number, to: number): void {
  const buffer = Buffer.alloc(2 ** 20);
  for (let at = 0; ; ) {
    const count = readSync(from, buffer, 0, buffer.length, at);
    if (count === 0) return;
    writeAll(to, buffer.subarray(0, count));
    at += count;
  }
}
