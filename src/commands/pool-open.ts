// A pool file with every reference resolved: GPUs, models with their engines and options, on which GPUs each runs, whose weights are whose,
// policies with their parameters. What `plan --pool` and `simulate --pool` both start from.
import { type Diagnostic, inputError } from '../diagnostics.ts';
import { planVllm, type VllmPlanned } from '../engines/vllm/plan.ts';
import type { Io } from '../io.ts';
import { vllmRegistry } from '../load/flags.ts';
import { resolveGpus, withGpuMemory } from '../load/gpu.ts';
import { resolveLoadings } from '../load/loading.ts';
import { printable } from '../load/names.ts';
import { loadPresets } from '../load/presets.ts';
import { resolveSharing } from '../load/sharing.ts';
import { parseSize } from '../load/size.ts';
import type { PlanRequest } from '../plan/request.ts';
import { assignDevices } from '../plan/sharing/assign.ts';
import type { MeanLoad, PoolInput, PoolMember } from '../plan/sharing/types.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { EngineOptions } from '../spec/options.ts';
import type { PoolModel, PoolSpec } from '../spec/pool.ts';
import type { LoadingPolicy, SharingPolicy } from '../spec/sharing.ts';
import type { SimulationOptions } from '../spec/simulation-options.ts';
import { type ResolvedArguments, resolveArguments } from './plan-request.ts';
import { modelOptions, placed } from './pool-options.ts';
import { sharedWeights } from './pool-shares.ts';
import { checkSpeculation } from './simulate-speculation.ts';

export interface OpenMember {
  /** Its entry in the file, and where that is. */
  model: PoolModel;
  place: string;
  member: PoolMember;
  asked: ResolvedArguments;
  given: Partial<EngineOptions>;
  simulation: SimulationOptions;
}

export interface OpenPool {
  spec: PoolSpec;
  gpus: GpuSpec[];
  members: OpenMember[];
  /** When weights come and go, the chosen behaviour first; none: all stay in memory. */
  loadings: LoadingPolicy[];
  diagnostics: Diagnostic[];
}

export async function openPool(spec: PoolSpec, io: Io): Promise<OpenPool> {
  const { gpus, nodes, diagnostics } = await gpusOf(spec, io);
  const found: Omit<OpenMember, 'member'>[] = [];
  for (const [i, model] of spec.models.entries()) found.push(await opened(spec, model, i, io));
  const devices = devicesOf(spec, found, gpus);
  const requests = found.map(({ asked }, i): PlanRequest => {
    const { gpuMemoryUtilization: _, ...options } = asked.base.options;
    return { ...asked.base, options, gpus: devices[i]!.map((at) => gpus[at]!), ...(nodes ? { nodes } : {}) };
  });
  const shared = sharedWeights(found, requests.map(planned), devices);
  const members = found.map((one, i): OpenMember => {
    const { model, given } = one;
    const { gpuMemoryUtilization: utilization } = given;
    const { id, minBytes, maxBytes } = model;
    return {
      ...one,
      member: {
        id,
        request: requests[i]!,
        devices: devices[i]!,
        ...(utilization === undefined ? {} : { utilization }),
        minBytes,
        maxBytes,
        shared: shared[i]!,
      },
    };
  });
  checkUtilizations(spec, members);
  const own = found.flatMap(({ asked, model }) =>
    asked.diagnostics.map((one) => ({ ...one, message: `${printable(model.id, 40)}: ${one.message}` })),
  );
  return { spec, gpus, members, loadings: loadingsOf(spec), diagnostics: [...diagnostics, ...own] };
}

/** As the file states it, or what weights that are not in memory at the start need. */
function loadingsOf({ file, loadings, models, diskRate, hostMemoryBytes }: PoolSpec): LoadingPolicy[] {
  if (loadings.length === 0 && models.every(({ weights }) => weights === 'resident')) return [];
  const machine = {
    ...(diskRate === undefined ? {} : { diskRate }),
    ...(hostMemoryBytes === undefined ? {} : { hostMemoryBytes }),
  };
  const all = loadings.length > 0 ? loadings : [{}];
  return resolveLoadings(
    all.map((one) => ({ ...one, ...machine })),
    `${file}: loading`,
  );
}

/** What planning takes; `loads` by model, where a policy asks for them. Weights come and go as the first behaviour has it. */
export function poolInput(
  { spec, gpus, members, loadings }: OpenPool,
  loads: readonly (MeanLoad | undefined)[] = [],
  loading: LoadingPolicy | undefined = loadings[0],
): PoolInput {
  return {
    gpus,
    members: members.map(({ member }, i) => (loads[i] ? { ...member, load: loads[i] } : member)),
    ...(spec.gpuMemoryUtilization === undefined ? {} : { utilization: spec.gpuMemoryUtilization }),
    ...(loading && loading.unloads !== 'never' ? { atOnce: loading.maxLoaded ?? Number.POSITIVE_INFINITY } : {}),
    ...(loading?.keepsContext ? { keepsProcesses: true } : {}),
    plan: planned,
  };
}

function planned(request: PlanRequest): VllmPlanned {
  return planVllm(request, vllmRegistry());
}

