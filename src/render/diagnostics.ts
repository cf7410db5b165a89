// Diagnostics as people read them: severity, message, place, remedy. Written to standard error, never to a pipe of results.
import type { Diagnostic } from '../diagnostics.ts';
import { visible, wrap } from './text.ts';

interface TerminalStyle {
  colour: boolean;
  columns: number;
}

const colours = { error: '\x1b[31m', warning: '\x1b[33m', note: '\x1b[36m' } as const;

export function diagnosticLines(diagnostics: readonly Diagnostic[], style: TerminalStyle): string {
  return diagnostics.map((diagnostic) => oneDiagnostic(diagnostic, style)).join('');
}

function oneDiagnostic(
  { severity, code, message, hint, path }: Diagnostic,
  { colour, columns }: TerminalStyle,
): string {
  const label = colour ? `${colours[severity]}${severity}\x1b[0m` : severity;
  const place = path ? ` (${visible(path)})` : '';
  const text = wrap(`${visible(message)}${place} [${code}]`, columns - severity.length - 2, 2);
  const remedy = hint ? `  ${wrap(visible(hint), columns - 4, 2)}\n` : '';
  return `${label}: ${text}\n${remedy}`;
}
