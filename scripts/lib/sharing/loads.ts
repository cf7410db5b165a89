// The loads of the comparison: pool files with their rates, shifts, samples and seeds exchanged. Lengths and arrivals are those of public
// traces (test/fixtures/sharing), or drawn with their lengths.
import type { RunWorkload } from '../../../src/commands/simulate-workload.ts';
import type { PoolModel, PoolSpec, PoolWorkload } from '../../../src/spec/pool.ts';
import { poolFile, withWorkload } from './runs.ts';

/** Seconds of the Azure trace at its own pace. */
const azureSeconds = 3502;

interface AzureOptions {
  /** In place of the file's pace. */
  pace?: number;
  /** Whether the peaks come at different times, as the file has it. */
  apart?: boolean;
  caching?: boolean;
}

/** azure-3 or azure-2 with one of the three samples of the trace. */
export async function azure(
  file: 'azure-2' | 'azure-3',
  sample: string,
  { pace, apart = true, caching = false }: AzureOptions = {},
): Promise<PoolSpec> {
  const spec = await poolFile(`test/fixtures/sharing/${file}.yaml`);
  const models = spec.models.map((model, i) => {
    const changed = withWorkload(model, ({ ref, rate, shiftSeconds }) => {
      const factor = pace ?? (rate?.kind === 'scale' ? rate.factor : 1);
      const shift = (azureSeconds * i) / spec.models.length / factor;
      return {
        ref: ref.replace('-a.csv', `-${sample}.csv`),
        rate: { kind: 'scale', factor },
        ...(apart && shiftSeconds !== undefined ? { shiftSeconds: shift } : { shiftSeconds: 0 }),
      };
    });
    return caching ? withPrefixCache(changed) : changed;
  });
  return { ...spec, models };
}

function withPrefixCache(model: PoolModel): PoolModel {
  const { 'no-enable-prefix-caching': _, ...options } = model.options;
  return { ...model, options };
}

/** The engines of azure-3 with a synthetic load each, so many requests a second for ten minutes. */
export async function steady(rates: readonly number[], seed: number, kind: 'poisson' | 'constant'): Promise<PoolSpec> {
  const lengths = kind === 'constant' ? ',input=1155,output=211' : '';
  return synthetic(seed, (i) => {
    const rate = rates[i]!;
    return `azure-conversation:arrivals=${kind},rate=${rate},requests=${Math.round(600 * rate)}${lengths}`;
  });
}

/** Ten requests of each model at 0.1/s, then `bursts[i]` at once (see `burst`). */
export async function bursts(counts: readonly number[], seed: number): Promise<PoolSpec> {
  return synthetic(
    seed,
    (i) => `azure-conversation:arrivals=constant,rate=0.1,requests=${lightRequests + counts[i]!},input=1155`,
  );
}

const lightRequests = 10;

/** All after the first ten come a minute after the last of these. */
export function burst(read: RunWorkload): RunWorkload {
  const at = 10 * lightRequests + 60;
  const requests = read.workload.requests.map((request, i) =>
    i < lightRequests ? request : { ...request, arrival: at },
  );
  return { ...read, workload: { ...read.workload, requests } };
}

async function synthetic(seed: number, refOf: (index: number) => string): Promise<PoolSpec> {
  const spec = await poolFile('test/fixtures/sharing/azure-3.yaml');
  const models = spec.models.map((model, i): PoolModel => {
    const workload: PoolWorkload = { ref: refOf(i) };
    return { ...model, workload };
  });
  return { ...spec, seed, models };
}
