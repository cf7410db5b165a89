// What a workload can be called: a trace file, "-", a preset, a YAML file, or an inline form such as
//   poisson:rate=2,input=lognormal(161,0.75),output=uniform(50,400)   or   sharegpt:rate=4,requests=5000
// (arrivals or preset, then fields of spec.ts, dashes as in options). The command's options act on whatever it is.
import { existsSync } from 'node:fs';
import { type Diagnostic, InputError, inputError } from '../../diagnostics.ts';
import type { Workload } from '../../sim/types.ts';
import { type WorkloadFigures, workloadFigures, workloadLine } from '../../sim/workload/describe.ts';
import { presetFields, type WorkloadPreset } from '../../sim/workload/preset.ts';
import {
  closedLoopHasNoRate,
  observedRate,
  withConcurrency,
  withDuration,
  withRate,
  withRepeats,
} from '../../sim/workload/transform.ts';
import { absolute, readText } from '../context.ts';
import { nearestNames, printable } from '../names.ts';
import { loadPresets } from '../presets.ts';
import type { Base, Given, WorkloadOptions } from './base.ts';
import type { TraceFormatId } from './format.ts';
import { findPreset, inlineWorkload } from './inline.ts';
import { readOnce } from './read-once.ts';
import type { TraceContext } from './source.ts';
import { synthetic } from './synthetic.ts';

export type { WorkloadOptions } from './base.ts';

export interface LoadedWorkload {
  workload: Workload;
  diagnostics: Diagnostic[];
  description: WorkloadDescription;
}

interface WorkloadDescription extends WorkloadFigures {
  /** What it was called. */
  source: string;
  format: TraceFormatId | 'synthetic';
  title: string;
  /** Rows of a trace, and how many of them were bad; null for a synthetic one. */
  rows: number | null;
  rejected: number | null;
  /** Requests per second as it runs, every turn being one; null without arrivals. */
  rate: number | null;
  /** Tokens of one hash id of the trace. */
  blockTokens: number | null;
  /** Row of request i, where a trace was not in order. */
  fileOrder?: readonly number[];
  seed: number;
  /** One line for people. */
  line: string;
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
  } else if (!base.hasArrivals && !options.timeless) {
    throw inputError('VRAM614', `there are no arrival times in the ${base.title}`, {
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
  const trace = await readOnce(ref, { limit, thinkSeconds, model, option, samples, beamWidth }, context);
  const { workload, diagnostics, title, format, rows, rejected, blockTokens = null, fileOrder, hasArrivals } = trace;
  const rate = hasArrivals ? observedRate(workload) : undefined;
  return { workload, diagnostics, title, format, rows, rejected, blockTokens, fileOrder, rate, hasArrivals };
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
