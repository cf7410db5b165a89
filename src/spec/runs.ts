// The short forms of preset files: "12x (3x linear_attention, full_attention)" for a list that repeats, "1..3, 5..7" for
// indices, `times: n` on a list entry that stands for n of its kind, and {0..31} inside a name for a run of layers. Only
// notation lives here; what a list means belongs to the family that reads it.
import type { Json, JsonObject, ModelConfig, ModelSpec, QuantizationConfig } from './model.ts';

/** No list of a real model is longer; a hostile file that repeats repeats is refused. */
const maxExpandedItems = 100_000;

const atom = /^(?:(-?\d+)\.\.(-?\d+)|-?\d+(?:\.\d+)?|[A-Za-z_][\w.-]*)/;
const looksLikeRuns = /(?:^|[(,]\s*)\d+x[ (]|^-?\d+\.\.-?\d+/;

/** Expands a run list, or gives undefined for a string that is none. */
export function expandRuns(text: string): (string | number)[] | undefined {
  if (!looksLikeRuns.test(text)) return undefined;
  const state = { text, at: 0 };
  const items = list(state);
  return items !== undefined && state.at === text.length ? items : undefined;
}

type State = { text: string; at: number };

function list(state: State): (string | number)[] | undefined {
  const out: (string | number)[] = [];
  for (;;) {
    const part = item(state);
    if (part === undefined || out.length + part.length > maxExpandedItems) return undefined;
    for (const value of part) out.push(value);
    skipSpace(state);
    if (state.text[state.at] !== ',') return out;
    state.at += 1;
  }
}

function item(state: State): (string | number)[] | undefined {
  skipSpace(state);
  const times = /^(\d+)x(?=[ (])\s*/.exec(state.text.slice(state.at));
  if (times) state.at += times[0].length;
  const part = group(state);
  const count = times ? Number(times[1]) : 1;
  if (part === undefined || part.length * count > maxExpandedItems) return undefined;
  return count === 1 ? part : Array.from({ length: count }, () => part).flat();
}

function group(state: State): (string | number)[] | undefined {
  if (state.text[state.at] === '(') {
    state.at += 1;
    const inner = list(state);
    if (inner === undefined || state.text[state.at] !== ')') return undefined;
    state.at += 1;
    return inner;
  }
  const match = atom.exec(state.text.slice(state.at));
  if (!match) return undefined;
  state.at += match[0].length;
  if (match[1] !== undefined) return range(Number(match[1]), Number(match[2]));
  const value = Number(match[0]);
  return [Number.isNaN(value) ? match[0] : value];
}

function range(from: number, to: number): number[] | undefined {
  if (to < from || to - from >= maxExpandedItems) return undefined;
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function skipSpace(state: State): void {
  while (state.text[state.at] === ' ') state.at += 1;
}

/** model.layers.{0..2}.mlp.{gate,up} -> the six names; a name without braces is itself. */
export function expandBraces(name: string): string[] {
  const match = /\{(?:(\d+)\.\.(\d+)|([^{}]+,[^{}]*))\}/.exec(name);
  if (!match) return [name];
  const parts = match[3] !== undefined ? match[3].split(',') : range(Number(match[1]), Number(match[2]));
  if (parts === undefined) return [name];
  const head = name.slice(0, match.index);
  const tails = expandBraces(name.slice(match.index + match[0].length));
  if (parts.length * tails.length > maxExpandedItems) return [name];
  return parts.flatMap((part) => tails.map((tail) => `${head}${part}${tail}`));
}

/** Expands every short form in a configuration; a value without one comes back as it is. */
export function expandShortForms(value: Json): Json {
  if (typeof value === 'string') return expandRuns(value) ?? value;
  if (Array.isArray(value)) return value.flatMap(expandEntry);
  if (typeof value === 'object' && value !== null) return expandObject(value);
  return value;
}

/** A model file in its full form: every list of the configuration and of the quantization written out. */
export function expandModel(spec: ModelSpec): ModelSpec {
  const out: ModelSpec = { ...spec, config: expandObject(spec.config as JsonObject) as ModelConfig };
  if (spec.quantization) out.quantization = expandObject(spec.quantization) as QuantizationConfig;
  return out;
}

function expandObject(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, expandShortForms(inner)]));
}

function expandEntry(entry: Json): Json[] {
  if (typeof entry === 'string') return expandBraces(entry);
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return [expandShortForms(entry)];
  const { times, ...rest } = entry;
  const count = typeof times === 'number' ? times : 1;
  if (!Number.isInteger(count) || count < 1 || count > maxExpandedItems) return [expandShortForms(entry)];
  return Array.from({ length: count }, () => expandObject(rest));
}
