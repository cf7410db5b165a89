// The dense Qwen generations and MiMo-7B, which is Qwen2 with a multi-token-prediction head. Mixture-of-experts and hybrid
// Qwen models are elsewhere. vllm/model_executor/models/{qwen,qwen2,qwen3,mimo,mimo_mtp}.py.
import type { ModelSpec } from '../../../spec/model.ts';
import { attentionSizes, embedding, gatedMlp, linear, norm, range, replicated, row } from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import { type DecoderTraits, decoder, decoderLayer } from './decoder.ts';
import { assemble, decoderNames, fusedQkv, headOf, numberOf, predictionCaches, type TextOptions } from './parts.ts';
import { qwenWindows } from './windows.ts';

const qwen2Traits: DecoderTraits = { tied: false, qkvBias: true };

/** Qwen1.5, 2, 2.5, QwQ: biases of q, k, v whatever the configuration says. */
export function qwen2(spec: ModelSpec, options?: TextOptions): Architecture {
  return decoder(spec, options, { ...qwen2Traits, windows: qwenWindows(spec.config) });
}

/** Qwen3: norms of q and k per head, heads of 128. */
export function qwen3(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  return decoder(spec, options, {
    tied: false,
    headDim: 128,
    qkNorm: 'head',
    qkvBias: config.attentionBias === true,
    windows: qwenWindows(config),
  });
}

/**
 * MiMo-7B: Qwen2 and its prediction layers (each a Qwen2 layer, a projection of two hidden states, three norms). vLLM has no
 * configuration class of its own for it that would drop an unused window: a stated sliding_window holds in every layer.
 */
export function mimo(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const windows = range(config.slidingWindow ? config.layers : 0).map(() => config.slidingWindow);
  const built = decoder(spec, options, { ...qwen2Traits, windows });
  return {
    ...built,
    tensors: [...built.tensors, ...mimoPrediction(spec, options)],
    draftCaches: predictionCaches(config, built),
  };
}

function mimoPrediction(spec: ModelSpec, options?: TextOptions): TensorGroup[] {
  const { config } = spec;
  const { hiddenSize, intermediateSize = 4 * hiddenSize } = config;
  const count = numberOf(config, 'numNextnPredictLayers') ?? 0;
  if (count === 0) return [];
  const where = { layers: range(count), part: 'mtp' } as const;
  const layer = decoderNames(spec, options).at('mtp_layers.{layer}');
  const projection = { ...where, role: 'mtp', shard: replicated } as const;
  return [
    ...norm(`${layer}.token_layernorm`, hiddenSize, where),
    ...norm(`${layer}.hidden_layernorm`, hiddenSize, where),
    ...linear(`${layer}.input_proj`, [hiddenSize, 2 * hiddenSize], projection),
    ...decoderLayer(layer, { hiddenSize, intermediateSize, sizes: attentionSizes(config) }, qwen2Traits, where),
    ...norm(`${layer}.final_layernorm`, hiddenSize, where),
  ];
}

/** Qwen (v1): full multi-head attention in one matrix; the stated intermediate size is twice the width of the MLP. */
export function qwen(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize } = config;
  const intermediateSize = (config.intermediateSize ?? 8 * hiddenSize) / 2;
  const names = decoderNames(spec, options, 'transformer');
  const sizes = attentionSizes(config);
  const where = { layers: range(config.layers) };
  const tied = config.tieWordEmbeddings ?? false;
  const layer = names.at('h.{layer}');
  return assemble(spec, {
    tensors: [
      embedding(names.at('wte'), vocabSize, hiddenSize),
      ...norm(`${layer}.ln_1`, hiddenSize, where),
      ...fusedQkv(`${layer}.attn.c_attn`, hiddenSize, sizes, { ...where, bias: true }),
      ...linear(`${layer}.attn.c_proj`, [hiddenSize, sizes.queryDim], { ...where, role: 'o', shard: row }),
      ...norm(`${layer}.ln_2`, hiddenSize, where),
      ...gatedMlp(`${layer}.mlp`, hiddenSize, intermediateSize, {
        ...where,
        names: { gate: 'w2', up: 'w1', down: 'c_proj' },
      }),
      ...norm(names.at('ln_f'), hiddenSize),
      ...headOf(names, config, { tied }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: true,
  });
}
