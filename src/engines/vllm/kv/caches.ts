// Which layers bring a cache, and of which type: drafts that run with the model, MLA where a release has it, the cache types that
// a release gives a model by itself. Source: vllm/config/model.py use_mla, model_executor/models/config.py,
// model_executor/layers/attention/mla_attention.py, 0.6 to 0.33.
import type { CacheLayout, LayerCaches } from '../../../architecture/types.ts';
import type { ResolvedOptions } from '../resolved.ts';
import type { KvSpecsInput } from './input.ts';

/** Models that a release gives another cache type than their own when none is asked for (GLM's sparse MLA on 10.x: fp8). */
export function withCacheDefaults(input: KvSpecsInput): KvSpecsInput {
  const { model, gpu, options, profile, askedKvCacheDtype = 'auto' } = input;
  const rule = profile['kv.fp8CacheDefaults'];
  const major = gpu.computeCapability?.split('.')[0] ?? '';
  if (askedKvCacheDtype !== 'auto' || rule?.[model.architecture] !== major) return input;
  return { ...input, options: { ...options, kvCacheDtype: 'fp8_e4m3' } };
}

/** The layers that have a cache of their own, and those of a draft that the release loads with the model. */
export function cachesOf(input: KvSpecsInput): LayerCaches[] {
  const { architecture, options } = input;
  const own = architecture.caches
    .filter((entry) => entry.caches.length > 0 && entry.sharedWith === undefined)
    .map((entry) => (keepsLatents(input) ? entry : { ...entry, caches: entry.caches.map((l) => expanded(l, input)) }));
  const total = layerCount(input);
  const drafts = draftsWithModel(options) ? architecture.draftCaches : input.draft && cachesWithOwn(input.draft);
  return [...own, ...(drafts ?? []).map((entry) => ({ ...entry, layer: total + entry.layer }))];
}

/** Every attention layer of a draft model registers a spec like the target's (v1/spec_decode/llm_base_proposer.py). */
function cachesWithOwn({ architecture }: NonNullable<KvSpecsInput['draft']>): LayerCaches[] {
  return architecture.caches.filter((entry) => entry.caches.length > 0 && entry.sharedWith === undefined);
}

/** Decoder layers; a family may leave out those without a cache. */
export function layerCount({ architecture, model }: KvSpecsInput): number {
  const last = architecture.caches[architecture.caches.length - 1]?.layer ?? -1;
  return Math.max(model.config.layers, last + 1);
}

/** MLA came with 0.7; VLLM_MLA_DISABLE=1 turns it off. */
function keepsLatents({ options, profile }: KvSpecsInput): boolean {
  return profile['kv.latentAttention'] === 'latent' && options.env?.VLLM_MLA_DISABLE !== '1';
}

/** Without MLA the latent vectors are expanded into ordinary heads (up to 0.6 padded to a size FlashAttention had). */
function expanded(layout: CacheLayout, { model, profile }: KvSpecsInput): CacheLayout {
  if (layout.kind !== 'mla') return layout;
  const nope = model.config.qkNopeHeadDim;
  const own = layout.ropeDim + (typeof nope === 'number' ? nope : 128);
  const headDim = profile['kv.latentAttention'] === 'padded' ? 256 : own;
  return { kind: 'full', kvHeads: model.config.kvHeads ?? model.config.heads, headDim };
}

/** Multi-token prediction: the checkpoint's own draft layers run on the last stage. */
function draftsWithModel({ speculativeConfig }: ResolvedOptions): boolean {
  const method = speculativeConfig?.method;
  return typeof method === 'string' && /mtp/.test(method);
}

/** Cache type of a latent layer: sparse MLA has a packed layout of its own (656 bytes a token). */
export function cacheDtypeOf(layout: CacheLayout, backend: string | undefined, input: KvSpecsInput): string {
  const { options, profile, askedKvCacheDtype } = input;
  const dtype = options.kvCacheDtype;
  if (layout.kind !== 'mla' || !layout.sparse) return dtype;
  const isFp8 = dtype.startsWith('fp8');
  switch (profile['kv.sparseCache']) {
    case 'packedByDefault':
      return isFp8 || (askedKvCacheDtype ?? 'auto') === 'auto' ? 'fp8_ds_mla' : dtype;
    case 'packedForFp8':
      return isFp8 ? 'fp8_ds_mla' : dtype;
    case 'byBackend':
      if (backend === 'FLASHINFER_MLA_SPARSE_SM120') return 'fp8_ds_mla';
      return isFp8 && backend === 'FLASHMLA_SPARSE' ? 'fp8_ds_mla' : dtype;
    default:
      return dtype;
  }
}
