// Dense GLM: ChatGLM 2/3 and GLM-4-9B in their own format (chatglm), the same model in transformers' format (glm), and
// GLM-4-0414 with four norms (glm4). vllm/model_executor/models/{chatglm,glm,glm4}.py.
import type { ModelSpec } from '../../../spec/model.ts';
import { attentionSizes, embedding, linear, norm, range, row } from '../../build.ts';
import type { Architecture } from '../../types.ts';
import { decoder } from './decoder.ts';
import { withRotaryPart } from './llama.ts';
import { assemble, decoderNames, fusedGateUp, fusedQkv, headOf, numberOf, type TextOptions } from './parts.ts';

/** GLM-4-9B in transformers' format: half of each head rotated. */
export function glm(spec: ModelSpec, options?: TextOptions): Architecture {
  return decoder(withRotaryPart(spec, 0.5), options, {
    tied: false,
    headDim: 128,
    qkvBias: spec.config.attentionBias !== false,
    fusedGateUp: 'mlp.gate_up_proj',
  });
}

/** GLM-4-0414 and the text part of GLM-4.1V. */
export function glm4(spec: ModelSpec, options?: TextOptions): Architecture {
  return decoder(withRotaryPart(spec, 0.5), options, {
    tied: false,
    qkvBias: spec.config.attentionBias === true,
    fusedGateUp: 'mlp.gate_up_proj',
    norms: ['input_layernorm', 'post_attention_layernorm', 'post_self_attn_layernorm', 'post_mlp_layernorm'],
  });
}

/** ChatGLM 2/3, GLM-4-9B: rotary base 10000 x rope_ratio over half of each head, seq_length positions. */
export function chatglm(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const names = decoderNames({ ...spec, architecture: 'ChatGLMForCausalLM' }, options, 'transformer', 'output_layer');
  const sizes = attentionSizes({
    ...config,
    kvHeads: config.multiQueryAttention ? (config.kvHeads ?? 1) : config.heads,
  });
  const bias = config.addBiasLinear === true;
  const normBias = config.rmsnorm === false;
  const where = { layers: range(config.layers) };
  const tied = config.tieWordEmbeddings ?? false;
  const layer = names.at('encoder.layers.{layer}');
  return assemble(spec, {
    tensors: [
      embedding(names.at('embedding.word_embeddings'), vocabSize, hiddenSize),
      ...norm(`${layer}.input_layernorm`, hiddenSize, { ...where, bias: normBias }),
      ...fusedQkv(`${layer}.self_attention.query_key_value`, hiddenSize, sizes, {
        ...where,
        bias: bias || config.addQkvBias === true,
      }),
      ...linear(`${layer}.self_attention.dense`, [hiddenSize, sizes.queryDim], {
        ...where,
        role: 'o',
        shard: row,
        bias,
      }),
      ...norm(`${layer}.post_attention_layernorm`, hiddenSize, { ...where, bias: normBias }),
      ...fusedGateUp(`${layer}.mlp.dense_h_to_4h`, hiddenSize, intermediateSize, { ...where, bias }),
      ...linear(`${layer}.mlp.dense_4h_to_h`, [hiddenSize, intermediateSize], {
        ...where,
        role: 'down',
        shard: row,
        bias,
      }),
      ...(config.postLayerNorm === false
        ? []
        : norm(names.at('encoder.final_layernorm'), hiddenSize, { bias: normBias })),
      ...headOf({ ...names, ...(names.head ? { head: names.at(names.head) } : {}) }, config, { tied }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: true,
    rotary: [
      {
        dim: Math.floor(sizes.headDim / 2),
        rope: { type: 'default', theta: 10_000 * (numberOf(config, 'ropeRatio') ?? 1) },
        positions: numberOf(config, 'seqLength') ?? 8192,
      },
    ],
  });
}
