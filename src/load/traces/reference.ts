// What a workload can be called: a trace file, "-", a preset, a YAML file, or an inline form such as
//   poisson:rate=2,input=lognormal(161,0.75),output=uniform(50,400)   or   sharegpt:rate=4,requests=5000
// (arrivals or preset, then fields of spec.ts, dashes as in options). The command's options act on whatever it is.
import { existsSync } from 'node:fs';
import { type Diagnostic, InputError, inputError } from '../../diagnostics.ts';
import type { Workload } from '../../sim/types.ts';
import { type Arrivals, arrivalKinds, meanRate, scaledArrivals } from '../../sim/workload/arrivals.ts';
import { type WorkloadFigures, workloadFigures, workloadLine } from '../../sim/workload/describe.ts';
import type { Distribution } from '../../sim/workload/distribution.ts';
import { generateWorkload } from '../../sim/workload/generate.ts';
import { presetFields, type WorkloadPreset } from '../../sim/workload/preset.ts';
import { fieldHelp, readSpec, type SyntheticFields, type SyntheticSpec } from '../../sim/workload/spec.ts';
import {
  closedLoopHasNoRate,
  observedRate,
  withConcurrency,
  withDuration,
  withRate,
  withRepeats,
} from '../../sim/workload/transform.ts';
import type { Rate } from '../../spec/simulation-options.ts';
import { absolute, readText } from '../context.ts';
import { nearestNames, printable } from '../names.ts';
import { loadPresets } from '../presets.ts';
import type { TraceFormatId } from './format.ts';
import { readTrace } from './read.ts';
import type { TraceContext } from './source.ts';

export interface WorkloadOptions {
  seed?: number;
  rate?: Rate;
  /** Closed loop instead of the arrivals. */
  concurrency?: number;
  /** Only the first so many requests (rows of a trace). */
  limit?: number;
  /** Only arrivals within so many seconds, after the rate was changed. */
  durationSeconds?: number;
  repeat?: number;
  /** Parallel samples, or beams, of every request. */
  samples?: number;
  beamWidth?: number;
  /** Pause before follow-up turns of a trace that states none. */
  thinkSeconds?: number;
  /** Only one model's rows of a trace with several. */
  model?: string;
  option?: string;
}

export interface LoadedWorkload {
  workload: Workload;
  diagnostics: Diagnostic[];
  description: WorkloadDescription;
}

export interface WorkloadDescription extends WorkloadFigures {
  /** What it was called. */
  source: string;
  format: TraceFormatId | 'synthetic';
  title: string;
  /** Rows of a trace, and how many of them were bad; null for a synthetic one. */
  rows: number | null;
  rejected: number | null;
  /** Requests (of a synthetic one conversations) per second as it runs; null without arrivals. */
  rate: number | null;
  /** Tokens of one hash id of the trace. */
  blockTokens: number | null;
  /** Row of request i, where a trace was not in order. */
  fileOrder?: readonly number[];
  seed: number;
  /** One line for people. */
  line: string;
}

/** A workload before rate, concurrency, repetition and duration. */
interface Base extends Omit<LoadedWorkload, 'description'> {
  title: string;
  format: TraceFormatId | 'synthetic';
  rows: number | null;
  rejected: number | null;
  blockTokens: number | null;
  fileOrder?: readonly number[];
  rate: number | undefined;
  hasArrivals: boolean;
}

export async function parseWorkloadRef(
  ref: string,
  options: WorkloadOptions,
  context: TraceContext,
): Promise<LoadedWorkload> {
  const seed = options.seed ?? 0;
  const option = options.option ?? '--workload';
  if (options.rate && options.concurrency !== undefined) {
    throw closedLoopHasNoRate();
  }
  const base = await baseOf(ref.trim(), { ...options, option }, seed, context);
  let { workload, rate } = base;
  if (options.repeat !== undefined) workload = withRepeats(workload, options.repeat);
  if (options.concurrency !== undefined) workload = withConcurrency(workload, options.concurrency);
  else if (options.rate && base.format !== 'synthetic') {
    workload = withRate(workload, options.rate, { rate, seed });
    rate = options.rate.kind === 'perSecond' ? options.rate.requests : rate && rate * options.rate.factor;
  } else if (!base.hasArrivals) {
    throw inputError('VRAM614', `the ${base.title} has no arrival times`, {
      hint: 'add --rate 4/s (Poisson arrivals) or --concurrency 32 (closed loop)',
      path: option,
    });
  }
  if (options.durationSeconds !== undefined) workload = withDuration(workload, options.durationSeconds);
  return { workload, diagnostics: base.diagnostics, description: describe(ref, base, workload, rate, seed) };
}

