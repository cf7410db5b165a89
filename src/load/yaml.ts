// Reads YAML and JSON text written by people: every problem is collected with its file:line:column, aliases are bounded, an
// unknown key is answered with the nearest known one. What the values mean is the schema's business.
import { isMap, LineCounter, type Node, parseDocument } from 'yaml';
import type { z } from 'zod';
import type { Diagnostic } from '../diagnostics.ts';
import { nearestNames, printable } from './names.ts';

/** Aliases repeat a value; a short file can blow up to gigabytes with them ("billion laughs"). */
const maxAliases = 50;

export interface Parsed<Value> {
  value?: Value;
  diagnostics: Diagnostic[];
}

type Document = ReturnType<typeof parseDocument>;
type Issue = z.core.$ZodIssue;

/** Parses and, with a schema, validates; on any problem `value` is absent and all problems are listed. */
export function parseYaml<Value>(text: string, file: string, schema?: z.ZodType): Parsed<Value> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  const at = (offset: number | undefined): string => {
    if (offset === undefined) return file;
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    const all = document.errors.map((error) => problem('VRAM102', syntaxMessage(error.message), at(error.pos[0])));
    const tooDeep = all.find((diagnostic) => diagnostic.message === nestedTooDeeply);
    return { diagnostics: tooDeep ? [tooDeep] : all.slice(0, 20) };
  }
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: maxAliases });
  } catch (error) {
    return { diagnostics: [problem('VRAM102', `${(error as Error).message} (at most ${maxAliases})`, at(0))] };
  }
  if (!schema) return { value: value as Value, diagnostics: [] };
  const result = schema.safeParse(value);
  if (result.success) return { value: result.data as Value, diagnostics: [] };
  return {
    diagnostics: issuesToDiagnostics(result.error.issues, schema, (path, key) => at(offsetOf(document, path, key))),
  };
}

const nestedTooDeeply = 'the file is nested too deeply';

/** The parser's message in words of ours where it speaks to programmers. */
function syntaxMessage(message: string): string {
  if (/call stack/.test(message)) return nestedTooDeeply;
  if (/multiple documents/.test(message)) return 'the file holds several documents (---), expected one';
  return message.split('\n')[0]!;
}

/** Schema problems as diagnostics; `locate` gives the place of a path, or of an unknown key below it. */
export function issuesToDiagnostics(
  issues: readonly Issue[],
  schema: z.ZodType,
  locate: (path: readonly PropertyKey[], key?: string) => string,
): Diagnostic[] {
  return issues.slice(0, 50).flatMap((issue): Diagnostic[] => {
    const path = issue.path;
    if (issue.code === 'unrecognized_keys') {
      const known = keysAt(schema, path);
      return issue.keys.map((key) => {
        const near = nearestNames(key, known, 1)[0];
        const extra = near ? { hint: `did you mean ${near}?` } : {};
        return { ...problem('VRAM101', `${dotted([...path, key])}: unknown key`, locate(path, key)), ...extra };
      });
    }
    const where = path.length > 0 ? `${dotted(path)}: ` : '';
    return [problem('VRAM101', `${where}${messageOf(issue)}`, locate(path))];
  });
}

/** A union reports the problem of the alternative that came nearest, not that "input is invalid". */
function messageOf(issue: Issue): string {
  if (issue.code === 'invalid_union') {
    const inner = issue.errors.flat().find((error) => error.code !== 'invalid_type') ?? issue.errors[0]?.[0];
    const wrongTypes = issue.errors.flat().filter((error) => error.code === 'invalid_type' && error.path.length === 0);
    // Nothing but wrong types of the value itself: say all that it could be.
    if (inner?.code === 'invalid_type' && wrongTypes.length === issue.errors.flat().length && issue.path.length > 0) {
      const expected = new Set(wrongTypes.map((error) => (error as z.core.$ZodIssueInvalidType).expected));
      return `expected ${[...expected].join(' or ')}${received(inner)}`;
    }
    if (inner) return messageOf(inner);
  }
  if (issue.code === 'invalid_key') return issue.issues[0]?.message ?? issue.message;
  if (issue.code === 'invalid_type' && issue.path.length === 0) return 'expected a mapping of keys to values';
  if (issue.code === 'invalid_type' && issue.input === undefined && /received undefined/.test(issue.message)) {
    return `is required (${issue.expected})`;
  }
  const wrong = /^Invalid input: (expected .*)$/s.exec(issue.message);
  if (wrong) return wrong[1]!;
  return issue.message;
}

/** ", received NaN", as the schema's own messages say it. */
function received({ message }: Issue): string {
  return /, received .*$/s.exec(message)?.[0] ?? '';
}

function dotted(path: readonly PropertyKey[]): string {
  return path.map((part) => (typeof part === 'string' ? printable(part) : String(part))).join('.');
}

/** Known keys of the object schema at a path. */
function keysAt(schema: unknown, path: readonly PropertyKey[]): string[] {
  let at = unwrap(schema);
  for (const part of path) at = unwrap(at?.shape?.[part as string] ?? at?.element);
  return Object.keys(at?.shape ?? {});
}

interface Walkable {
  shape?: Record<string, unknown>;
  element?: unknown;
  def?: { innerType?: unknown };
}

function unwrap(schema: unknown): Walkable | undefined {
  let at = schema as Walkable | undefined;
  while (at?.def?.innerType !== undefined) at = at.def.innerType as Walkable;
  return at;
}

/** Where a value (or the key of an unknown entry) stands in the text; the nearest parent when it is not there. */
function offsetOf(document: Document, path: readonly PropertyKey[], key?: string): number | undefined {
  for (let length = path.length; length >= 0; length--) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (node === undefined || node === null) continue;
    if (key !== undefined && length === path.length && isMap(node)) {
      const pair = node.items.find((item) => String(item.key) === key);
      const range = (pair?.key as Node | undefined)?.range;
      if (range) return range[0];
    }
    const range = (node as Node).range;
    if (range) return range[0];
  }
  return undefined;
}

function problem(code: string, message: string, path: string): Diagnostic {
  return { severity: 'error', code, message: printable(message, 400), path };
}
