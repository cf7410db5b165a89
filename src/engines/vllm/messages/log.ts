// The lines that a release prints about memory while it starts, with the plan's figures in them. Durations are not predicted:
// they stand as "...". vLLM v1/worker/gpu_worker.py, v1/core/kv_cache_utils.py, v1/worker/gpu_model_runner.py.
import type { GpuSpec } from '../../../spec/gpu.ts';
import { divFloor, GiB, MiB } from '../../../units.ts';
import type { KvPlan } from '../kv/types.ts';
import type { MemoryRules } from '../memory/rules.ts';
import type { MemoryBudget } from '../memory/types.ts';
import type { Profile } from '../profile.ts';
import type { ResolvedOptions } from '../resolved.ts';
import { fill, gib, type Values } from './format.ts';
import type { MessageRules } from './rules.ts';

export interface LogFigures {
  profile: Profile;
  resolved: ResolvedOptions;
  /** The engine prints rank 0's memory figures. */
  ranks: readonly { gpu: Pick<GpuSpec, 'vendor'>; budget: MemoryBudget }[];
  kv: Pick<KvPlan, 'numBlocks' | 'tokens' | 'maxConcurrency' | 'maxModelLen' | 'bytesPerBlock'>;
  kvCache: { bytes: number };
}

interface Context {
  rules: Profile<MessageRules>;
  resolved: ResolvedOptions;
  budget: MemoryBudget;
  vendor: string;
  kv: LogFigures['kv'];
  kvBytes: number;
}

/** Swap space of V0: 4 GiB per rank unless set. */
const v0SwapBytes = 4 * GiB;

export function startupLog({ profile, resolved, ranks, kv, kvCache }: LogFigures): string[] {
  const first = ranks[0];
  if (!first) return [];
  const given = resolved.kvCacheMemoryBytes !== undefined;
  const context: Context = {
    rules: profile as Profile<MessageRules>,
    resolved,
    budget: first.budget,
    vendor: first.gpu.vendor,
    kv,
    kvBytes: given || ranks.length === 1 ? kvCache.bytes : first.budget.availableBytes,
  };
  return [
    ...eagleLines(context),
    loadLine(context),
    ...(resolved.engine === 'v0' ? v0Lines(context) : v1Lines(context)),
    ...graphLines(context),
    ...summaryLine(context),
  ];
}

/** EAGLE reads the target's embedding where one stage holds both, and its head; EAGLE-3 has a head of its own. */
function eagleLines({ rules, resolved }: Context): string[] {
  const method = resolved.speculativeConfig?.method;
  const words = rules['messages.eagle'];
  if (!words || resolved.runner === 'v2' || (method !== 'eagle' && method !== 'eagle3')) return [];
  const embedding = resolved.pipelineParallelSize === 1 ? words.sharedEmbedding : words.ownEmbedding;
  const head = method === 'eagle' ? words.sharedHead : words.ownHead;
  return [embedding, head].filter((line) => line !== '');
}

function loadLine({ rules, resolved, budget }: Context): string {
  const rule = resolved.runner === 'v2' ? 'messages.loadSecondRunner' : 'messages.load';
  return fill(rules[rule], { weights: gib(budget.weights.loadedBytes), seconds: '...' });
}

function v0Lines({ rules, resolved, budget, kv, vendor, kvBytes }: Context): string[] {
  const text = fill(rules['messages.v0Profile'], {
    seconds: '...',
    total: gib(budget.totalBytes),
    utilization: resolved.gpuMemoryUtilization,
    requested: gib(budget.requestedBytes),
    weights: gib(budget.weights.loadedBytes),
    nonTorch: gib(budget.nonTorch.bytes),
    activations: gib(budget.activations.bytes),
    peak: gib(budget.weights.loadedBytes + budget.activations.bytes),
    after: gib(budget.weights.loadedBytes + budget.nonTorch.bytes),
    initial: gib(budget.totalBytes - budget.initialFreeBytes),
    kv: gib(kvBytes),
  });
  const blocks = fill(rules['messages.v0Blocks'], {
    device: vendor === 'amd' ? 'rocm' : rules['messages.v0DeviceWord'],
    blocks: kv.numBlocks,
    cpuBlocks: kv.bytesPerBlock > 0 ? divFloor(v0SwapBytes, kv.bytesPerBlock) : 0,
  });
  const concurrency = optional(rules['messages.concurrency'], {
    length: String(kv.maxModelLen),
    concurrency: kv.maxConcurrency,
  });
  return [...text.split('\n'), blocks, ...concurrency];
}

