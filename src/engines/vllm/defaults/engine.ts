// Which engine generation and which of V1's model runners a start takes (vLLM engine/arg_utils.py _is_v1_supported_oracle,
// config/vllm.py use_v2_model_runner).
import type { GpuSpec } from '../../../spec/gpu.ts';
import type { Dtype, ModelSpec } from '../../../spec/model.ts';
import type { EngineOptions } from '../../../spec/options.ts';
import type { Profile } from '../profile.ts';
import { capabilityOf } from './dtype.ts';
import type { DefaultsRules } from './rules.ts';
import type { ModelTraits } from './traits.ts';

interface EngineInput {
  options: EngineOptions;
  spec: ModelSpec;
  gpu: GpuSpec;
  traits: ModelTraits;
  dtype: Dtype;
  profile: Profile<DefaultsRules>;
}

/** Features that V1 lacked while V0 still existed (0.8 to 0.10); presets name which release lacks which. */
const v0Reasons: Readonly<Record<string, (input: EngineInput) => boolean>> = {
  'capability-below-8': ({ gpu }) =>
    gpu.vendor === 'nvidia' && gpu.computeCapability !== undefined && capabilityOf(gpu) < 8,
  'kv-dtype-without-fa3': ({ options, gpu }) =>
    (options.kvCacheDtype ?? 'auto') !== 'auto' && Math.floor(capabilityOf(gpu)) !== 9,
  float32: ({ dtype }) => dtype === 'float32',
  gguf: ({ options, spec }) => (options.quantization ?? spec.quantization?.method) === 'gguf',
  pooling: ({ traits }) => traits.pooling,
  'encoder-decoder': ({ traits }) => traits.crossAttention,
  state: ({ traits }) => traits.hybrid || traits.attentionFree,
  pipeline: ({ options }) => options.pipelineParallelSize > 1,
  speculation: ({ options }) => options.speculativeConfig !== undefined,
  rocm: ({ gpu }) => gpu.vendor === 'amd',
};

export function resolveEngine(input: EngineInput): 'v0' | 'v1' {
  const rule = input.profile['defaults.engine'];
  if (rule === 'v1') return 'v1';
  const asked = input.options.env?.VLLM_USE_V1;
  if (asked !== undefined) return asked === '1' ? 'v1' : 'v0';
  if (rule === 'v0') return 'v0';
  return input.profile['defaults.v0Reasons'].some((name) => v0Reasons[name]?.(input)) ? 'v0' : 'v1';
}

export function resolveRunner(input: EngineInput, engine: 'v0' | 'v1'): 'v1' | 'v2' {
  const rule = input.profile['defaults.secondRunner'];
  if (engine === 'v0') return 'v1';
  const asked = input.options.env?.VLLM_USE_V2_MODEL_RUNNER;
  if (asked !== undefined && rule.byEnvironment) return asked === '1' ? 'v2' : 'v1';
  const { traits, spec } = input;
  const listed = rule.architectures?.includes(spec.architecture) ?? false;
  switch (rule.scope) {
    case 'none':
      return 'v1';
    case 'all':
      return 'v2';
    case 'listed':
      return listed && !(rule.denseUnquantizedOnly && (traits.moe || traits.quantized)) ? 'v2' : 'v1';
    case 'dense-generate': {
      const dense = !traits.moe && !traits.hybrid && !traits.attentionFree && !traits.pooling;
      return listed || dense ? 'v2' : 'v1';
    }
  }
}
