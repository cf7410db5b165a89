// Makes the layers of a hybrid model share one page size, and turns local layers into full ones where the hybrid manager is
// off. Source: vllm/v1/core/kv_cache_utils.py unify_kv_cache_spec_page_size and unify_hybrid_kv_cache_specs (from 0.33
// kv_cache_planning.py), 0.8 to 0.33.
import { allMerge, isLocal, isUniformType } from './merge.ts';
import type { KvLayerSpec, KvRules, KvUngroupable } from './types.ts';

type Specs = readonly KvLayerSpec[];

/**
 * One page size for all: smaller pages get more tokens per block; what does not divide is padded as far as the release can
 * (state pages from 0.26; attention pages of backends that address blocks by stride 0.24 to 0.28, all but MLA from 0.29).
 */
export function unifyPages(specs: Specs, rule: KvRules['kv.pageUnification']): Specs | KvUngroupable {
  const largest = Math.max(...specs.map((spec) => spec.pageBytes));
  if (specs.every((spec) => spec.pageBytes === largest)) return specs;
  if (rule === 'none') return { error: 'NotImplementedError' };
  const unified: KvLayerSpec[] = [];
  const known = new Map<KvLayerSpec, KvLayerSpec>();
  for (const spec of specs) {
    let fitted = known.get(spec);
    if (!fitted) {
      fitted = fitPage(spec, largest, rule);
      if (!fitted) return { error: pageError(spec, rule) };
      known.set(spec, fitted);
    }
    unified.push(fitted);
  }
  return unified;
}

function fitPage(spec: KvLayerSpec, pageBytes: number, rule: KvRules['kv.pageUnification']): KvLayerSpec | undefined {
  if (spec.pageBytes === pageBytes) return spec;
  const padsStates = rule === 'padStridedAndStates' || rule === 'padAllButMla';
  if (spec.kind === 'mamba' && padsStates) return { ...spec, pageBytes };
  const isDivisor = pageBytes % spec.pageBytes === 0;
  // State pages do not grow with the block: a larger block leaves them as they are.
  if (isDivisor && spec.kind !== 'mamba') return scaleBlock(spec, pageBytes / spec.pageBytes);
  const mayPad =
    (rule === 'padAllButMla' && spec.kind !== 'mla' && spec.kind !== 'mamba') ||
    ((rule === 'padStrided' || rule === 'padStridedAndStates') && spec.stridedBlocks === true);
  return mayPad ? { ...spec, pageBytes } : undefined;
}

function scaleBlock(spec: KvLayerSpec, ratio: number): KvLayerSpec {
  return {
    ...spec,
    blockSize: spec.blockSize * ratio,
    pageBytes: spec.pageBytes * ratio,
    realPageBytes: spec.realPageBytes * ratio,
  };
}

function pageError(spec: KvLayerSpec, rule: KvRules['kv.pageUnification']): string {
  if (rule === 'divisible') {
    return 'NotImplementedError: The page size of the layer is not divisible by the maximum page size. Cannot unify by adjusting block_size.';
  }
  return `NotImplementedError: Layer ${spec.layer}: page size is not divisible by the maximum page size and cannot be padded.`;
}

/** The line that the engine logs when it gives up the savings of local layers. */
export const hybridOffWarning =
  'Hybrid KV cache manager is disabled for this hybrid model, This means we do not enable any optimizations for saving KV cache memory (e.g., dropping the KV cache outside the sliding window). The compute of layers like sliding window is still saved.';

/** Local layers allocated for all tokens, as the engine does without its hybrid manager. */
export function promoteLocal(specs: Specs): Specs | KvUngroupable {
  if (allMerge(specs) || isUniformType(specs)) return specs;
  const full = specs.filter((spec) => spec.kind === 'full' || spec.kind === 'mla');
  const hasLocal = specs.some((spec) => isLocal(spec.kind));
  const blockSizes = new Set(full.map((spec) => spec.blockSize));
  const blockSize = blockSizes.size === 1 ? [...blockSizes][0] : undefined;
  const promoted =
    full.length > 0 && hasLocal ? specs.map((spec) => (isLocal(spec.kind) ? promote(spec, blockSize) : spec)) : specs;
  if (allMerge(promoted) || isUniformType(promoted)) return promoted;
  return {
    error:
      'ValueError: Hybrid KV cache manager is disabled but failed to convert the KV cache specs to one unified type.',
  };
}

function promote(spec: KvLayerSpec, blockSize: number | undefined): KvLayerSpec {
  const { window, chunk, ...rest } = spec;
  const size = blockSize ?? spec.blockSize;
  const scale = size / spec.blockSize;
  return {
    ...rest,
    kind: spec.kind === 'window-mla' ? 'mla' : 'full',
    blockSize: size,
    realPageBytes: spec.realPageBytes * scale,
    pageBytes: Math.max(spec.realPageBytes * scale, scale === 1 ? spec.pageBytes : 0),
    ...(window !== undefined ? { recordedWindow: window } : {}),
    ...(chunk !== undefined ? { recordedChunk: chunk } : {}),
  };
}
