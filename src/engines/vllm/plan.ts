// One start of vLLM, planned: options resolved, weights and memory per rank, KV specs per stage, the plan of the cache, the
// verdict in the engine's words. Every step is a module of its own; this file only carries the figures from one to the next.
import type { Architecture } from '../../architecture/types.ts';
import type { Diagnostic } from '../../diagnostics.ts';
import type { PlanRequest } from '../../plan/request.ts';
import type { DevicePlan, FigureExplanation, KvCachePlan, Plan, WorkloadPlan } from '../../plan/types.ts';
import { resolveOptions } from './defaults/index.ts';
import type { DefaultsRules } from './defaults/rules.ts';
import { explainKv } from './kv/explain.ts';
import { longestLength, requestBlocks, requestContext } from './kv/need.ts';
import { planKvCache } from './kv/plan.ts';
import type { KvSpecs } from './kv/specs.ts';
import type { KvPlan, KvPlanInput, KvProfile } from './kv/types.ts';
import { architectureOf, stagesOf, weightsOf } from './memo.ts';
import { asSure, refusedItems } from './memory/assumed.ts';
import { memoryBudget, memoryItems } from './memory/index.ts';
import type { MemoryRules } from './memory/rules.ts';
import { startupLog } from './messages/index.ts';
import type { Profile } from './profile.ts';
import type { Rank } from './rank.ts';
import type { RegistryEntry } from './registry.ts';
import { replicaNote } from './replicas.ts';
import type { ResolvedOptions } from './resolved.ts';
import { verdictOf } from './verdict.ts';
import type { RankWeights } from './weights/types.ts';

/** A plan without what needs other plans or the flag tables: suggestions, flags, command. */
export interface VllmPlanned {
  plan: Plan;
  resolved: ResolvedOptions;
  architecture: Architecture;
  kv: KvPlan;
  ranks: readonly Rank[];
  /** Where the figures of the cache come from; left out of `plan` likewise. */
  explainKv(): FigureExplanation[];
  /** The lines the engine is expected to print; left out of `plan` because sweeps do not read them. */
  startupLog(): string[];
  /** Sequences of so many tokens that the pool holds at once, on one replica. */
  sequencesAt(length: number): number;
  /** Blocks of the pool that a sequence of so many tokens holds. */
  blocksAt(length: number): number;
  diagnostics: Diagnostic[];
}

/** What a sweep over thousands of plans can do without. */
export interface PlanDepth {
  /** The leaves of every device's budget and the groups of the cache. */
  devices?: boolean;
}

export function planVllm(
  request: PlanRequest,
  registry: readonly RegistryEntry[],
  { devices: withDevices = true }: PlanDepth = {},
): VllmPlanned {
  const { spec, profile, options } = request;
  const architecture = architectureOf(spec);
  const defaults = resolveOptions({
    options,
    spec,
    architecture,
    gpu: request.gpus[0]!,
    profile: profile as Profile<DefaultsRules>,
  });
  const { resolved } = defaults;
  const { ranks, error: weightsError } = planRanks(request, architecture, resolved);
  const specs = stagesOf({ request, architecture, resolved });
  const loaded = weightsError === undefined ? ranks : [];
  const input = kvInput(request, resolved, specs, loaded);
  const kv = planKvCache(input);
  const { workload, headroomBytes } = requirement(request, input, kv, ranks);
  const checks = { request, registry, defaults, weightsError, ranks, kv, resolved };
  const verdict = verdictOf(checks, headroomBytes, workload);
  const devices = withDevices ? ranks.map((rank) => devicePlan(rank, kv, request, weightsError !== undefined)) : [];
  const available = Math.max(0, leastAvailable(loaded, options.kvCacheMemoryBytes));
  const kvCache = kvCachePlan(kv, available, withDevices);
  const plan: Plan = {
    verdict,
    devices,
    kvCache,
    workload,
    startupLog: [],
    flags: [],
    command: '',
    suggestions: [],
  };
  const blocksAt = (length: number): number => requestBlocks(kv.groups, length, requestContext(input));
  const sequencesAt = (length: number): number => {
    const blocks = blocksAt(length);
    return blocks > 0 ? Math.floor(kv.usableBlocks / blocks) : 0;
  };
  const given = options.kvCacheMemoryBytes !== undefined;
  const explain = (): FigureExplanation[] =>
    explainKv(kv, kvCache.bytes, (profile as KvProfile)['kv.tokensLine'], given);
  const log = (): string[] =>
    loaded.length > 0
      ? [...specs.logLines, ...startupLog({ profile, resolved, ranks, kv, kvCache }), ...kv.logLines]
      : [];
  const diagnostics = [...defaults.diagnostics, ...replicaNote(resolved, architecture), ...kv.warnings.map(kvWarning)];
  return {
    plan,
    resolved,
    architecture,
    kv,
    ranks,
    startupLog: log,
    explainKv: explain,
    sequencesAt,
    blocksAt,
    diagnostics,
  };
}

