// Synthetic workloads by name: the fields of a preset, of a user's file or of an inline form, with the command's options on top
// and the lengths of traces that they name; then generated.
import { type Diagnostic, inputError } from '../../diagnostics.ts';
import { type Arrivals, meanRate, scaledArrivals } from '../../sim/workload/arrivals.ts';
import type { Distribution } from '../../sim/workload/distribution.ts';
import { generateWorkload } from '../../sim/workload/generate.ts';
import { readSpec, type SyntheticFields, type SyntheticSpec } from '../../sim/workload/spec.ts';
import { closedLoopHasNoRate } from '../../sim/workload/transform.ts';
import type { Rate } from '../../spec/simulation-values.ts';
import type { Base, Given } from './base.ts';
import { readOnce } from './read-once.ts';
import type { TraceContext } from './source.ts';

export async function synthetic(
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
    options.option,
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
      throw inputError('VRAM616', 'only input, output, followup and lengths can come from a trace', {
        hint: 'give turns, think and prefixes as numbers, e.g. turns=uniform(1,8)',
        path: option,
      });
    }
  }
  return diagnostics;
}

async function lengthsOfTrace(file: string, option: string, context: TraceContext, diagnostics: Diagnostic[]) {
  const trace = await readOnce(file, { option }, context);
  diagnostics.push(...trace.diagnostics);
  const { requests } = trace.workload;
  return {
    inputs: requests.map(({ promptTokens }) => promptTokens),
    outputs: requests.map(({ outputTokens }) => outputTokens),
  };
}
