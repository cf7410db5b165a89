// Gemma 1 to 3, text part: embeddings scaled and tied, four norms per layer from Gemma 2 on, alternating window layers,
// two rotary tables in Gemma 3. vllm/model_executor/models/{gemma,gemma2,gemma3}.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import type { Architecture, RotaryTable } from '../../types.ts';
import { decoder } from './decoder.ts';
import { numberOf, ropeByLayerType, type TextOptions } from './parts.ts';
import { interleavedWindows } from './windows.ts';

const fourNorms = [
  'input_layernorm',
  'post_attention_layernorm',
  'pre_feedforward_layernorm',
  'post_feedforward_layernorm',
] as const;

export function gemma(spec: ModelSpec, options?: TextOptions): Architecture {
  const bias = spec.config.attentionBias === true;
  return decoder(spec, options, { tied: true, embeddingScale: true, headDim: 256, qkvBias: bias, outBias: bias });
}

export function gemma2(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const bias = config.attentionBias === true;
  return decoder(spec, options, {
    tied: true,
    embeddingScale: true,
    headDim: 256,
    qkvBias: bias,
    outBias: bias,
    norms: fourNorms,
    windows: interleavedWindows(config, { period: 2, window: 4096 }),
  });
}

export function gemma3Text(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const bias = config.attentionBias === true;
  return decoder(spec, options, {
    tied: true,
    embeddingScale: true,
    headDim: 256,
    qkvBias: bias,
    outBias: bias,
    qkNorm: 'head',
    norms: fourNorms,
    windows: interleavedWindows(config, { period: 6, window: 4096 }),
    rotary: localAndGlobalTables(config, config.headDim ?? 256),
  });
}

/** Full layers use the stated rope, window layers plain rotary embedding with a base of their own. */
function localAndGlobalTables(config: ModelConfig, dim: number): RotaryTable[] {
  const positions = config.maxPositionEmbeddings ?? 131072;
  const { sliding, full } = ropeByLayerType(config);
  const local = sliding ?? { type: 'default', theta: numberOf(config, 'ropeLocalBaseFreq') ?? 10_000 };
  const global = full ?? { theta: 1_000_000, ...config.rope };
  return [
    { dim, rope: { ...local }, positions },
    { dim, rope: { ...global }, positions },
  ];
}