function describe(
  ref: string,
  base: Base,
  workload: Workload,
  rate: number | undefined,
  seed: number,
): WorkloadDescription {
  const { title, format, rows, rejected, blockTokens, fileOrder } = base;
  const figures = workloadFigures(workload);
  return {
    source: ref === '-' ? 'standard input' : printable(ref, 500),
    format,
    title,
    ...figures,
    rows,
    rejected,
    rate: workload.concurrency === undefined ? (rate ?? null) : null,
    blockTokens,
    ...(fileOrder ? { fileOrder } : {}),
    seed,
    line: workloadLine(title, figures),
  };
}

type Given = WorkloadOptions & { option: string };

async function baseOf(ref: string, options: Given, seed: number, context: TraceContext): Promise<Base> {
  if (ref === '')
    throw inputError('VRAM615', 'no workload given', { hint: 'e.g. --workload sharegpt', path: options.option });
  const inline = /^([a-z0-9][a-z0-9._-]*):(.*=.*)$/s.exec(ref);
  const isFile = ref === '-' || (!ref.includes('\0') && existsSync(absolute(ref, context)));
  if (inline && !(isFile && ref.includes('/'))) return inlineWorkload(inline[1]!, inline[2]!, options, seed, context);
  if (!/[/\\]|\.\w+$/.test(ref) && ref !== '-') {
    const preset = findPreset(ref);
    if (preset) return synthetic(preset.name, presetFields(preset), options, seed, context);
  }
  if (!isFile) throw unknown(ref, options.option);
  if (/\.ya?ml$/i.test(ref)) return yamlWorkload(ref, options, seed, context);
  return traceWorkload(ref, options, context);
}

async function traceWorkload(ref: string, options: Given, context: TraceContext): Promise<Base> {
  const { limit, thinkSeconds, model, option, samples, beamWidth } = options;
  const trace = await readTrace(ref, context, { limit, thinkSeconds, model, option, samples, beamWidth });
  const { workload, diagnostics, title, format, rows, rejected, blockTokens = null, fileOrder, hasArrivals } = trace;
  const rate = hasArrivals ? observedRate(workload) : undefined;
  return { workload, diagnostics, title, format, rows, rejected, blockTokens, fileOrder, rate, hasArrivals };
}

function findPreset(id: string): WorkloadPreset | undefined {
  return loadPresets('workloads').find((preset) => preset.id === id.toLowerCase());
}

async function inlineWorkload(
  head: string,
  rest: string,
  options: Given,
  seed: number,
  context: TraceContext,
): Promise<Base> {
  const isArrivals = (arrivalKinds as readonly string[]).includes(head);
  const preset = isArrivals ? undefined : findPreset(head);
  if (!isArrivals && !preset) {
    const near = nearestNames(head, [...arrivalKinds, ...loadPresets('workloads').map(({ id }) => id)], 1)[0];
    throw inputError('VRAM615', `"${printable(head)}" is neither a workload nor a kind of arrivals`, {
      hint: near ? `did you mean ${near}?` : `arrivals: ${arrivalKinds.join(', ')}; vram list workloads`,
      path: options.option,
    });
  }
  const own = inlineFields(rest, options.option);
  // Other arrivals than the preset's bring their own figures.
  const inherited = preset ? presetFields(preset) : { arrivals: head };
  if (preset && own.arrivals !== undefined) for (const name of arrivalFields) delete inherited[name];
  if (own.lengths !== undefined) {
    delete inherited.input;
    delete inherited.output;
  }
  const title = preset ? preset.name : `${head} arrivals`;
  return synthetic(title, { ...inherited, ...own }, options, seed, context);
}

const arrivalFields = ['rate', 'cv', 'from', 'to', 'seconds', 'concurrency'] as const;

/** key=value, separated by commas that stand outside parentheses; keys with dashes or in camelCase. */
function inlineFields(text: string, option: string): SyntheticFields {
  const fields: Record<string, string> = {};
  const problems: Diagnostic[] = [];
  const refuse = (message: string, hint?: string) => {
    problems.push({ severity: 'error', code: 'VRAM616', message, ...(hint ? { hint } : {}), path: option });
  };
  for (const part of text.split(/,(?![^()]*\))/)) {
    const at = part.indexOf('=');
    const key = part
      .slice(0, Math.max(at, 0))
      .trim()
      .replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const name = key === 'beams' ? 'beamWidth' : key;
    if (at < 0) refuse(`"${printable(part.trim(), 60)}" is no key=value`, 'e.g. poisson:rate=2,input=512,output=128');
    else if (!Object.hasOwn(fieldHelp, name)) {
      const near = nearestNames(name, Object.keys(fieldHelp), 1)[0];
      refuse(
        `a workload has no "${printable(key, 60)}"`,
        near ? `did you mean ${near}?` : `fields: ${Object.keys(fieldHelp).join(', ')}`,
      );
    } else if (fields[name] !== undefined) refuse(`"${printable(key, 60)}" is given twice`);
    else fields[name] = part.slice(at + 1).trim();
  }
  if (problems.length > 0) throw new InputError(problems);
  return fields;
}

