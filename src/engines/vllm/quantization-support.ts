// Whether a release runs a quantization method on a GPU at all, and how it refuses (vllm/config get_quantization_config,
// compressed_tensors.py _check_scheme_supported). The lowest capabilities are rules, presets/engines/vllm/quantization.yaml.
import type { GpuSpec } from '../../spec/gpu.ts';
import type { QuantizationScheme } from '../../spec/quantization.ts';
import type { Profile } from './profile.ts';

export interface QuantizationRules extends Record<string, unknown> {
  'quantization.minCapability': Readonly<Record<string, number>>;
  'quantization.minSchemeCapability': Readonly<Record<string, number>>;
}

/** The engine's own words, or undefined when it runs. GPUs without a compute capability are not judged. */
export function quantizationRefusal(
  scheme: QuantizationScheme | undefined,
  gpu: GpuSpec,
  profile: Profile<QuantizationRules>,
): string | undefined {
  if (!scheme || gpu.computeCapability === undefined) return undefined;
  const capability = Math.round(Number(gpu.computeCapability) * 10);
  const method = scheme.method.replace(/_marlin$/, '');
  const least = profile['quantization.minCapability'][method];
  if (least !== undefined && capability < least) {
    return `The quantization method ${scheme.method} is not supported for the current GPU. Minimum capability: ${least}. Current capability: ${capability}.`;
  }
  if (method !== 'compressed-tensors') return undefined;
  const leastOfScheme = profile['quantization.minSchemeCapability'][scheme.format];
  if (leastOfScheme === undefined || capability >= leastOfScheme) return undefined;
  return `Quantization scheme is not supported for the current GPU. Min capability: ${leastOfScheme}. Current capability: ${capability}.`;
}
