// Whether a start succeeds, and if not what stops it first, in the order in which the engine would meet it and in its words.
import { thousands } from '../../numbers.ts';
import type { PlanRequest } from '../../plan/request.ts';
import type { Verdict, WorkloadPlan } from '../../plan/types.ts';
import { GiB } from '../../units.ts';
import type { DefaultsResult } from './defaults/index.ts';
import type { KvPlan } from './kv/types.ts';
import { refusalText } from './messages/index.ts';
import type { Profile } from './profile.ts';
import { type QuantizationRules, quantizationRefusal } from './quantization-support.ts';
import type { Rank } from './rank.ts';
import { type RegistryEntry, supportOf } from './registry.ts';
import type { ResolvedOptions } from './resolved.ts';

export interface Checks {
  request: PlanRequest;
  registry: readonly RegistryEntry[];
  defaults: DefaultsResult;
  weightsError: string | undefined;
  ranks: readonly Rank[];
  kv: KvPlan;
  resolved: ResolvedOptions;
}

/** Why the engine does not start: the reason in one line, its own text, and the memory that is missing (0: not memory). */
export interface StartError {
  reason: string;
  text: string;
  shortfallBytes: number;
}

export function verdictOf(checks: Checks, headroomBytes: number, workload: WorkloadPlan | null): Verdict {
  const error = firstError(checks);
  const workloadReason =
    workload?.fits === false
      ? `${thousands(workload.concurrency)} sequences of ${thousands(workload.context)} tokens do not fit at once`
      : null;
  const shortfall = error ? error.shortfallBytes : workloadReason ? Math.max(0, -headroomBytes) : undefined;
  return {
    fits: error === undefined,
    capacityFits: checks.kv.refusal === null,
    headroomBytes: Math.floor(headroomBytes),
    headroomGiB: Math.floor((headroomBytes / GiB) * 100) / 100,
    ...(shortfall === undefined ? {} : { shortfallBytes: Math.ceil(shortfall) }),
    reason: error?.reason ?? workloadReason,
    engineError: error?.text ?? null,
  };
}

function firstError(checks: Checks): StartError | undefined {
  const { defaults, weightsError } = checks;
  const refused = (reason: string, text: string): StartError => ({ reason, text, shortfallBytes: 0 });
  return (
    unknownArchitecture(checks) ??
    (defaults.error ? refused('the engine refuses these options', defaults.error) : undefined) ??
    quantizationRefused(checks) ??
    (weightsError ? refused('the engine refuses this layout', weightsError) : undefined) ??
    weightsTooLarge(checks) ??
    lackingFreeMemory(checks) ??
    kvRefused(checks) ??
    overcommitted(checks)
  );
}

function unknownArchitecture({ request, registry }: Checks): StartError | undefined {
  const { architecture } = request.spec;
  const support = supportOf(registry, architecture, request.release);
  if (support.supported || request.assumedArchitecture !== undefined) return undefined;
  const when = support.since
    ? `; the first release that does is ${support.since}`
    : support.until
      ? `; the last release that did is ${support.until}`
      : '';
  return {
    reason: `vLLM ${request.version} does not know ${architecture}${when}`,
    text: `ValueError: Model architectures ['${architecture}'] are not supported for now.`,
    shortfallBytes: 0,
  };
}

function quantizationRefused({ request }: Checks): StartError | undefined {
  const text = quantizationRefusal(request.scheme, request.gpus[0]!, request.profile as Profile<QuantizationRules>);
  return text === undefined ? undefined : { reason: 'the GPU cannot run this quantization', text, shortfallBytes: 0 };
}

function weightsTooLarge({ ranks }: Checks): StartError | undefined {
  const short = ranks.find(({ budget, weights }) => weights.loadedBytes > budget.initialFreeBytes);
  if (!short) return undefined;
  return {
    reason: `the weights alone need ${(short.weights.loadedBytes / GiB).toFixed(2)} GiB of GPU ${short.rank}`,
    text: outOfMemory(short),
    shortfallBytes: short.weights.loadedBytes - short.budget.initialFreeBytes,
  };
}

function lackingFreeMemory({ request, ranks, resolved }: Checks): StartError | undefined {
  const { rank, budget } = ranks.reduce((a, b) => (b.budget.freeShortfallBytes > a.budget.freeShortfallBytes ? b : a));
  if (budget.freeShortfallBytes <= 0) return undefined;
  return {
    reason: `less memory is free on GPU ${rank} than the utilization asks for`,
    text: refusalText({ kind: 'free-memory', rank, budget, profile: request.profile, resolved }),
    shortfallBytes: budget.freeShortfallBytes,
  };
}

function kvRefused({ request, kv, ranks, resolved }: Checks): StartError | undefined {
  const { refusal } = kv;
  if (!refusal) return undefined;
  if (refusal.kind === 'unsupported') {
    return { reason: 'the engine cannot plan this KV cache', text: refusal.error, shortfallBytes: 0 };
  }
  const text = refusalText({ kind: 'kv', refusal, kv, profile: request.profile, resolved });
  if (refusal.kind === 'too-long') {
    return {
      reason: `one sequence of ${thousands(refusal.maxModelLen)} tokens does not fit into the KV cache`,
      text,
      shortfallBytes: refusal.neededBytes - refusal.availableBytes,
    };
  }
  const missing = Math.max(0, ...ranks.map(({ budget }) => -budget.availableBytes));
  return { reason: 'nothing is left for the KV cache', text, shortfallBytes: missing };
}

/** A KV cache of a given size is allocated without profiling: it may simply not be there. */
function overcommitted({ request, ranks, kv }: Checks): StartError | undefined {
  const given = request.options.kvCacheMemoryBytes;
  if (given === undefined && request.options.numGpuBlocksOverride === undefined) return undefined;
  const kvBytes = ({ stage }: Rank): number =>
    given ?? kv.numBlocks * (kv.stageBytesPerBlock[stage] ?? kv.bytesPerBlock);
  const needed = (rank: Rank): number => rank.weights.loadedBytes + kvBytes(rank) + rank.budget.activations.bytes;
  const short = ranks.find((rank) => needed(rank) > rank.budget.initialFreeBytes);
  if (!short) return undefined;
  return {
    reason: `the KV cache asked for is larger than what GPU ${short.rank} has beside the weights`,
    text: outOfMemory(short),
    shortfallBytes: needed(short) - short.budget.initialFreeBytes,
  };
}

/** PyTorch's text (c10/cuda/CUDACachingAllocator.cpp); the size of the allocation that fails is not predicted. */
function outOfMemory({ rank, budget }: Rank): string {
  return `torch.OutOfMemoryError: CUDA out of memory. Tried to allocate ... GPU ${rank} has a total capacity of ${(budget.totalBytes / GiB).toFixed(2)} GiB of which ... is free.`;
}
