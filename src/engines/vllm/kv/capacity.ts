// The engine's own check that one request of maximal length fits, the estimate it prints when it does not, and the search of
// --max-model-len auto. Source: vllm/v1/core/kv_cache_utils.py check_enough_kv_cache_memory, 0.7 to 0.32;
// kv_cache_planning.py in 0.33; V0: worker/worker.py raise_if_cache_size_invalid.
import { GiB } from '../../../units.ts';
import { groupBlocks, layerBlocks, longestLength, type RequestContext, requestBlocks } from './need.ts';
import type { KvGrouping, KvPlanInput, KvProfile, KvRefusal } from './types.ts';

export interface CapacityInput {
  rules: KvProfile;
  input: KvPlanInput;
  grouping: KvGrouping;
  context: RequestContext;
  numBlocks: number;
}

/** The refusal of the first worker that cannot hold one request, or null. */
export function capacityCheck(check: CapacityInput & { maxModelLen: number }): KvRefusal | null {
  const { rules, grouping, numBlocks, maxModelLen } = check;
  if (rules['kv.capacityCheck'] === 'tokens') {
    const capacity = numBlocks * (grouping.groups[0]?.blockSize ?? 0);
    if (numBlocks <= 0) return { kind: 'no-memory', availableBytes: Math.min(...check.input.availableBytes) };
    if (maxModelLen <= capacity) return null;
    const bytesPerToken = Math.max(...grouping.bytesPerBlock) / (grouping.groups[0]?.blockSize ?? 1);
    return {
      kind: 'too-long',
      neededBytes: Math.ceil(maxModelLen * bytesPerToken),
      availableBytes: Math.floor(capacity * bytesPerToken),
      estimatedMaxLen: capacity,
      maxModelLen,
    };
  }
  for (const worker of workers(check)) {
    if (worker.availableBytes <= 0) return { kind: 'no-memory', availableBytes: worker.availableBytes };
    const neededBytes = worker.needed(maxModelLen);
    if (neededBytes <= worker.availableBytes) continue;
    const estimatedMaxLen = longestLength(maxModelLen, (length) => worker.needed(length) <= worker.availableBytes);
    return { kind: 'too-long', neededBytes, availableBytes: worker.availableBytes, estimatedMaxLen, maxModelLen };
  }
  return null;
}

/** What --max-model-len auto comes to: the longest length up to input.maxModelLen that every worker can hold. */
export interface AutoLength {
  /** 0 when not even one token fits. */
  length: number;
  /** Memory of the worker that sets it. */
  limitingBytes: number;
}

export function fitLength(check: CapacityInput): AutoLength {
  const { input } = check;
  let fit: AutoLength = { length: input.maxModelLen, limitingBytes: input.availableBytes[0] ?? 0 };
  if (check.rules['kv.capacityCheck'] === 'tokens') {
    const capacity = check.numBlocks * (check.grouping.groups[0]?.blockSize ?? 0);
    return { ...fit, length: Math.min(input.maxModelLen, capacity) };
  }
  for (const { availableBytes, needed } of workers(check)) {
    const length = longestLength(input.maxModelLen, (tokens) => needed(tokens) <= availableBytes);
    if (length < fit.length) fit = { length, limitingBytes: availableBytes };
  }
  return fit;
}

/** The line that the engine logs about the length it found. */
export function autoLengthLine(rules: KvProfile, asked: number, { length, limitingBytes }: AutoLength): string {
  const template = rules['kv.autoLengthLines'];
  const gib = Math.round((limitingBytes / GiB) * 100) / 100;
  return (length >= asked ? template.full : template.reduced)
    .replace('{asked}', String(asked))
    .replace('{length}', String(length))
    .replace('{gib}', Number.isInteger(gib) ? `${gib}.0` : String(gib));
}

interface Worker {
  availableBytes: number;
  /** Bytes that one request of so many tokens is said to need. */
  needed: (length: number) => number;
}

/**
 * What each worker compares. 0.7-0.13: the sum of its layers' own needs, before grouping; 0.14-0.18: pools x page x the first
 * group's blocks only (to 0.16 of the whole model against the smallest worker); 0.19+: the blocks of all groups; 0.29+ with
 * one block, the null block, taken off the memory first.
 */
function workers(check: CapacityInput): Worker[] {
  const { rules, input, grouping, context } = check;
  const rule = rules['kv.capacityCheck'];
  const override = rules['kv.overrideEntersCheck'] ? input.numGpuBlocksOverride : undefined;
  const available = input.availableBytes.map((bytes, stage) =>
    override === undefined ? bytes : override * grouping.bytesPerBlock[stage]!,
  );
  if (rule === 'layers') {
    return available.map((availableBytes, stage) => ({
      availableBytes,
      needed: (length) => layersNeed(input, stage, length, context),
    }));
  }
  if (rules['kv.capacityScope'] === 'wholeModel' && available.length > 1) {
    const bytesPerBlock = wholeModelBytesPerBlock(grouping);
    return [{ availableBytes: Math.min(...available), needed: (length) => bytesPerBlock * blocksOf(check, length) }];
  }
  return available.map((bytes, stage) => ({
    availableBytes: rule === 'groupsAndNullBlock' ? bytes - grouping.bytesPerBlock[stage]! : bytes,
    needed: (length) => grouping.checkedBytesPerBlock[stage]! * blocksOf(check, length),
  }));
}

function blocksOf({ rules, grouping, context }: CapacityInput, length: number): number {
  if (rules['kv.capacityCheck'] === 'firstGroup') return groupBlocks(grouping.groups[0]!, length, context);
  return requestBlocks(grouping.groups, length, context);
}

function layersNeed(input: KvPlanInput, stage: number, length: number, context: RequestContext): number {
  let bytes = 0;
  for (const spec of input.stages[stage]!) bytes += layerBlocks(spec, length, context) * spec.pageBytes;
  return bytes;
}

function wholeModelBytesPerBlock(grouping: KvGrouping): number {
  let most = 0;
  for (const { kind, pageBytes, layers } of grouping.groups) {
    most = Math.max(most, kind === 'uniform' ? pageBytes : pageBytes * layers);
  }
  return most;
}
