// When two layer specs may share a group: whether they are the same, mergeable, or of one type. The spec classes' equality,
// merge() and is_uniform_type(): vllm/v1/kv_cache_interface.py, 0.9 to 0.33.
import type { KvKind, KvLayerSpec } from './types.ts';

/** A layer and the pipeline stage that holds it. */
export interface PlacedLayer {
  spec: KvLayerSpec;
  stage: number;
}

/** Equal keys: equal specs. */
export function identityKey(spec: KvLayerSpec): string {
  return `${mergeKey(spec)}|${spec.recordedWindow ?? ''}|${spec.recordedChunk ?? ''}`;
}

/** Equal keys: specs that merge into one. Full attention layers differ in the recorded window only. */
export function mergeKey(spec: KvLayerSpec): string {
  const { kind, pageBytes, realPageBytes, blockSize, heads, headDim, valueHeadDim, dtype, cacheDtype } = spec;
  const states = spec.states && ('fixed' in spec.states ? spec.states.fixed : `b${spec.states.extra}`);
  const { window, chunk, encoderTokens, variant } = spec;
  const sizes = `${kind}|${pageBytes}|${realPageBytes}|${blockSize}|${heads}|${headDim}|${valueHeadDim}`;
  return `${sizes}|${dtype}|${cacheDtype}|${window}|${chunk}|${states}|${encoderTokens}|${variant}`;
}

/** All specs merge into one: one group with one page size. Layers with two different recorded windows do not. */
export function allMerge(specs: readonly KvLayerSpec[]): boolean {
  const first = specs[0];
  if (!first) return true;
  const key = mergeKey(first);
  const reaches = new Set<string>();
  for (const spec of specs) {
    if (mergeKey(spec) !== key) return false;
    if (spec.recordedWindow !== undefined) reaches.add(`w${spec.recordedWindow}`);
    if (spec.recordedChunk !== undefined) reaches.add(`c${spec.recordedChunk}`);
  }
  return reaches.size <= 1;
}

/** All specs need the same number of token slots: one group in which every layer keeps its own page size. */
export function isUniformType(specs: readonly KvLayerSpec[]): boolean {
  const first = specs[0];
  if (!first) return true;
  return specs.every((spec) => spec.blockSize === first.blockSize && sameType(first, spec));
}

function sameType(first: KvLayerSpec, other: KvLayerSpec): boolean {
  switch (first.kind) {
    case 'full':
    case 'mla':
      return other.kind === 'full' || other.kind === 'mla';
    case 'window':
      return (other.kind === 'window' || other.kind === 'window-mla') && other.window === first.window;
    case 'window-mla':
      return other.kind === 'window-mla' && other.window === first.window;
    case 'chunked':
      return other.kind === 'chunked' && other.chunk === first.chunk;
    case 'mamba':
      return other.kind === 'mamba' && other.pageBytes === first.pageBytes && sameStates(first, other);
    case 'cross':
    case 'ring':
      return other.kind === first.kind;
  }
}

function sameStates(a: KvLayerSpec, b: KvLayerSpec): boolean {
  const [x, y] = [a.states ?? { fixed: 1 }, b.states ?? { fixed: 1 }];
  if ('fixed' in x) return 'fixed' in y && x.fixed === y.fixed;
  return !('fixed' in y) && x.extra === y.extra;
}

export function isLocal(kind: KvKind): boolean {
  return kind === 'window' || kind === 'window-mla' || kind === 'chunked';
}

/** Items by key, in order of first appearance. */
export function bucketBy<Item>(items: readonly Item[], keyOf: (item: Item) => string | number): Map<string, Item[]> {
  const buckets = new Map<string, Item[]>();
  for (const item of items) {
    const key = String(keyOf(item));
    const bucket = buckets.get(key);
    if (bucket) bucket.push(item);
    else buckets.set(key, [item]);
  }
  return buckets;
}
