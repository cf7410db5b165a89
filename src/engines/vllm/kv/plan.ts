// From layer specs and memory to blocks, tokens and concurrency, as the engine computes and prints them, and whether it
// would start. Source: vllm/v1/core/kv_cache_utils.py get_kv_cache_configs and its report, 0.7 to 0.32; kv_cache_planning.py
// in 0.33; V0: worker/worker.py determine_num_available_blocks, 0.6 to 0.10.
import { autoLengthLine, capacityCheck, fitLength } from './capacity.ts';
import { groupLayers, isUngroupable } from './groups.ts';
import { type RequestContext, requestBlocks, requestContext } from './need.ts';
import type { KvGroup, KvGrouping, KvPlan, KvPlanInput, KvProfile, KvRefusal, KvUngroupable } from './types.ts';

/** Everything the engine derives from the memory left for the cache. Cheap: no loop runs over blocks or tokens. */
export function planKvCache(input: KvPlanInput): KvPlan {
  const rules = rulesOf(input);
  const grouping = groupingOf(rules, input);
  if (isUngroupable(grouping)) return refused(input, grouping.error);
  if (grouping.groups.length === 0 && input.error !== undefined) return refused(input, input.error);
  if (grouping.groups.length === 0) return attentionFree(input);
  const context = requestContext(input);
  const error = contextParallelError(rules, input, grouping.groups);
  if (error) return refused(input, error);

  const blocks = input.availableBytes.map((bytes, stage) => Math.floor(bytes / grouping.bytesPerBlock[stage]!));
  const numBlocks = input.numGpuBlocksOverride ?? Math.max(0, Math.min(...blocks));
  const check = { rules, input, grouping, context, numBlocks };
  const auto = input.autoMaxModelLen ? fitLength(check) : undefined;
  if (auto?.length === 0) return refused(input, cannotFit);
  const maxModelLen = auto?.length ?? input.maxModelLen;
  const refusal: KvRefusal | null =
    input.error === undefined ? capacityCheck({ ...check, maxModelLen }) : { kind: 'unsupported', error: input.error };

  const blockSize = Math.min(...grouping.groups.map((group) => group.blockSize));
  const perRequest = requestBlocks(grouping.groups, maxModelLen, context);
  const maxConcurrency = concurrency(rules, grouping, numBlocks, maxModelLen, context);
  const bytesPerBlock = Math.max(...grouping.bytesPerBlock);
  return {
    refusal,
    numBlocks,
    usableBlocks: input.engine === 'v0' ? numBlocks : Math.max(0, numBlocks - 1),
    blockSize,
    bytesPerBlock,
    stageBytesPerBlock: grouping.bytesPerBlock,
    bytesPerToken: maxModelLen > 0 ? (perRequest * bytesPerBlock) / maxModelLen : 0,
    tokens: tokensLine(rules, input, grouping.groups, numBlocks, maxConcurrency, maxModelLen),
    maxConcurrency,
    maxModelLen,
    blocksPerRequest: perRequest,
    groups: grouping.groups,
    warnings: grouping.warnings,
    logLines: auto ? [autoLengthLine(rules, input.maxModelLen, auto)] : [],
  };
}

const cannotFit =
  'ValueError: Cannot auto-fit max_model_len: not enough GPU memory available to serve even a single token. ' +
  'Try increasing `gpu_memory_utilization`.';

/** The rules that hold for this start: V0 knows one kind of block and checks tokens against it. */
function rulesOf(input: Pick<KvPlanInput, 'profile' | 'engine'>): KvProfile {
  return input.engine === 'v0' ? { ...input.profile, ...v0Rules } : input.profile;
}

const v0Rules = {
  'kv.groups': 'none',
  'kv.uniformTypeGroup': true,
  'kv.packing': 'none',
  'kv.tokensLine': 'blocksTimesBlockSize',
  'kv.concurrency': 'tokensOverLength',
  'kv.capacityCheck': 'tokens',
} as const;