/** Weights and memory of every rank, stage by stage; ranks of one stage on one kind of GPU are alike unless experts divide unevenly. */
function planRanks(
  request: PlanRequest,
  architecture: Architecture,
  resolved: ResolvedOptions,
): { ranks: Rank[]; error?: string } {
  const { tensorParallelSize: tp, pipelineParallelSize: pp } = resolved;
  const ranks: Rank[] = [];
  let error: string | undefined;
  for (let stage = 0; stage < pp; stage++) {
    for (let tensorRank = 0; tensorRank < tp; tensorRank++) {
      const rank = stage * tp + tensorRank;
      const gpu = request.gpus[rank] ?? request.gpus[0]!;
      const before = tensorRank > 0 ? ranks[rank - 1] : undefined;
      if (before && before.gpu === gpu && isAlike(request, resolved, tensorRank)) {
        ranks.push({ ...before, rank });
        continue;
      }
      const place = { tensorRank, stage };
      const planned = weightsOf({ request, architecture, resolved, gpu, place });
      if ('error' in planned) error ??= planned.error;
      const weights: RankWeights =
        'error' in planned ? { tensorBytes: 0, loadedBytes: 0, parts: {}, confidence: 'estimated' } : planned;
      const budget = memoryBudget({
        spec: request.spec,
        architecture,
        options: resolved,
        gpu,
        profile: request.profile as Profile<MemoryRules>,
        place,
        weights,
        ...(request.freeMemoryBytes ? { freeBytes: request.freeMemoryBytes[rank] ?? request.freeMemoryBytes[0]! } : {}),
      });
      ranks.push({ rank, stage, gpu, weights, budget });
    }
  }
  return error === undefined ? { ranks } : { ranks, error };
}

/** Whether this rank of a stage is like the one before it: no experts dealt out, the same memory free, no driver rank (V0). */
function isAlike({ freeMemoryBytes }: PlanRequest, resolved: ResolvedOptions, tensorRank: number): boolean {
  const sameFree = freeMemoryBytes === undefined || freeMemoryBytes.length === 1;
  return !resolved.enableExpertParallel && sameFree && (resolved.engine === 'v1' || tensorRank > 1);
}

function kvInput(
  request: PlanRequest,
  resolved: ResolvedOptions,
  { stages, disableHybridManager, error }: KvSpecs,
  ranks: readonly Rank[],
): KvPlanInput {
  const { options } = request;
  const availableBytes = stages.map((_, stage) =>
    leastAvailable(
      ranks.filter((rank) => rank.stage === stage),
      options.kvCacheMemoryBytes,
    ),
  );
  return {
    profile: request.profile as KvProfile,
    engine: resolved.engine,
    stages,
    availableBytes,
    maxModelLen: resolved.maxModelLen,
    autoMaxModelLen: resolved.autoMaxModelLen,
    maxNumBatchedTokens: resolved.maxNumBatchedTokens,
    maxConcurrentBatches: resolved.maxConcurrentBatches,
    decodeContextParallelSize: resolved.decodeContextParallelSize,
    ...(options.numGpuBlocksOverride === undefined ? {} : { numGpuBlocksOverride: options.numGpuBlocksOverride }),
    disableHybridManager,
    error,
  };
}

