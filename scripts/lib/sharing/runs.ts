// Pools of models run under several policies, as `npm run sharing` compares them: pool files with parts exchanged, every policy with the
// same bytes to share, the figures that section of the README judges by. What is compared with what is cases.ts.
import { fileURLToPath } from 'node:url';
import { openPool } from '../../../src/commands/pool-open.ts';
import { poolRuns } from '../../../src/commands/pool-setup.ts';
import { poolWorkloads } from '../../../src/commands/pool-workloads.ts';
import type { RunWorkload } from '../../../src/commands/simulate-workload.ts';
import { quietIo } from '../../../src/io.ts';
import { resolvePool } from '../../../src/load/pool.ts';
import { resolveSharing } from '../../../src/load/sharing.ts';
import { kvBytes } from '../../../src/sim/sharing/memory.ts';
import type { SharedResult } from '../../../src/sim/sharing/result.ts';
import { simulateShared } from '../../../src/sim/sharing/run.ts';
import type { SharedRun } from '../../../src/sim/sharing/types.ts';
import type { PoolModel, PoolSpec, PoolWorkload } from '../../../src/spec/pool.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** A policy, or one with other parameters under a name of its own. */
export interface Variant {
  name: string;
  policy: string;
  options?: Readonly<Record<string, number | string | null>>;
}

export interface Figures {
  ttftP99: number;
  e2eMean: number;
  preemptions: number;
  refusals: number;
  /** Share of the requests within their objective. */
  slo: number;
  maps: number;
  /** Seconds of mapping and unmapping, and those in which the GPU computed. */
  mapSeconds: number;
  busySeconds: number;
  /** Mapped and not in use (empty, in part, or cached): mean bytes, and those that are still mapped when all is done. */
  idleBytes: number;
  endBytes: number;
  finished: number;
  requests: number;
}

export type ByVariant = Readonly<Record<string, Figures>>;

/** Trace files of a pool file are named from the repository's root, wherever this is run. */
export async function poolFile(name: string): Promise<PoolSpec> {
  const spec = await resolvePool(`${root}${name}`, { env: process.env });
  return { ...spec, models: spec.models.map((model) => withWorkload(model, ({ ref }) => ({ ref: absolute(ref) }))) };
}

export function withWorkload(
  model: PoolModel,
  change: (workload: PoolWorkload, index: number) => Partial<PoolWorkload>,
  index = 0,
): PoolModel {
  const { workload } = model;
  return workload ? { ...model, workload: { ...workload, ...change(workload, index) } } : model;
}

export interface Extra {
  /** Changes requests after they were read, by model. */
  change?: (workload: RunWorkload, index: number) => RunWorkload;
  /** Variants that are run; absent: all. */
  only?: ReadonlySet<string>;
}

/**
 * Every variant on the same requests and, unless it is a split, the same bytes: those that the slices of the first one are together.
 * A variant whose engines would not start is absent.
 */
export async function runVariants(spec: PoolSpec, variants: readonly Variant[], extra: Extra = {}): Promise<ByVariant> {
  const found: Record<string, Figures> = {};
  for (const { name, run } of await runsOf(spec, variants, extra)) {
    if (extra.only?.has(name) === false) continue;
    found[name] = figuresOf(simulateShared(run));
  }
  return found;
}

async function runsOf(
  spec: PoolSpec,
  variants: readonly Variant[],
  { change }: Extra = {},
): Promise<{ name: string; run: SharedRun }[]> {
  const io = quietIo(process.env);
  const pool = await openPool(spec, io);
  const read = await poolWorkloads(spec, io);
  const workloads = change ? read.map(change) : read;
  const policies = await Promise.all(variants.map(({ policy, options }) => resolveSharing(policy, options ?? {})));
  const { runs } = poolRuns(pool, workloads, policies);
  let slices: number | undefined;
  return runs.flatMap((one, i) => {
    if (!('run' in one)) return [];
    const { run } = one;
    const name = variants[i]!.name;
    if (run.policy.kind === 'static') {
      slices ??= run.models.reduce((sum, { sliceBytes }) => sum + sliceBytes, 0);
      return [{ name, run }];
    }
    return [{ name, run: slices === undefined ? run : withPool(run, slices) }];
  });
}

/** For pools of one GPU. */
function withPool(run: SharedRun, bytes: number): SharedRun {
  const more = bytes - kvBytes(run.devices, run.models);
  return { ...run, devices: run.devices.map((all) => all + more) };
}

function figuresOf({ pool, timeline }: SharedResult): Figures {
  const held = timeline.at(-1)?.models.reduce((sum, { mapped, used }) => sum + mapped - used, 0) ?? 0;
  return {
    ttftP99: pool.ttftSeconds.p99,
    e2eMean: pool.e2eSeconds.mean,
    preemptions: pool.preemptions,
    refusals: pool.refusals,
    slo: pool.sloAttainment,
    maps: pool.maps,
    mapSeconds: pool.mapSeconds + pool.unmapSeconds,
    busySeconds: pool.busyShare * pool.makespanSeconds,
    idleBytes: (pool.mappedShare - pool.usedShare) * pool.poolBytes,
    endBytes: held,
    finished: pool.requests.finished,
    requests: pool.requests.total,
  };
}

function absolute(ref: string): string {
  return /^(examples|test)\//.test(ref) ? `${root}${ref}` : ref;
}