const groupings = new WeakMap<object, { key: string; grouping: KvGrouping | KvUngroupable }>();

/** Grouping depends on layers and rules alone: sweeps over memory and length reuse it. */
function groupingOf(rules: KvProfile, input: KvPlanInput): KvGrouping | KvUngroupable {
  const key = `${rules.version}/${input.engine}/${input.disableHybridManager === true}`;
  const known = groupings.get(input.stages);
  if (known?.key === key) return known.grouping;
  const grouping = groupLayers(rules, input.stages, input.disableHybridManager);
  groupings.set(input.stages, { key, grouping });
  return grouping;
}

/**
 * Requests of maximal length that the pool holds at once. From 0.27: blocks / sum over groups of a request's blocks; 0.9 to
 * 0.26 the request's bytes over the page of the first group (0.24 to 0.26: of the first layer of each group), which differs
 * only where pages do; before, tokens / length.
 */
function concurrency(
  rules: KvProfile,
  { groups }: KvGrouping,
  numBlocks: number,
  length: number,
  context: RequestContext,
): number {
  switch (rules['kv.concurrency']) {
    case 'tokensOverLength':
      return (numBlocks * groups[0]!.blockSize) / length;
    case 'bytesOverFirstPage': {
      let bytes = 0;
      for (const group of groups) bytes += requestBlocks([group], length, context) * group.pageBytes;
      return numBlocks / Math.ceil(bytes / groups[0]!.pageBytes);
    }
    case 'bytesOverFirstLayer': {
      let bytes = 0;
      for (const group of groups) bytes += requestBlocks([group], length, context) * group.specs[0]!.pageBytes;
      return numBlocks / Math.ceil(bytes / groups[0]!.specs[0]!.pageBytes);
    }
    case 'blocksOverRequestBlocks':
      return numBlocks / requestBlocks(groups, length, context);
  }
}

/** "GPU KV cache size: N tokens" in the words of the release; V0 prints blocks, their tokens are given. */
function tokensLine(
  rules: KvProfile,
  input: KvPlanInput,
  groups: readonly KvGroup[],
  numBlocks: number,
  maxConcurrency: number,
  length: number,
): number {
  const blockSize = Math.min(...groups.map((group) => group.blockSize));
  switch (rules['kv.tokensLine']) {
    case 'none':
    case 'blocksTimesBlockSize':
      return numBlocks * blockSize;
    case 'blocksOverGroups':
      return Math.floor(numBlocks / groups.length) * blockSize * (input.decodeContextParallelSize ?? 1);
    case 'concurrencyTimesLength':
      return Math.trunc(maxConcurrency * length);
  }
}

function contextParallelError(rules: KvProfile, input: KvPlanInput, groups: readonly KvGroup[]): string | undefined {
  if ((input.decodeContextParallelSize ?? 1) === 1) return undefined;
  const hasWindow = groups.some((group) =>
    group.specs.some(({ kind }) => /^(?:window|window-mla|chunked)$/.test(kind)),
  );
  if (hasWindow) return 'AssertionError: DCP not support sliding window.';
  if (groups.length > 1 && rules['kv.contextParallelGroups'] === 'one') {
    return 'AssertionError: DCP not support hybrid attn now.';
  }
  return undefined;
}

/** Models without a cache: the pool still has its null block. */
function attentionFree(input: KvPlanInput): KvPlan {
  return { ...empty(input), numBlocks: 1, refusal: null };
}

function refused(input: KvPlanInput, error: string): KvPlan {
  return { ...empty(input), refusal: { kind: 'unsupported', error } };
}

function empty(input: KvPlanInput): KvPlan {
  return {
    refusal: null,
    numBlocks: 0,
    usableBlocks: 0,
    blockSize: 16,
    bytesPerBlock: 0,
    stageBytesPerBlock: [],
    bytesPerToken: 0,
    tokens: 0,
    maxConcurrency: 0,
    maxModelLen: input.maxModelLen,
    blocksPerRequest: 0,
    groups: [],
    warnings: [],
    logLines: [],
  };
}
