// What every planning command does with its answer: which form is asked for, the forms for programs, where the text goes, and what
// is said beside it on the error stream.
import { type Diagnostic, inputError, VramError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { nearestNames, printable } from '../load/names.ts';
import { writeWhole } from '../load/write.ts';
import type { RequirementOutcome } from '../plan/require.ts';
import { diagnosticLines } from '../render/diagnostics.ts';
import type { TableStyle } from '../render/table.ts';

/** The form of `forms` that --format names, whatever its case; a table when nothing is asked for. VRAM154 names the nearest. */
export function formNamed<Form extends string>(format: string | undefined, forms: readonly Form[]): Form {
  const wanted = (format ?? 'table').toLowerCase();
  const known = forms.find((name) => name === wanted);
  if (known) return known;
  throw inputError('VRAM154', `there is no format ${JSON.stringify(printable(format!))}`, {
    hint: `did you mean ${nearestNames(format!, forms, 1)[0] ?? 'table'}? (${forms.join(', ')})`,
    path: '--format',
  });
}

/** An answer whole, for programs. */
export async function dataText(form: 'json' | 'yaml', output: object): Promise<string> {
  if (form === 'json') return `${JSON.stringify(output, null, 2)}\n`;
  const { stringify } = await import('yaml');
  return stringify(output, { lineWidth: 0 });
}

/** How a table looks on standard output; a file has no colour. */
export function styleFor(file: string | undefined, io: Io): TableStyle {
  return { colour: io.colour && file === undefined, columns: io.columns };
}

/** To standard output, or to a file that is complete or not there. */
export async function writeOutput(text: string, file: string | undefined, io: Io): Promise<void> {
  if (file === undefined || file === '-') {
    io.out(text);
    return;
  }
  checkOutput(file);
  try {
    writeWhole(file, text);
  } catch (error) {
    throw cannotWrite(file, error);
  }
}

/** What is wrong with the name of a file can be said before any work. */
export function checkOutput(file: string | undefined): void {
  if (file === '')
    throw inputError('VRAM167', '--output names no file', { hint: 'e.g. -o plan.json', path: '--output' });
}

export function cannotWrite(file: string, error: unknown): VramError {
  const code = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  return new VramError(
    'VRAM301',
    `cannot write ${printable(file)}: ${code}`,
    code === 'EISDIR' ? 'it is a directory: name a file in it' : 'check that the directory exists and can be written',
    { cause: error },
  );
}

export function tellDiagnostics(diagnostics: readonly Diagnostic[], io: Io): void {
  io.err(diagnosticLines(diagnostics, { colour: io.errColour, columns: io.columns }));
}

export function tellFailedRequirements(outcomes: readonly RequirementOutcome[], io: Io): void {
  for (const { requirement, holds, actual } of outcomes)
    if (!holds) io.err(`requirement failed: ${requirement} (it is ${JSON.stringify(actual)})\n`);
}