async function yamlWorkload(ref: string, options: Given, seed: number, context: TraceContext): Promise<Base> {
  const [{ parseYaml }, { workloadSchema }] = await Promise.all([
    import('../yaml.ts'),
    import('../../sim/workload/preset-schema.ts'),
  ]);
  const { value, diagnostics } = parseYaml<WorkloadPreset>(
    readText(ref, context, options.option),
    printable(ref),
    workloadSchema,
  );
  if (!value) throw new InputError(diagnostics);
  return synthetic(value.name ?? printable(ref), presetFields(value), options, seed, context);
}

async function synthetic(
  title: string,
  fields: SyntheticFields,
  options: Given,
  seed: number,
  context: TraceContext,
): Promise<Base> {
  const { limit, samples, beamWidth, concurrency, rate } = options;
  const spec = readSpec(
    {
      ...fields,
      ...(limit === undefined ? {} : { requests: limit }),
      ...(samples === undefined ? {} : { samples }),
      ...(beamWidth === undefined ? {} : { beamWidth }),
    },
    title,
  );
  if (concurrency !== undefined) spec.arrivals = { kind: 'closed', concurrency };
  else if (rate) spec.arrivals = atRate(spec, rate);
  const diagnostics = await readLengths(spec, options, context);
  return {
    workload: generateWorkload(spec, seed),
    diagnostics,
    title,
    format: 'synthetic',
    rows: null,
    rejected: null,
    blockTokens: null,
    rate: meanRate(spec.arrivals, spec.requests),
    hasArrivals: true,
  };
}

/** A closed loop that is given requests per second becomes Poisson arrivals. */
function atRate({ arrivals, requests }: SyntheticSpec, rate: Rate): Arrivals {
  if (rate.kind === 'scale') {
    if (arrivals.kind === 'closed') throw closedLoopHasNoRate();
    return scaledArrivals(arrivals, rate.factor);
  }
  if (arrivals.kind === 'closed') return { kind: 'poisson', rate: rate.requests };
  return scaledArrivals(arrivals, rate.requests / meanRate(arrivals, requests)!);
}

/** Reads the traces that a spec takes its lengths from. */
async function readLengths(spec: SyntheticSpec, { option }: Given, context: TraceContext): Promise<Diagnostic[]> {
  const diagnostics: Diagnostic[] = [];
  const traces = new Map<string, Promise<{ inputs: number[]; outputs: number[] }>>();
  const lengthsOf = (file: string) => {
    const read = traces.get(file) ?? lengthsOfTrace(file, option, context, diagnostics);
    traces.set(file, read);
    return read;
  };
  const filled = async (distribution: Distribution, what: 'inputs' | 'outputs'): Promise<Distribution> => {
    if (distribution.kind !== 'trace') return distribution;
    return { kind: 'empirical', values: (await lengthsOf(distribution.file))[what] };
  };
  spec.input = await filled(spec.input, 'inputs');
  spec.output = await filled(spec.output, 'outputs');
  if (spec.lengths) spec.lengths = { ...spec.lengths, ...(await lengthsOf(spec.lengths.file)) };
  if (spec.conversation) spec.conversation.followup = await filled(spec.conversation.followup, 'inputs');
  for (const other of [spec.conversation?.turns, spec.conversation?.think, spec.prefix?.tokens]) {
    if (other?.kind === 'trace') {
      throw inputError('VRAM616', 'only input, output, followup and lengths can come from a trace', { path: option });
    }
  }
  return diagnostics;
}

async function lengthsOfTrace(file: string, option: string, context: TraceContext, diagnostics: Diagnostic[]) {
  const trace = await readTrace(file, context, { option });
  diagnostics.push(...trace.diagnostics);
  const { requests } = trace.workload;
  return {
    inputs: requests.map(({ promptTokens }) => promptTokens),
    outputs: requests.map(({ outputTokens }) => outputTokens),
  };
}

function unknown(ref: string, option: string): Error {
  const near = nearestNames(
    ref,
    loadPresets('workloads').map(({ id }) => id),
    2,
  );
  return inputError('VRAM615', `there is no workload "${printable(ref)}": neither a file nor a preset`, {
    hint: near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'vram list workloads shows what ships',
    path: option,
  });
}
