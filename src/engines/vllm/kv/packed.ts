// Groups of mixed page sizes whose layers lie side by side within a block: compressed MLA with sliding windows (DeepSeek-V4)
// from 0.20, any model whose backends want a block-outermost layout from 0.29. Source: vllm/v1/core/kv_cache_utils.py
// group_and_unify_kv_cache_specs and _get_packed_kv_cache_groups, kv_cache_planning.py in 0.33.
import { divCeil, sum } from '../../../units.ts';
import { bucketBy, isUniformType, type PlacedLayer } from './merge.ts';
import type { KvGroup, KvGrouping, KvProfile } from './types.ts';

type Layers = PlacedLayer[];

/** The packed groups, or undefined where the ordinary hybrid path holds. */
export function packGroups(profile: KvProfile, placed: readonly PlacedLayer[]): Layers[] | undefined {
  switch (profile['kv.packing']) {
    case 'layerTuples':
    case 'pageBuckets':
    case 'slab':
      return packByTuples(profile, placed);
    case 'blockOutermost':
      return packByRepeats(placed);
    default:
      return undefined;
  }
}

/**
 * Bytes per block of packed groups. 0.20-0.22: distinct page sizes of the MLA group x longest run of one size; 0.23-0.26: per
 * page size the longest run of any group; 0.27-0.28: the widest group. All three check capacity with the first rule.
 */
export function packedBytes(
  profile: KvProfile,
  groups: readonly KvGroup[],
  stageCount: number,
): Pick<KvGrouping, 'bytesPerBlock' | 'checkedBytesPerBlock'> | undefined {
  if (groups.length < 2 || !groups.every((group) => group.kind === 'uniform')) return undefined;
  const rule = profile['kv.packing'];
  if (rule === 'none' || rule === 'blockOutermost') return undefined;
  const stages = Array.from({ length: stageCount }, (_, stage) => groups.map((group) => group.stages[stage]!.perPage));
  const tuples = stages.map((perPage) => sum(perPage[0]!.keys()) * Math.max(...perPage.map(longestRun)));
  const bytesOf = {
    layerTuples: tuples,
    pageBuckets: stages.map(pageBuckets),
    slab: stages.map((_, stage) => Math.max(...groups.map((group) => group.stages[stage]!.pageBytes))),
  };
  return { bytesPerBlock: bytesOf[rule], checkedBytesPerBlock: tuples };
}

function longestRun(perPage: ReadonlyMap<number, number>): number {
  return Math.max(0, ...perPage.values());
}

function pageBuckets(groups: readonly ReadonlyMap<number, number>[]): number {
  const runs = new Map<number, number>();
  for (const perPage of groups) {
    for (const [page, layers] of perPage) runs.set(page, Math.max(layers, runs.get(page) ?? 0));
  }
  return sum([...runs].map(([page, layers]) => page * layers));
}

/**
 * One group of all MLA layers; window layers of one (block size, window) are cut so that each group has as many layers per
 * page size as the MLA group, give or take the padding that `approximateGcd` finds smallest.
 */
function packByTuples(profile: KvProfile, placed: readonly PlacedLayer[]): Layers[] | undefined {
  if (!placed.some(({ spec }) => spec.kind === 'window-mla')) return undefined;
  if (new Set(placed.map(({ spec }) => spec.pageBytes)).size <= 1) return undefined;
  const mla = placed.filter(({ spec }) => spec.kind === 'mla');
  const windows = placed.filter(({ spec }) => spec.kind === 'window-mla');
  const buckets = [...bucketBy(windows, ({ spec }) => `${spec.blockSize}/${spec.window}`).values()];
  const repeats = [mla, ...buckets].map(longestPageRun);
  const size = approximateGcd(repeats, repeats[0]!);
  const aligned = profile['kv.packing'] === 'slab' ? buckets : padToMlaPages(mla, buckets);
  return [mla, ...aligned.flatMap((layers) => cutRepeats(layers, divCeil(longestPageRun(layers), size)))];
}