/** The policies of the file, the chosen one first; `all`: with every other there is. */
export async function poolPolicies(spec: PoolSpec, all: boolean): Promise<SharingPolicy[]> {
  const { file, policies, compare, policyOptions } = spec;
  const named: [id: string, place: string][] = [
    ...policies.map((id): [string, string] => [id, `${file}: policy`]),
    ...(compare === 'all' ? [] : compare).map((id): [string, string] => [id, `${file}: compare`]),
    ...(all ? loadPresets('sharing').map(({ id }): [string, string] => [id, file]) : []),
  ];
  const found: SharingPolicy[] = [];
  const options = new Map(Object.entries(policyOptions).map(([id, own]) => [id.toLowerCase(), own]));
  for (const id of options.keys()) await resolveSharing(id, {}, `${file}: policyOptions.${id}`);
  for (const [id, place] of named) {
    const own = options.get(id.toLowerCase());
    const where = own ? `${file}: policyOptions.${id}` : place;
    const policy = within(await resolveSharing(id, own ? inBytes(own, where) : {}, where), spec);
    if (!found.some((other) => other.id === policy.id)) found.push(policy);
  }
  return found;
}

/** What the file says of all engines together binds the policy that has a share of its own, unless its parameter is stated. */
function within(policy: SharingPolicy, { gpuMemoryUtilization: most = 1, policyOptions }: PoolSpec): SharingPolicy {
  if (policy.kind !== 'kvcached' || policy.gpuUtilization <= most) return policy;
  const isStated = policyOptions[policy.id]?.gpuUtilization !== undefined;
  return isStated ? policy : { ...policy, gpuUtilization: most };
}

/** 4MiB where a parameter is a size. */
function inBytes(options: PoolSpec['policyOptions'][string], place: string): PoolSpec['policyOptions'][string] {
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      typeof value === 'string' && /Bytes$/.test(name) ? parseSize(value, `${place}.${name}`) : value,
    ]),
  );
}

async function gpusOf({ file, gpu, gpuMemory }: PoolSpec, io: Io): Promise<Awaited<ReturnType<typeof resolveGpus>>> {
  try {
    const resolved = await resolveGpus(gpu, { env: io.env });
    return gpuMemory === undefined ? resolved : { ...resolved, gpus: withGpuMemory(resolved.gpus, gpuMemory) };
  } catch (error) {
    throw placed(error, `${file}: gpu`);
  }
}

async function opened(spec: PoolSpec, model: PoolModel, index: number, io: Io): Promise<Omit<OpenMember, 'member'>> {
  const place = `${spec.file}: models.${index}`;
  const { given, simulation } = modelOptions(model, place);
  const engine = model.engine ?? spec.engine;
  try {
    checkSpeculation(given);
    const asked = await resolveArguments(
      {
        model: model.model,
        ...(engine === undefined ? {} : { engine }),
        given,
        require: [],
        matrix: false,
        explain: false,
      },
      io,
    );
    return { model, place, asked, given: asked.given, simulation };
  } catch (error) {
    throw placed(error, place);
  }
}

/** Throws InputError VRAM732 where a model names GPUs that are not there, or not as many as its layout needs. */
function devicesOf(
  { file }: PoolSpec,
  found: readonly Omit<OpenMember, 'member'>[],
  gpus: readonly GpuSpec[],
): number[][] {
  const placedModels = found.map(({ model, place, asked }) => {
    const { tensorParallelSize, pipelineParallelSize } = asked.base.options;
    const needed = tensorParallelSize * pipelineParallelSize;
    const name = printable(model.id);
    const { devices } = model;
    const missing = devices?.find((at) => at >= gpus.length);
    if (missing !== undefined) {
      throw inputError('VRAM732', `${name} is to run on GPU ${missing}, and the last is GPU ${gpus.length - 1}`, {
        hint: `GPUs are counted from 0; more of them: gpu: "${missing + 1}x ..."`,
        path: `${place}.devices`,
      });
    }
    if ((devices?.length ?? gpus.length) < needed || (devices && devices.length !== needed)) {
      const has = devices ? `names ${devices.length}` : `there ${gpus.length === 1 ? 'is' : 'are'} ${gpus.length}`;
      throw inputError(
        'VRAM732',
        `the layout of ${name} needs ${needed} GPU${needed === 1 ? '' : 's'} (tp x pp), and ${devices ? 'it ' : ''}${has}`,
        {
          hint: devices
            ? 'name as many devices as the layout has'
            : `gpu: "${needed}x ..." in ${file}, or a smaller tensor-parallel-size`,
          path: devices ? `${place}.devices` : place,
        },
      );
    }
    const { plan } = planned({ ...asked.base, gpus: devices ? devices.map((at) => gpus[at]!) : [gpus[0]!] });
    return { bytes: Math.max(...plan.devices.map(({ weights }) => weights.loadedBytes)), needed, devices };
  });
  return assignDevices(
    placedModels,
    gpus.map(({ cudaTotalBytes }) => cudaTotalBytes),
  );
}

function checkUtilizations(spec: PoolSpec, members: readonly OpenMember[]): void {
  const stated = members.filter(({ member }) => member.utilization !== undefined);
  const most = spec.gpuMemoryUtilization ?? 1;
  for (const { member, place } of stated) {
    const others = stated.filter((other) => other.member.devices.some((gpu) => member.devices.includes(gpu)));
    const all = others.reduce((sum, other) => sum + other.member.utilization!, 0);
    if (all <= most + 1e-9) continue;
    throw inputError(
      'VRAM733',
      `the engines of one GPU state ${Number(all.toFixed(4))} of it together, more than ${most}`,
      {
        hint: 'leave gpu-memory-utilization out, and the policy divides the GPU',
        path: `${place}.options.gpu-memory-utilization`,
      },
    );
  }
}
