// StarCoder2: grouped-query attention with a window in every layer, LayerNorm, plain MLP, biases by use_bias.
// vllm/model_executor/models/starcoder2.py.
import type { ModelSpec } from '../../../spec/model.ts';
import type { Architecture } from '../../types.ts';
import { decoder } from './decoder.ts';
import type { TextOptions } from './parts.ts';

export function starcoder2(spec: ModelSpec, options?: TextOptions): Architecture {
  const bias = spec.config.useBias !== false;
  return decoder(spec, options, {
    tied: true,
    qkvBias: bias,
    outBias: bias,
    mlpBias: bias,
    normBias: true,
    plainMlp: { up: 'mlp.c_fc', down: 'mlp.c_proj' },
  });
}
