// A synthetic workload as presets and inline forms write it: flat fields of numbers and short texts; and as the generator takes
// it. All problems of a spec are collected. The meaning of every field is in the table below.
import { InputError } from '../../diagnostics.ts';
import { thousands } from '../../numbers.ts';
import { type ArrivalKind, type Arrivals, arrivalKinds } from './arrivals.ts';
import { type Distribution, distributionForms, parseDistribution } from './distribution.ts';
import { maxTokensOfRow } from './token-space.ts';

/** Every field with what it means; the order is the one in which they are shown. */
export const fieldHelp = {
  arrivals: `how requests arrive: ${arrivalKinds.join(', ')}`,
  rate: 'requests per second; every turn of a conversation is one',
  cv: 'gamma: standard deviation of the gaps over their mean',
  from: 'ramp: requests per second at the start',
  to: 'ramp: requests per second at the end',
  seconds: 'ramp: how long it takes; default: as long as the requests last',
  concurrency: 'closed: unfinished requests at a time',
  requests: 'how many requests (every turn is one); default 1000',
  input: 'tokens of a prompt, shared prefix not counted; a prompt has at most 16,777,216',
  output: 'tokens generated',
  lengths: 'empirical(FILE): input and output drawn together from the rows of a trace',
  maxTokens: 'max_tokens of every request; outputs are cut to it. Default: the output itself',
  prefixes: 'shared system prompts, e.g. 10x256: ten of 256 tokens',
  zipf: 'how unequally the prefixes are asked for: exponent of their popularity, 0 is equally; default 0',
  prefixShare: 'share of requests (conversations) that begin with a shared prefix; default 1',
  turns: 'turns of a conversation; each prompt holds all earlier turns with their answers',
  followup: 'tokens that a later turn adds; default: as input',
  think: 'seconds between an answer and the next turn; default 0',
  maxContext: 'a conversation ends before prompt and output together exceed this',
  maxTotal:
    'a first prompt and its answer that together exceed this are drawn again, as benchmarks leave such requests out',
  samples: 'parallel samples of every prompt (n)',
  beamWidth: 'width of a beam search',
} as const;
type FieldName = keyof typeof fieldHelp;
export type SyntheticFields = { [Name in FieldName]?: string | number };

export interface SyntheticSpec {
  requests: number;
  arrivals: Arrivals;
  input: Distribution;
  output: Distribution;
  /** Trace whose rows give input and output together; takes the place of both. */
  lengths?: { file: string; inputs?: readonly number[]; outputs?: readonly number[] };
  maxTokens?: number;
  prefix?: { count: number; tokens: Distribution; zipf: number; share: number };
  conversation?: { turns: Distribution; followup: Distribution; think: Distribution };
  maxContext?: number;
  maxTotal?: number;
  samples?: number;
  beamWidth?: number;
}

const defaultRequests = 1000;
const maxRequests = 10_000_000;

/** Something that is wrong with a field, or with what is missing. */
interface SpecProblem {
  field?: FieldName;
  /** Goes on where the field's name ends. */
  text: string;
  hint?: string;
}

/** Throws one InputError (VRAM616) with everything that is wrong; `where` says what the fields came from, `path` the option. */
export function readSpec(fields: SyntheticFields, where: string, path?: string): SyntheticSpec {
  const { spec, problems } = examineSpec(fields);
  if (problems.length === 0) return spec;
  throw new InputError(
    problems.map(({ field, text, hint }) => ({
      severity: 'error',
      code: 'VRAM616',
      message: `${where}: ${field === undefined ? '' : `${field} `}${text}`,
      ...(hint === undefined ? {} : { hint }),
      ...(path === undefined ? {} : { path }),
    })),
  );
}

/** A spec, to be used only where there is no problem. */
export function examineSpec(fields: SyntheticFields): { spec: SyntheticSpec; problems: readonly SpecProblem[] } {
  const read = new FieldReader(fields);
  const lengths = read.lengths();
  const input = read.distribution('input');
  const output = read.distribution('output');
  if (!lengths && !(read.has('input') && read.has('output'))) read.missing('needs input and output (or lengths)');
  const requests = read.integer('requests', 1, maxRequests) ?? defaultRequests;
  const spec: SyntheticSpec = {
    requests,
    arrivals: readArrivals(read, requests),
    input: input ?? one,
    output: output ?? one,
    ...(lengths ? { lengths } : {}),
    ...definedOnly({
      maxTokens: read.integer('maxTokens', 1, maxTokensOfRow),
      maxContext: read.integer('maxContext', 2, 2 * maxTokensOfRow),
      maxTotal: read.integer('maxTotal', 2, 2 * maxTokensOfRow),
      samples: read.integer('samples', 1, 1000),
      beamWidth: read.integer('beamWidth', 1, 1000),
      prefix: readPrefix(read),
      conversation: readConversation(read, input ?? one),
    }),
  };
  return { spec, problems: read.problems };
}

const one: Distribution = { kind: 'fixed', value: 1 };

