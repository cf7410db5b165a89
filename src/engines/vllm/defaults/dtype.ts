// The number format of the model (vLLM config/model.py _get_and_verify_dtype, _resolve_auto_dtype) and of the KV cache.
import type { Diagnostic } from '../../../diagnostics.ts';
import type { GpuSpec } from '../../../spec/gpu.ts';
import type { Dtype, ModelSpec } from '../../../spec/model.ts';
import type { EngineOptions } from '../../../spec/options.ts';
import type { Profile } from '../profile.ts';
import type { DefaultsRules } from './rules.ts';
import type { ModelTraits } from './traits.ts';

const spellings: Readonly<Record<string, Dtype>> = {
  half: 'float16',
  float16: 'float16',
  bfloat16: 'bfloat16',
  float: 'float32',
  float32: 'float32',
};

/**
 * auto: the checkpoint's dtype; float32 checkpoints (and those that state none) become the preferred 16-bit type; bfloat16
 * needs compute capability 8.0. vLLM config/model.py _resolve_auto_dtype (0.9+), config.py _get_and_verify_dtype (before).
 */
export function resolveDtype(input: {
  options: EngineOptions;
  spec: ModelSpec;
  gpu: GpuSpec;
  traits: ModelTraits;
  profile: Profile<DefaultsRules>;
}): { dtype: Dtype; diagnostics: Diagnostic[]; error?: string } {
  const { options, spec, gpu, traits, profile } = input;
  const hasBfloat16 = supportsBfloat16(gpu);
  const asked = options.dtype?.toLowerCase() ?? 'auto';
  if (asked !== 'auto') {
    const dtype = spellings[asked];
    if (!dtype) return { dtype: 'bfloat16', diagnostics: [], error: `Unknown dtype: '${asked}'` };
    if (dtype === 'bfloat16' && !hasBfloat16) return { dtype, diagnostics: [], error: refusal(gpu) };
    return { dtype, diagnostics: [] };
  }
  const stated = spec.config.dtype ?? 'float32';
  const preferred: Dtype = traits.pooling || !hasBfloat16 ? 'float16' : preferredOf(spec, profile);
  if (stated === 'float32') return { dtype: preferred, diagnostics: [] };
  if (stated === 'bfloat16' && !hasBfloat16) {
    const refused = profile['defaults.bfloat16OnOldGpu'] === 'refused';
    return { dtype: 'float16', diagnostics: refused ? [mustAskForHalf(gpu)] : [] };
  }
  return { dtype: stated, diagnostics: [] };
}

/** Gemma 2 and 3 overflow in float16, so their float32 checkpoints become bfloat16 in every release. */
function preferredOf(spec: ModelSpec, profile: Profile<DefaultsRules>): Dtype {
  return /^gemma[23]/.test(spec.modelType) ? 'bfloat16' : profile['defaults.float32Becomes'];
}

export function capabilityOf(gpu: GpuSpec): number {
  return Number(gpu.computeCapability ?? 0);
}

function supportsBfloat16(gpu: GpuSpec): boolean {
  return gpu.vendor !== 'nvidia' || gpu.computeCapability === undefined || capabilityOf(gpu) >= 8;
}

function refusal(gpu: GpuSpec): string {
  return (
    'Bfloat16 is only supported on GPUs with compute capability of at least 8.0. ' +
    `Your ${gpu.name} GPU has compute capability ${gpu.computeCapability}. ` +
    'You can use float16 instead by explicitly setting the `dtype` flag in CLI, for example: --dtype=half.'
  );
}

function mustAskForHalf(gpu: GpuSpec): Diagnostic {
  return {
    severity: 'warning',
    code: 'VRAM401',
    message: `this release refuses bfloat16 on compute capability ${gpu.computeCapability}; planned with float16`,
    hint: 'start it with --dtype float16',
    path: '--dtype',
  };
}

/**
 * auto: the model's dtype, or from 0.14 what a ModelOpt checkpoint says (kv_cache_scheme, kv_cache_quant_algo).
 * vLLM utils/torch_utils.py resolve_kv_cache_dtype_string.
 */
export function resolveKvDtype(
  options: EngineOptions,
  spec: ModelSpec,
  dtype: Dtype,
  profile: Profile<DefaultsRules>,
): string {
  const asked = options.kvCacheDtype ?? 'auto';
  if (asked !== 'auto') return asked;
  const quantization = spec.quantization;
  if (!profile['defaults.kvDtypeFromCheckpoint'] || !quantization?.method.startsWith('modelopt')) return dtype;
  const scheme = quantization.kvCacheScheme as { type?: string; numBits?: number } | undefined;
  const algorithm = quantization.kvCacheQuantAlgo;
  if (typeof algorithm === 'string') return algorithm.toLowerCase();
  if (scheme?.type === 'float' && scheme.numBits === 8) return 'fp8';
  if (scheme?.type === 'float' && scheme.numBits === 4) return 'nvfp4';
  return dtype;
}
