// Splits the layers of a model into KV cache groups and says what one block id costs on every pipeline stage. Source:
// vllm/v1/core/kv_cache_utils.py get_kv_cache_groups, 0.8 to 0.32, and kv_cache_planning.py, 0.33. Which of the rules holds
// in a release is data (kv.yaml).
import { divCeil } from '../../../units.ts';
import { allMerge, bucketBy, identityKey, isUniformType, mergeKey, type PlacedLayer } from './merge.ts';
import { packedBytes, packGroups } from './packed.ts';
import type { KvGroup, KvGrouping, KvGroupStage, KvLayerSpec, KvProfile, KvUngroupable } from './types.ts';
import { hybridOffWarning, promoteLocal, unifyPages } from './unify.ts';

export function isUngroupable(value: object): value is KvUngroupable {
  return 'error' in value;
}

/** The groups of the whole model; up to 0.10 every stage is grouped by itself. */
export function groupLayers(
  profile: KvProfile,
  stages: readonly (readonly KvLayerSpec[])[],
  disableHybridManager = false,
): KvGrouping | KvUngroupable {
  if (profile['kv.groups'] === 'wholeModel' || stages.length === 1) {
    return groupModel(profile, stages, disableHybridManager);
  }
  const each: KvGrouping[] = [];
  for (const stage of stages) {
    const grouping = groupModel(profile, [stage], disableHybridManager);
    if (isUngroupable(grouping)) return grouping;
    each.push(grouping);
  }
  return {
    groups: each[0]!.groups,
    // A stage whose layers all read another layer's cache holds none: it does not bound the pool.
    bytesPerBlock: each.map((grouping) => grouping.bytesPerBlock[0] ?? 0),
    checkedBytesPerBlock: each.map((grouping) => grouping.checkedBytesPerBlock[0] ?? 0),
    warnings: each.flatMap((grouping) => grouping.warnings),
  };
}

function groupModel(
  profile: KvProfile,
  stages: readonly (readonly KvLayerSpec[])[],
  disableHybridManager: boolean,
): KvGrouping | KvUngroupable {
  let placed: PlacedLayer[] = stages.flatMap((specs, stage) => specs.map((spec) => ({ spec, stage })));
  const warnings: string[] = [];
  if (placed.length === 0) return { groups: [], bytesPerBlock: [], checkedBytesPerBlock: [], warnings };
  if (disableHybridManager || profile['kv.groups'] === 'none') {
    const promoted = promoteLocal(placed.map(({ spec }) => spec));
    if (isUngroupable(promoted)) return promoted;
    if (promoted.some((spec, i) => spec !== placed[i]!.spec)) warnings.push(hybridOffWarning);
    placed = promoted.map((spec, i) => ({ spec, stage: placed[i]!.stage }));
  }
  const groups = formGroups(profile, placed, stages.length, warnings);
  if (isUngroupable(groups)) return groups;
  const packed = packedBytes(profile, groups, stages.length);
  const plain = packed ?? plainBytes(profile, groups, stages.length);
  return { groups, warnings, ...plain };
}

function formGroups(
  profile: KvProfile,
  placed: readonly PlacedLayer[],
  stageCount: number,
  warnings: string[],
): readonly KvGroup[] | KvUngroupable {
  const specs = placed.map(({ spec }) => spec);
  if (allMerge(specs)) return [makeGroup(placed, stageCount, false)];
  if (isUniformType(specs)) {
    if (profile['kv.uniformTypeGroup']) return [makeGroup(placed, stageCount, true)];
    if (new Set(specs.map((spec) => spec.pageBytes)).size > 1) return { error: 'NotImplementedError' };
  }
  const packed = packGroups(profile, placed);
  if (packed) return packed.map((layers) => makeGroup(layers, stageCount, true));
  const unified = unifyPages(specs, profile['kv.pageUnification']);
  if (!isUngroupable(unified)) {
    const layers = unified.map((spec, i) => ({ spec, stage: placed[i]!.stage }));
    return splitBuckets(profile, layers, warnings).map((group) => makeGroup(group, stageCount, false));
  }
  return fullAllocation(profile, placed, stageCount, warnings) ?? unified;
}