/** The requirement (--context, --concurrency) and its inverses; headroom against it, or against one full-length request. */
function requirement(
  request: PlanRequest,
  input: KvPlanInput,
  kv: KvPlan,
  ranks: readonly Rank[],
): { workload: WorkloadPlan | null; headroomBytes: number } {
  const context = requestContext(input);
  const blocksAt = (length: number): number => requestBlocks(kv.groups, length, context);
  const headroom = (length: number, sequences: number): number =>
    Math.min(
      ...input.availableBytes.map(
        (bytes, stage) => bytes - blocksAt(length) * sequences * (kv.stageBytesPerBlock[stage] ?? kv.bytesPerBlock),
      ),
    );
  const asked = request.context ?? (request.concurrency === undefined ? undefined : kv.maxModelLen);
  if (asked === undefined || kv.groups.length === 0)
    return { workload: null, headroomBytes: headroom(kv.maxModelLen, 1) };
  const concurrency = request.concurrency ?? 1;
  const holds = (length: number, sequences: number): boolean => blocksAt(length) * sequences <= kv.usableBlocks;
  const perSequence = blocksAt(asked);
  const maxConcurrencyAtContext = perSequence > 0 ? Math.floor(kv.usableBlocks / perSequence) : 0;
  const replicas = ranks.length > 0 ? request.options.dataParallelSize : 1;
  return {
    workload: {
      context: asked,
      concurrency,
      fits: asked <= kv.maxModelLen && holds(asked, Math.ceil(concurrency / replicas)),
      maxConcurrencyAtContext: maxConcurrencyAtContext * replicas,
      maxContextAtConcurrency: longestLength(kv.maxModelLen, (length) =>
        holds(length, Math.ceil(concurrency / replicas)),
      ),
    },
    headroomBytes: headroom(asked, Math.ceil(concurrency / replicas)),
  };
}

/** What the tightest of these ranks has for the KV cache; nothing where the engine refuses before it loads (no ranks). */
function leastAvailable(ranks: readonly Rank[], given: number | undefined): number {
  return ranks.length === 0 ? 0 : Math.min(...ranks.map(({ budget }) => given ?? Math.floor(budget.availableBytes)));
}

function devicePlan(
  { rank, stage, gpu, weights, budget }: Rank,
  kv: KvPlan,
  { assumedArchitecture, options }: PlanRequest,
  refused: boolean,
): DevicePlan {
  const given = options.kvCacheMemoryBytes !== undefined || options.numGpuBlocksOverride !== undefined;
  const bytesPerBlock = kv.stageBytesPerBlock[stage] ?? kv.bytesPerBlock;
  const items = memoryItems(budget, { numBlocks: kv.numBlocks, bytesPerBlock, given });
  const shown = refused ? refusedItems(items, budget.totalBytes) : asSure(items, gpu, assumedArchitecture);
  return {
    rank,
    gpu: gpu.id,
    totalBytes: budget.totalBytes,
    budgetBytes: budget.requestedBytes,
    weights: { tensorBytes: weights.tensorBytes, loadedBytes: budget.weights.loadedBytes },
    items: shown,
  };
}

function kvCachePlan(kv: KvPlan, bytes: number, withGroups: boolean): KvCachePlan {
  const groups = new Map<
    string,
    { kind: string; layers: number; blockSize: number; pageBytes: number; count: number }
  >();
  for (const { kind, layers, blockSize, pageBytes } of withGroups ? kv.groups : []) {
    const key = `${kind}/${layers}/${blockSize}/${pageBytes}`;
    const same = groups.get(key);
    if (same) same.count++;
    else groups.set(key, { kind: kindNames[kind] ?? kind, layers, blockSize, pageBytes, count: 1 });
  }
  return {
    bytes,
    blockSize: kv.blockSize,
    numBlocks: kv.numBlocks,
    tokens: kv.tokens,
    maxConcurrency: kv.maxConcurrency,
    maxModelLen: kv.maxModelLen,
    bytesPerBlock: kv.bytesPerBlock,
    bytesPerToken: kv.bytesPerToken,
    groups: [...groups.values()],
    figures: [],
  };
}

/** The contract's names of the group kinds. */
const kindNames: Readonly<Record<string, string>> = {
  full: 'full-attention',
  window: 'sliding-window',
  chunked: 'chunked-local',
  'window-mla': 'sliding-window-mla',
};

function kvWarning(message: string): Diagnostic {
  return { severity: 'note', code: 'VRAM511', message };
}
