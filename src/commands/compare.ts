// `vram compare`: reads the command line, plans every combination, writes the rows in the form asked for. Glue only: lists are resolved in
// compare-lists.ts, rows made in compare-evaluate.ts, kept and ordered in compare-request.ts.
import { inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { openWhole } from '../load/write.ts';
import { cellsIn } from '../plan/compare/cells.ts';
import { worseThan } from '../plan/compare/diff.ts';
import { parseFilter } from '../plan/compare/filter.ts';
import { columnNamed } from '../plan/compare/names.ts';
import type { CompareOutput } from '../plan/compare/output.ts';
import { csvHead, csvLines } from '../render/compare-csv.ts';
import { compareHtml } from '../render/compare-html.ts';
import { compareMarkdown } from '../render/compare-markdown.ts';
import { scenarioMarkdown, scenarioText } from '../render/compare-scenario.ts';
import { compareTable } from '../render/compare-table.ts';
import { parseCommand } from './command.ts';
import {
  type CompareArguments,
  type CompareFormat,
  compareCommand,
  compareFormats,
  readCompareArguments,
} from './compare-arguments.ts';
import { compareRows, resolveCompare, streamCompare } from './compare-request.ts';
import { compareScenario } from './compare-scenario.ts';
import { withLongNames } from './llama-arguments.ts';
import { cannotWrite, checkOutput, dataText, formNamed, styleFor, tellDiagnostics, writeOutput } from './output.ts';

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const command = compareCommand(io);
  if (!(await parseCommand(command, withLongNames(argv)))) return 0;
  const args = readCompareArguments(command);
  const format = formNamed(args.format, compareFormats);
  args.format = format;
  checkCombination(args);
  checkOutput(args.output);
  const columns = args.columns?.split(',').map((word) => columnNamed(word, '--columns').key);
  for (const text of args.require) parseFilter(text, '--require');
  if (args.scenario !== undefined) return recommend(args, format, columns, io);
  const asked = await resolveCompare(args, io);
  if (passesThrough(args, format)) {
    const combinations = await streamed(args, io, (write) => streamCompare(asked, args, io, write));
    tellDiagnostics(asked.diagnostics, io);
    return combinations.fitting > 0 ? 0 : 1;
  }
  const output = await compareRows(asked, args, io);
  await writeOutput(await render(output, format, args, columns, io), args.output, io);
  if (format !== 'json' && format !== 'yaml' && format !== 'html') tellDiagnostics(output.diagnostics, io);
  return exitCode(output, args, io);
}

/** --for: the rows are those that a scenario recommends. */
async function recommend(
  args: CompareArguments,
  format: CompareFormat,
  columns: readonly string[] | undefined,
  io: Io,
): Promise<number> {
  const output = await compareScenario(args, io);
  const width = styleFor(args.output, io);
  const text =
    format === 'table'
      ? scenarioText(output, width)
      : format === 'markdown'
        ? scenarioMarkdown(output)
        : await render(output, format, args, columns, io);
  await writeOutput(text, args.output, io);
  if (format !== 'json' && format !== 'yaml' && format !== 'html') tellDiagnostics(output.diagnostics, io);
  return output.result.scenario!.deployments.length === 0 ? 1 : exitCode(output, args, io);
}

/** Rows of CSV that nobody wants ordered, chosen or compared need not be kept. */
function passesThrough(
  { sort, top, pareto, groupBy, diff, require }: CompareArguments,
  format: CompareFormat,
): boolean {
  const kept = [sort, top, pareto, groupBy, diff].some((option) => option !== undefined);
  return format === 'csv' && !kept && require.length === 0;
}

function checkCombination({ diff, maxChange, format, groupBy, pareto }: CompareArguments): void {
  const refuse = (message: string, hint: string, path: string): never => {
    throw inputError('VRAM713', message, { hint, path });
  };
  if (maxChange !== undefined && diff === undefined)
    refuse('--max-change needs --diff', 'add --diff baseline.json', '--max-change');
  if (diff !== undefined && (format === 'html' || format === 'csv'))
    refuse(`--diff has no form ${format}`, 'table, json, yaml or markdown', '--format');
  if (groupBy !== undefined && pareto !== undefined)
    refuse('--group-by and --pareto do not go together', 'use --filter with --pareto', '--group-by');
}

/** To standard output as fast as it is read there, or to a file that is complete or not there. */
async function streamed<Value>(
  { output }: CompareArguments,
  io: Io,
  work: (write: (text: string) => Promise<void>) => Promise<Value>,
): Promise<Value> {
  if (output === undefined || output === '-') {
    return work(async (text) => {
      io.out(text);
      await io.drained?.();
    });
  }
  // Before the file is there: a signal in between would leave it.
  let opened: ReturnType<typeof openWhole> | undefined;
  const handled = io.interrupted?.(() => opened?.abandon());
  try {
    const file = orTell(output, () => openWhole(output));
    opened = file;
    const value = await work(async (text) => orTell(output, () => file.write(text)));
    orTell(output, () => file.close());
    return value;
  } catch (error) {
    opened?.abandon();
    throw error;
  } finally {
    handled?.();
  }
}

function orTell<Value>(output: string, work: () => Value): Value {
  try {
    return work();
  } catch (error) {
    throw cannotWrite(output, error);
  }
}

/** Rows that a page still handles. */
const mostOnPage = 20_000;

async function render(
  output: CompareOutput,
  format: CompareFormat,
  args: CompareArguments,
  columns: readonly string[] | undefined,
  io: Io,
): Promise<string> {
  switch (format) {
    case 'table':
      return compareTable(output, { style: styleFor(args.output, io), columns, explain: args.explain });
    case 'json':
    case 'yaml':
      return dataText(format, output);
    case 'markdown':
      return compareMarkdown(output, columns);
    case 'csv':
      return csvHead() + csvLines(output.result.rows.map(cellsIn));
    case 'html':
      if (output.result.rows.length > mostOnPage)
        throw inputError('VRAM714', `${output.result.rows.length} rows are too many for a page`, {
          hint: `at most ${mostOnPage}: --filter fits, --top ${mostOnPage}, or --format csv`,
          path: '--format',
        });
      return compareHtml(output);
  }
}

/** 0: something fits, the requirements hold, nothing got worse; else 1. */
function exitCode({ result }: CompareOutput, { require, diff, maxChange }: CompareArguments, io: Io): number {
  let failed = result.combinations.fitting === 0;
  for (const text of require) {
    const holds = parseFilter(text, '--require');
    if (result.rows.some((row) => holds(cellsIn(row)))) continue;
    io.err(`requirement failed: no row meets ${text}\n`);
    failed = true;
  }
  if (diff !== undefined) {
    const worse = result.diff!.rows.filter((row) => (maxChange === undefined ? row.broken : worseThan(row, maxChange)));
    for (const { id, broken } of worse.slice(0, 10))
      io.err(
        `${broken ? 'does not fit, unlike what it is compared with' : `worse by more than ${(maxChange! * 100).toFixed(1)} %`}: ${id}\n`,
      );
    // A baseline that knows none of the rows checks nothing: most likely it is another comparison's.
    const unknown = typeof diff === 'string' && result.diff!.rows.every(({ against }) => against === null);
    if (unknown) io.err('the baseline has none of these rows: write it anew with --format json\n');
    failed ||= worse.length > 0 || unknown;
  }
  return failed ? 1 : 0;
}
