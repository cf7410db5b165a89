// Puts a model's layers to the table of attention backends, and says when a start ends there: no backend takes a layer, or the
// one that would refuses the cache type. Source: vllm/platforms/cuda.py, v1/attention/backends, 0.11.2 to 0.33.
import type { CacheLayout, LayerCaches } from '../../../architecture/types.ts';
import { attentionBackend, type BackendQuestion, lacksBackend } from './backend.ts';
import type { KvSpecsInput } from './input.ts';

export const indexerBackend = 'DEEPSEEK_V32_INDEXER';

export function backendOf(layout: CacheLayout, input: KvSpecsInput): string | undefined {
  if (layout.kind === 'indexer') return layout.plain ? 'MINIMAX_M3_SPARSE_INDEXER' : indexerBackend;
  return attentionBackend(layout, questionOf(input), input.profile);
}

function questionOf(input: KvSpecsInput): BackendQuestion {
  const { model, gpu, options } = input;
  const nope = model.config.qkNopeHeadDim;
  return {
    capability: gpu.computeCapability,
    cacheDtype: options.kvCacheDtype,
    dtype: options.dtype,
    queryHeads: Math.floor(model.config.heads / options.tensorParallelSize),
    qkNopeHeadDim: typeof nope === 'number' ? nope : undefined,
    prefixLm: isPrefixLm(input),
    architecture: model.architecture,
  };
}

function isPrefixLm({ model, options, profile }: KvSpecsInput): boolean {
  if (options.languageModelOnly) return false;
  if (profile['attention.prefixLmTypes']?.includes(model.modelType)) return true;
  return profile['attention.prefixLmByConfig'] === true && model.config.useBidirectionalAttention === 'vision';
}

/** What the engine would end the start with, or nothing. */
export function refusalOf(
  input: KvSpecsInput,
  layers: readonly LayerCaches[],
  backends: ReadonlyMap<CacheLayout, string>,
): { error?: string } {
  const { options, profile } = input;
  const layouts = layers.flatMap((entry) => entry.caches);
  if (layouts.some((layout) => layout.kind === 'special') && profile['kv.compressedNeedsFp8']) {
    const dtype = input.askedKvCacheDtype ?? 'auto';
    if (!dtype.startsWith('fp8')) {
      return { error: `AssertionError: DeepseekV4 only supports fp8 kv-cache format for now, got ${dtype}` };
    }
  }
  if (options.kvCacheDtype.startsWith('turboquant_') && profile['kv.turboquant'] === 'dense' && isHybrid(layouts)) {
    return {
      error:
        'NotImplementedError: TurboQuant KV cache is not supported for hybrid (attention + Mamba) models. ' +
        'Boundary layer protection requires uniform attention layers.',
    };
  }
  if (/^nvfp4(?!.*ds_mla)/.test(options.kvCacheDtype) && layouts.some((layout) => layout.kind === 'mla')) {
    return {
      error:
        'ValueError: nvfp4 KV cache is not supported with MLA (Multi-head Latent Attention) models. ' +
        "Please use a different --kv-cache-dtype, e.g. 'fp8' or 'auto'.",
    };
  }
  const tooOld = tritonRefusesFp8(input, backends);
  if (tooOld) return { error: tooOld };
  const refused = layouts.find((layout) => !backends.has(layout) && lacksBackend(layout, questionOf(input), profile));
  if (!refused) return {};
  const headDim = refused.kind === 'mla' ? refused.latentDim : 'headDim' in refused ? refused.headDim : 0;
  const sparse = refused.kind === 'mla' && refused.sparse === true;
  return {
    error:
      `ValueError: No valid attention backend found for cuda with AttentionSelectorConfig(head_size=${headDim}, ` +
      `dtype=torch.${options.dtype}, kv_cache_dtype=${input.askedKvCacheDtype ?? 'auto'}, block_size=None, ` +
      `use_mla=${refused.kind === 'mla' ? 'True' : 'False'}, use_sparse=${sparse ? 'True' : 'False'})`,
  };
}

/** Triton's kernels read fp8 natively from capability 8.9 on; later releases say so instead of failing to compile. */
function tritonRefusesFp8(
  { gpu, options, profile }: KvSpecsInput,
  backends: ReadonlyMap<CacheLayout, string>,
): string | undefined {
  if (!options.kvCacheDtype.startsWith('fp8') || gpu.vendor !== 'nvidia') return undefined;
  if (gpu.computeCapability === undefined || Number(gpu.computeCapability) >= 8.9) return undefined;
  const backend = [...backends.values()].find((name) => profile['kv.tritonFp8Checks'].includes(name));
  if (!backend) return undefined;
  const name = backend === 'TRITON_MLA' ? 'Triton MLA' : 'Triton attention';
  return (
    `ValueError: FP8 KV cache is not supported by the ${name} backend on ${gpu.printedNames?.[0] ?? gpu.name} ` +
    `(compute capability ${gpu.computeCapability}); native FP8 (fp8e4nv) requires SM89+.`
  );
}

function isHybrid(layouts: readonly CacheLayout[]): boolean {
  return layouts.some((layout) => layout.kind === 'state') && layouts.some((layout) => layout.kind !== 'state');
}
