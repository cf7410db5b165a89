// Parses JSON text that people or checkpoints wrote: a syntax error carries file:line:column, the root must be an object.
import { inputError } from '../diagnostics.ts';
import type { JsonObject } from '../spec/model.ts';
import { printable } from './names.ts';

/** No configuration nests like that, and everything that walks one does so by recursion. */
const maxJsonDepth = 64;

export function parseJsonObject(text: string, file: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const { reason, place } = describe(text);
    throw inputError('VRAM103', `${printable(file)} is not JSON: ${reason}`, { path: `${printable(file)}${place}` });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw inputError('VRAM103', `${printable(file)}: expected a JSON object at the top`, { path: printable(file) });
  }
  if (isDeeperThan(value, maxJsonDepth)) {
    throw inputError('VRAM103', `${printable(file)} is nested more than ${maxJsonDepth} deep`, {
      path: printable(file),
    });
  }
  return value as JsonObject;
}

/** Level by level, so that a hostile depth costs no stack. */
function isDeeperThan(root: unknown, limit: number): boolean {
  let level: unknown[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > limit) return true;
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []));
  }
  return false;
}

/** Longer texts come from programs, not people: no place is looked for in them. */
const maxLocatedLength = 2_000_000;

/** The engine's own message names no place, or another one per Node version: find the first token that cannot be. */
function describe(text: string): { reason: string; place: string } {
  if (text.trim() === '') return { reason: 'the file is empty', place: '' };
  if (text.length > maxLocatedLength) return { reason: 'a syntax error somewhere in it', place: '' };
  const offset = firstBadToken(text);
  const before = text.slice(0, offset).split('\n');
  const found = text.slice(offset, offset + 12).split('\n')[0]!;
  const reason = offset >= text.length ? 'it ends too early' : `unexpected ${JSON.stringify(printable(found))}`;
  return { reason, place: `:${before.length}:${before.at(-1)!.length + 1}` };
}

const token =
  /\s*(?:([[\]{},:])|("(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)(?![\w.]))/y;

/** Offset of the first token that no JSON text can have there; the end when only the rest is missing. */
function firstBadToken(text: string): number {
  const open: ('{' | '[')[] = [];
  let expects: 'value' | 'valueOrEnd' | 'key' | 'keyOrEnd' | 'colon' | 'next' = 'value';
  token.lastIndex = 0;
  for (;;) {
    const start = token.lastIndex + /^\s*/.exec(text.slice(token.lastIndex, token.lastIndex + 10_000))![0].length;
    const match = start < text.length ? token.exec(text) : null;
    if (!match) return start;
    const [, mark, string] = match;
    const inner = open.at(-1);
    if (mark === undefined || mark === '{' || mark === '[') {
      if (mark === undefined && (expects === 'key' || expects === 'keyOrEnd')) {
        if (string === undefined) return start;
        expects = 'colon';
        continue;
      }
      if (expects !== 'value' && expects !== 'valueOrEnd') return start;
      if (mark !== undefined) open.push(mark as '{' | '[');
      expects = mark === '{' ? 'keyOrEnd' : mark === '[' ? 'valueOrEnd' : 'next';
    } else if (mark === ':') {
      if (expects !== 'colon') return start;
      expects = 'value';
    } else if (mark === ',') {
      if (expects !== 'next' || inner === undefined) return start;
      expects = inner === '{' ? 'key' : 'value';
    } else {
      const closes = mark === '}' ? inner === '{' && expects !== 'key' : inner === '[' && expects !== 'value';
      if (!closes || expects === 'colon' || (mark === '}' && expects === 'value')) return start;
      open.pop();
      expects = 'next';
    }
  }
}
