// The workloads of the models of a pool: each read as `vram simulate --workload` reads it, with the rate, seed and limits that the file gives
// it, and moved in time where it says so. A model without a seed of its own gets the pool's, counted up: the same preset twice is not the
// same requests twice.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError, inputError } from '../diagnostics.ts';
import type { Io } from '../io.ts';
import { printable } from '../load/names.ts';
import type { MeanLoad } from '../plan/sharing/types.ts';
import { workloadFigures } from '../sim/workload/describe.ts';
import { withShift } from '../sim/workload/transform.ts';
import type { PoolSpec } from '../spec/pool.ts';
import type { SimulationOptions } from '../spec/simulation-options.ts';
import { placed } from './pool-options.ts';
import { type RunWorkload, Workloads } from './simulate-workload.ts';

/** By model, in their order. Throws InputError VRAM735 where one has none. */
export async function poolWorkloads(spec: PoolSpec, io: Io): Promise<RunWorkload[]> {
  const known = new Map<string, Workloads>();
  const found: RunWorkload[] = [];
  for (const [i, { id, workload }] of spec.models.entries()) {
    const place = `${spec.file}: models.${i}.workload`;
    if (!workload) {
      throw inputError('VRAM735', `the model ${printable(id)} has no workload`, {
        hint: 'workload: a trace file, a preset (vram list workloads) or "poisson:rate=2,input=512,output=128"',
        path: place,
      });
    }
    const { ref, shiftSeconds } = workload;
    const workloads = known.get(ref) ?? new Workloads(ref, io);
    known.set(ref, workloads);
    try {
      const read = await workloads.of(workloadOptions(spec, i));
      found.push(shiftSeconds === undefined || shiftSeconds === 0 ? read : shifted(read, shiftSeconds));
    } catch (error) {
      throw placed(inPoolFile(error, ref, spec.file), place);
    }
  }
  return found;
}

/** Remedies as a pool file has them. Paths count from where vram runs, as on the command line: a trace beside the file is named so. */
function inPoolFile(error: unknown, ref: string, file: string): unknown {
  if (!(error instanceof InputError)) return error;
  const hinted = (hint: string): InputError => new InputError(error.diagnostics.map((one) => ({ ...one, hint })));
  const code = error.diagnostics[0]?.code;
  if (code === 'VRAM614')
    return hinted('add to the workload rate: 4/s (Poisson arrivals) or concurrency: 32 (closed loop)');
  if (code !== 'VRAM615') return error;
  const beside = join(dirname(file), ref);
  if (ref.includes('\0') || beside === ref || !existsSync(beside)) return error;
  return hinted(`paths count from where vram runs, not from the pool file: ${printable(beside)}`);
}

/** What `vram simulate` would be given for this model's workload. */
export function workloadOptions({ seed, models }: PoolSpec, index: number): SimulationOptions {
  const { ref: _, shiftSeconds: __, ...options } = models[index]!.workload ?? { ref: '' };
  return { ...options, seed: options.seed ?? (seed + index) % 2 ** 32 };
}

function shifted(read: RunWorkload, seconds: number): RunWorkload {
  const { workload, order } = withShift(read.workload, seconds);
  const { fileOrder } = read.description;
  const { spanSeconds } = workloadFigures(workload);
  return {
    ...read,
    workload,
    description: { ...read.description, spanSeconds, fileOrder: order.map((from) => fileOrder?.[from] ?? from) },
    echo: { ...read.echo, spanSeconds },
  };
}

export function meanLoad({ description }: RunWorkload): MeanLoad {
  const { rate, concurrency, requests, meanPromptTokens, meanOutputTokens } = description;
  return {
    requestsPerSecond: rate,
    concurrency,
    requests,
    promptTokens: meanPromptTokens,
    outputTokens: meanOutputTokens,
  };
}