function v1Lines(context: Context): string[] {
  const { rules, resolved, kv, kvBytes } = context;
  const values = {
    tokens: kv.tokens,
    length: kv.maxModelLen,
    concurrency: kv.maxConcurrency,
    blocks: kv.numBlocks,
    device: 'GPU',
  };
  const override =
    resolved.numGpuBlocksOverride === undefined
      ? []
      : optional(rules['messages.override'], {
          profiled: kv.bytesPerBlock > 0 ? Math.max(0, divFloor(kvBytes, kv.bytesPerBlock)) : 0,
          blocks: resolved.numGpuBlocksOverride,
        });
  const pool = optional(rules['messages.tokensAndConcurrency'], values);
  return [
    ...memoryLines(context),
    ...override,
    ...optional(rules['messages.blocks'], values),
    ...(pool.length > 0
      ? pool
      : [...optional(rules['messages.tokens'], values), ...optional(rules['messages.concurrency'], values)]),
  ];
}

/** With a KV cache of a given size nothing is profiled. The profile line is DEBUG in most releases; `vram verify` reads it. */
function memoryLines({ rules, resolved, budget, kvBytes }: Context): string[] {
  if (resolved.kvCacheMemoryBytes !== undefined) {
    return optional(rules['messages.fixedKvBytes'], { free: gib(budget.initialFreeBytes), kv: gib(kvBytes) });
  }
  const { printed, weights, peak } = budget;
  const total =
    printed.consumedBytes === undefined
      ? weights.loadedBytes + printed.nonTorchBytes + peak.total
      : printed.consumedBytes + peak.total - peak.kept;
  return [
    ...estimateLines(rules, resolved, budget),
    ...optional(rules['messages.profile'], {
      seconds: '...',
      total: gib(total),
      peak: gib(peak.total),
      nonTorch: gib(printed.nonTorchBytes),
      consumed: gib(printed.consumedBytes ?? 0),
      weights: gib(weights.loadedBytes),
    }),
    ...optional(rules['messages.kvBytes'], { kv: gib(kvBytes) }),
  ];
}

/** Printed by the first model runner only: how many graphs of each kind, and what two samples of each foretell. */
function estimateLines(rules: Context['rules'], resolved: ResolvedOptions, budget: MemoryBudget): string[] {
  if (!budget.graphEstimateLogged) return [];
  const sizes = resolved.captureSizes;
  const decode = sizes.filter((size) => size <= resolved.maxNumSeqs * (1 + resolved.speculativeTokens));
  const modes = [
    resolved.cudagraphMode.includes('PIECEWISE') ? `PIECEWISE=${sizes.length} (largest=${sizes.at(-1) ?? 0})` : '',
    resolved.cudagraphMode.includes('FULL') ? `FULL=${decode.length} (largest=${decode.at(-1) ?? 0})` : '',
  ].filter((word) => word !== '');
  return [
    ...optional(rules['messages.graphsProfiling'], { modes: modes.join(', ') }),
    ...optional(rules['messages.graphsEstimate'], { estimate: gib(budget.graphEstimate) }),
  ];
}

/** What the release suggests to set instead of a utilization: what it used, with a margin, taken off. */
function summaryLine({ rules, resolved, budget, kvBytes }: Context): string[] {
  if (resolved.engine === 'v0' || resolved.kvCacheMemoryBytes !== undefined) return [];
  const { printed, weights, graphs } = budget;
  const margin = ((rules as Partial<MemoryRules>)['memory.suggestionMarginMib'] ?? 0) * MiB;
  const held = printed.consumedBytes ?? weights.loadedBytes + printed.nonTorchBytes;
  const used = held + printed.activationBytes + graphs.bytes + margin;
  const requestedLimit = Math.trunc(budget.requestedBytes - used);
  const gpuLimit = Math.trunc(budget.initialFreeBytes - used);
  return optional(rules['messages.summary'], {
    free: gib(budget.initialFreeBytes),
    total: gib(budget.totalBytes),
    utilization: String(resolved.gpuMemoryUtilization),
    requested: gib(budget.requestedBytes),
    weights: gib(weights.loadedBytes),
    consumed: gib(printed.consumedBytes ?? 0),
    activations: gib(printed.activationBytes),
    nonTorch: gib(printed.nonTorchBytes),
    graphs: gib(graphs.bytes),
    requestedLimit,
    requestedLimitGib: gib(requestedLimit),
    gpuLimit,
    gpuLimitGib: gib(gpuLimit),
    kvBytes: Math.trunc(kvBytes),
    kv: gib(kvBytes),
  });
}

function graphLines({ rules, resolved, budget }: Context): string[] {
  if (resolved.cudagraphMode === 'NONE') return [];
  return optional(rules['messages.graphsDone'], { seconds: '...', graphs: gib(budget.graphs.bytes) });
}

function optional(template: string | null, values: Values): string[] {
  return template ? [fill(template, values)] : [];
}
