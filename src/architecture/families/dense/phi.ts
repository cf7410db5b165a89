// Microsoft's dense Phi models: Phi-1.5 and 2 (parallel attention and plain MLP, LayerNorm, biases everywhere) and the
// Llama-like Phi-3 to 4 with fused matrices. vllm/model_executor/models/{phi,phi3}.py.
import type { ModelSpec } from '../../../spec/model.ts';
import type { Architecture } from '../../types.ts';
import { decoder } from './decoder.ts';
import { numberOf, type TextOptions } from './parts.ts';

/** Phi-1.5 and 2; phi-msft states the rotated part of a head in values (rotary_dim) and its length as n_positions. */
export function phi(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const headDim = Math.floor(config.hiddenSize / config.heads);
  const share = config.rope?.partialRotaryFactor ?? 0.5;
  const positions = config.maxPositionEmbeddings ?? numberOf(config, 'nPositions') ?? 2048;
  return decoder(spec, options, {
    tied: false,
    qkvBias: true,
    outBias: true,
    mlpBias: true,
    headBias: true,
    norms: ['input_layernorm'],
    normBias: true,
    normsFirst: true,
    finalNorm: 'final_layernorm',
    out: 'dense',
    plainMlp: { up: 'mlp.fc1', down: 'mlp.fc2' },
    rotary: [
      { dim: numberOf(config, 'rotaryDim') ?? Math.floor(headDim * share), rope: { ...config.rope }, positions },
    ],
  });
}

/** Phi-3, 3.5, 4 and 4-mini. */
export function phi3(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  return decoder(spec, options, {
    tied: false,
    fusedQkv: 'self_attn.qkv_proj',
    fusedGateUp: 'mlp.gate_up_proj',
    qkvBias: config.attentionBias === true,
    outBias: config.attentionBias === true,
    mlpBias: config.mlpBias === true,
    headBias: config.lmHeadBias === true,
  });
}
