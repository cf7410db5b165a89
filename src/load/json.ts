// Parses JSON text that people or checkpoints wrote: a syntax error carries file:line:column, the root must be an object.
import { inputError } from '../diagnostics.ts';
import type { JsonObject } from '../spec/model.ts';
import { printable } from './names.ts';

export function parseJsonObject(text: string, file: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { reason, place } = describe(text, error as SyntaxError);
    throw inputError('VRAM103', `${printable(file)} is not JSON: ${reason}`, { path: `${printable(file)}${place}` });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw inputError('VRAM103', `${printable(file)}: expected a JSON object at the top`, { path: printable(file) });
  }
  return value as JsonObject;
}

function describe(text: string, error: SyntaxError): { reason: string; place: string } {
  if (text.trim() === '') return { reason: 'the file is empty', place: '' };
  const message = error.message;
  const at = /at position (\d+)/.exec(message);
  const ended = /end of JSON|Unterminated/i.test(message) && !at;
  const offset = at ? Number(at[1]) : ended ? text.length : undefined;
  const reason = printable(
    message.replace(/ in JSON at position.*| \(line \d+ column \d+\)| at position \d+.*/s, ''),
    160,
  );
  if (offset === undefined) return { reason, place: '' };
  const before = text.slice(0, offset).split('\n');
  return { reason, place: `:${before.length}:${before.at(-1)!.length + 1}` };
}