/** Up to 0.26 a window page grows to the next larger page of the MLA group, whose slot it shares. */
function padToMlaPages(mla: Layers, buckets: Layers[]): Layers[] {
  const pages = [...new Set(mla.map(({ spec }) => spec.pageBytes))].sort((a, b) => a - b);
  return buckets.map((layers) =>
    layers.map((layer) => {
      const pageBytes = pages.find((page) => page >= layer.spec.pageBytes) ?? layer.spec.pageBytes;
      return { ...layer, spec: { ...layer.spec, pageBytes } };
    }),
  );
}

/**
 * 0.29 and later: layers fall greedily into buckets of one type; a bucket with equally many layers of each of its page sizes
 * is a repeating pattern and is cut to the common number of repeats, others stay whole. State and ring buckets are cut
 * further to what a block of the others already holds.
 */
function packByRepeats(placed: readonly PlacedLayer[]): Layers[] | undefined {
  if (!placed.some(({ spec }) => spec.blockOutermost)) return undefined;
  if (new Set(placed.map(({ spec }) => spec.pageBytes)).size <= 1) return undefined;
  const buckets = typeBuckets(placed).map((layers) => {
    const runs = pageRuns(layers);
    return { layers, runs, balanced: new Set([...runs.values()].map((run) => run.length)).size === 1 };
  });
  type Bucket = (typeof buckets)[number];
  const mixed = buckets.filter(({ balanced, runs }) => balanced && runs.size > 1);
  const floor = Math.max(0, ...mixed.map(({ layers }) => longestPageRun(layers)));
  const repeats = floor
    ? approximateGcd(
        buckets.filter(({ balanced }) => balanced).map(({ layers }) => longestPageRun(layers)),
        floor,
      )
    : undefined;
  const countOf = ({ layers, balanced }: Bucket) =>
    balanced && repeats !== undefined ? divCeil(longestPageRun(layers), repeats) : 1;
  const isState = ({ layers }: Bucket) => {
    const { kind } = layers[0]!.spec;
    return (
      kind === 'mamba' || kind === 'ring' || (repeats === undefined && (kind === 'window' || kind === 'window-mla'))
    );
  };
  const widest = ({ runs }: Bucket, groups: number) =>
    sum([...runs].map(([page, run]) => divCeil(run.length, groups) * page));
  const anchor = Math.max(...buckets.map((b) => widest(b, isState(b) ? b.layers.length : countOf(b))));
  return buckets.flatMap((bucket) => {
    let count = countOf(bucket);
    if (isState(bucket)) {
      const statesPerBlock = Math.max(1, Math.floor(anchor / bucket.layers[0]!.spec.pageBytes));
      count = Math.max(count, divCeil(bucket.layers.length, statesPerBlock));
    }
    return count === 1 ? [bucket.layers] : cutRepeats(bucket.layers, count);
  });
}

function typeBuckets(placed: readonly PlacedLayer[]): Layers[] {
  const buckets: Layers[] = [];
  for (const layer of placed) {
    const home = buckets.find((bucket) => isUniformType([bucket[0]!.spec, layer.spec]));
    if (home) home.push(layer);
    else buckets.push([layer]);
  }
  return buckets;
}

function pageRuns(layers: Layers): Map<number, Layers> {
  return new Map([...bucketBy(layers, ({ spec }) => spec.pageBytes)].map(([page, run]) => [Number(page), run]));
}

function longestPageRun(layers: Layers): number {
  return Math.max(...[...pageRuns(layers).values()].map((run) => run.length));
}

/** Layer tuples (one layer of each page size) i, i + g, i + 2g, ... for group i of g. */
function cutRepeats(layers: Layers, groups: number): Layers[] {
  const runs = [...pageRuns(layers).values()];
  const repeats = Math.min(...runs.map((run) => run.length));
  return Array.from({ length: groups }, (_, group) => {
    const cut: Layers = [];
    for (let at = group; at < repeats; at += groups) for (const run of runs) cut.push(run[at]!);
    return cut;
  });
}

/** The d in [lower, max] that needs the least padding to make every value a multiple of d; the largest of equals. */
function approximateGcd(values: readonly number[], lower: number): number {
  const most = Math.max(...values);
  let best = Math.max(1, lower);
  let leastPadding = Number.POSITIVE_INFINITY;
  for (let d = best; d <= most; d++) {
    const padding = sum(values.map((value) => (d - (value % d)) % d));
    if (padding <= leastPadding) {
      leastPadding = padding;
      best = d;
    }
  }
  return best;
}