function readArrivals(read: FieldReader, requests: number): Arrivals {
  const kind = read.oneOf('arrivals', arrivalKinds) ?? 'poisson';
  const only: Record<string, readonly ArrivalKind[]> = {
    rate: ['poisson', 'gamma', 'constant'],
    cv: ['gamma'],
    from: ['ramp'],
    to: ['ramp'],
    seconds: ['ramp'],
    concurrency: ['closed'],
  };
  for (const [name, kinds] of Object.entries(only)) {
    if (read.has(name as FieldName) && !kinds.includes(kind))
      read.problem(name as FieldName, `does not go with ${kind} arrivals`);
  }
  switch (kind) {
    case 'closed':
      return { kind, concurrency: read.integer('concurrency', 1, 1_000_000) ?? read.needs('concurrency') };
    case 'ramp': {
      const from = read.number('from', 0, 1e6) ?? read.needs('from');
      const to = read.number('to', 1e-6, 1e6) ?? read.needs('to');
      return { kind, from, to, seconds: read.number('seconds', 1e-3, 1e9) ?? (2 * requests) / (from + to) };
    }
    case 'gamma': {
      const rate = read.number('rate', 1e-6, 1e6) ?? read.needs('rate');
      return { kind, rate, cv: read.number('cv', 0.01, 100) ?? read.needs('cv') };
    }
    default:
      return { kind, rate: read.number('rate', 1e-6, 1e6) ?? read.needs('rate') };
  }
}

function readPrefix(read: FieldReader): SyntheticSpec['prefix'] {
  if (!read.has('prefixes')) {
    for (const name of ['zipf', 'prefixShare'] as const) if (read.has(name)) read.problem(name, 'needs prefixes');
    return undefined;
  }
  const text = String(read.fields.prefixes);
  const match = /^\s*(\d{1,5})\s*x\s*(.+)$/i.exec(text);
  const count = Number(match?.[1] ?? 0);
  const tokens = match ? parseDistribution(match[2]!) : undefined;
  if (!tokens || count < 1 || count > 65_535) {
    read.problem(
      'prefixes',
      `is ${JSON.stringify(text.slice(0, 60))}, expected a number of prefixes and their tokens, e.g. 10x256`,
    );
    return undefined;
  }
  read.checkTokens('prefixes', tokens);
  return { count, tokens, zipf: read.number('zipf', 0, 10) ?? 0, share: read.number('prefixShare', 0, 1) ?? 1 };
}

function readConversation(read: FieldReader, input: Distribution): SyntheticSpec['conversation'] {
  const turns = read.distribution('turns');
  if (!turns) {
    for (const name of ['followup', 'think'] as const) if (read.has(name)) read.problem(name, 'needs turns');
    return undefined;
  }
  return {
    turns,
    followup: read.distribution('followup') ?? input,
    think: read.distribution('think') ?? { kind: 'fixed', value: 0 },
  };
}

class FieldReader {
  readonly problems: SpecProblem[] = [];

  constructor(readonly fields: SyntheticFields) {}

  has(name: FieldName): boolean {
    return this.fields[name] !== undefined;
  }

  problem(field: FieldName, text: string, hint?: string): void {
    this.problems.push({ field, text, ...(hint ? { hint } : {}) });
  }

  missing(text: string): void {
    this.problems.push({ text });
  }

  /** A number that is there in every spec which is not refused. */
  needs(name: FieldName): number {
    if (!this.has(name)) this.missing(`needs ${name} (${fieldHelp[name]})`);
    return 1;
  }

  number(name: FieldName, min: number, max: number): number | undefined {
    const value = this.fields[name];
    if (value === undefined) return undefined;
    const number =
      typeof value === 'number' ? value : /^\s*[\d.]+(?:e-?\d+)?\s*$/i.test(value) ? Number(value) : Number.NaN;
    if (number >= min && number <= max) return number;
    this.problem(name, `is ${shown(value)}, expected a number from ${min} to ${max}`);
    return undefined;
  }

  integer(name: FieldName, min: number, max: number): number | undefined {
    const number = this.number(name, min, max);
    if (number === undefined || Number.isInteger(number)) return number;
    this.problem(name, `is ${number}, expected a whole number`);
    return undefined;
  }

  oneOf<Word extends string>(name: FieldName, words: readonly Word[]): Word | undefined {
    const value = this.fields[name];
    if (value === undefined) return undefined;
    const word = words.find((candidate) => candidate === String(value).trim().toLowerCase());
    if (!word) this.problem(name, `is ${shown(value)}, expected one of ${words.join(', ')}`);
    return word;
  }

  distribution(name: FieldName): Distribution | undefined {
    const value = this.fields[name];
    if (value === undefined) return undefined;
    const distribution = parseDistribution(String(value));
    if (!distribution) this.problem(name, `is ${shown(value)}, no distribution`, `forms: ${distributionForms}`);
    else if (name !== 'think') this.checkTokens(name, distribution);
    return distribution;
  }

  /** Lengths beyond any context are a mistake, and would take minutes to simulate. */
  checkTokens(name: FieldName, distribution: Distribution): void {
    const numbers = Object.values(distribution).flat();
    if (numbers.some((number) => typeof number === 'number' && number > maxTokensOfRow)) {
      this.problem(
        name,
        `is ${shown(this.fields[name]!)}, above ${thousands(maxTokensOfRow)}: longer than any context`,
      );
    }
  }

  lengths(): { file: string } | undefined {
    if (!this.has('lengths')) return undefined;
    if (this.has('input') || this.has('output')) this.problem('lengths', 'takes the place of input and output');
    const distribution = this.distribution('lengths');
    if (distribution?.kind === 'trace') return { file: distribution.file };
    if (distribution) this.problem('lengths', 'is empirical(FILE): rows of a trace');
    return undefined;
  }
}

function shown(value: string | number): string {
  return JSON.stringify(String(value).slice(0, 60));
}

function definedOnly<Value extends object>(value: Value): Value {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Value;
}