/** 0.27 and later: MLA beside an incompatible window draft is allocated as full attention. */
function fullAllocation(
  profile: KvProfile,
  placed: readonly PlacedLayer[],
  stageCount: number,
  warnings: string[],
): readonly KvGroup[] | undefined {
  const kinds = new Set(placed.map(({ spec }) => spec.kind));
  const isCandidate = kinds.has('mla') && kinds.has('window') && !kinds.has('window-mla') && !kinds.has('chunked');
  if (!profile['kv.localFallback'] || !isCandidate) return undefined;
  const promoted = promoteLocal(placed.map(({ spec }) => spec));
  if (isUngroupable(promoted)) return undefined;
  warnings.push(
    'KV cache page sizes cannot be unified; treating sliding-window layers as full attention for cache allocation. Sliding-window attention compute is unchanged.',
  );
  const layers = promoted.map((spec, i) => ({ spec, stage: placed[i]!.stage }));
  return [makeGroup(layers, stageCount, true)];
}

/**
 * Layers of one spec form a bucket; buckets are cut into groups of one size: the smallest bucket, or the largest when it is
 * less than `kv.groupSizeFactor` times the smallest. Group i takes layers i, i + g, i + 2g, ... of its bucket.
 */
function splitBuckets(profile: KvProfile, placed: readonly PlacedLayer[], warnings: string[]): PlacedLayer[][] {
  const keyOf = profile['kv.buckets'] === 'mergeable' ? mergeKey : identityKey;
  const buckets = bucketBy(placed, ({ spec }) => keyOf(spec));
  const sizes = [...buckets.values()].map((layers) => layers.length);
  const smallest = Math.min(...sizes);
  const largest = Math.max(...sizes);
  const size = largest < smallest * profile['kv.groupSizeFactor'] ? largest : smallest;
  const groups: PlacedLayer[][] = [];
  for (const layers of buckets.values()) {
    const padding = size - (layers.length % size);
    if (padding !== size) {
      const waste = ((padding / layers.length) * 100).toFixed(2);
      warnings.push(`Add ${padding} padding layers, may waste at most ${waste}% KV cache memory`);
    }
    const count = divCeil(layers.length, size);
    for (let i = 0; i < count; i++) groups.push(layers.filter((_, at) => at % count === i));
  }
  return groups;
}

function makeGroup(placed: readonly PlacedLayer[], stageCount: number, uniform: boolean): KvGroup {
  const specs = [...bucketBy(placed, ({ spec }) => identityKey(spec)).values()].map((layers) => layers[0]!.spec);
  const first = placed[0]!.spec;
  const stages: KvGroupStage[] = [];
  for (let stage = 0; stage < stageCount; stage++) {
    const perPage = new Map<number, number>();
    let layers = 0;
    let pageBytes = 0;
    for (const layer of placed) {
      if (layer.stage !== stage) continue;
      layers++;
      pageBytes += layer.spec.pageBytes;
      perPage.set(layer.spec.pageBytes, (perPage.get(layer.spec.pageBytes) ?? 0) + 1);
    }
    stages.push({ layers, pageBytes, perPage });
  }
  const total = stages.reduce((sum, stage) => sum + stage.pageBytes, 0);
  return {
    kind: uniform ? 'uniform' : first.kind,
    blockSize: first.blockSize,
    pageBytes: uniform ? total : first.pageBytes,
    layers: placed.length,
    specs: uniform ? specs : [first],
    stages,
  };
}

/**
 * Bytes of one block id on a stage: pools x page, pools being the layers of the largest group there. A uniform-type group up
 * to 0.16 counts the pages of the whole model on every stage.
 */
function plainBytes(
  profile: KvProfile,
  groups: readonly KvGroup[],
  stageCount: number,
): Pick<KvGrouping, 'bytesPerBlock' | 'checkedBytesPerBlock'> {
  const wholeModel = profile['kv.uniformGroupOnStage'] === 'wholeModel';
  const bytes: number[] = [];
  for (let stage = 0; stage < stageCount; stage++) {
    let most = 0;
    for (const group of groups) {
      const own = group.kind === 'uniform' && wholeModel ? group.pageBytes : group.stages[stage]!.pageBytes;
      most = Math.max(most, own);
    }
    bytes.push(most);
  }
  return { bytesPerBlock: bytes, checkedBytesPerBlock: bytes };
}
