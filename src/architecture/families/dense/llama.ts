// Llama and the many models that are Llama with other numbers (Mistral, Granite, Yi, SmolLM, Solar, ...): RMSNorm, rotary
// grouped-query attention, SwiGLU. transformers/models/llama/modeling_llama.py.
import type { ModelSpec } from '../../../spec/model.ts';
import {
  attention,
  attentionSizes,
  cachesOf,
  embedding,
  gatedMlp,
  lmHead,
  norm,
  range,
  rotaryOf,
} from '../../build.ts';
import type { Architecture } from '../../types.ts';

export function llama(spec: ModelSpec): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const sizes = attentionSizes(config);
  const layers = range(config.layers);
  const tied = config.tieWordEmbeddings ?? false;
  const attentionBias = config.attentionBias === true;
  const prefix = 'model.layers.{layer}';
  return {
    tensors: [
      embedding('model.embed_tokens', vocabSize, hiddenSize),
      ...attention(`${prefix}.self_attn`, hiddenSize, sizes, {
        layers,
        qkvBias: attentionBias,
        outBias: attentionBias,
      }),
      ...gatedMlp(`${prefix}.mlp`, hiddenSize, intermediateSize, { layers, bias: config.mlpBias === true }),
      ...norm(`${prefix}.input_layernorm`, hiddenSize, { layers }),
      ...norm(`${prefix}.post_attention_layernorm`, hiddenSize, { layers }),
      ...norm('model.norm', hiddenSize),
      ...(tied ? [] : lmHead(vocabSize, hiddenSize)),
    ],
    caches: cachesOf(layers, () => [{ kind: 'full', kvHeads: sizes.kv, headDim: sizes.headDim }]),
    forward: {
      hiddenSize,
      queryDim: sizes.queryDim,
      kvDim: sizes.kvDim,
      kvHeads: sizes.kv,
      intermediateSize,
      gatedMlp: true,
      vocabSize,
    },
    rotary: rotaryOf(config, sizes.headDim),
    tied,
    attention: 'uniform',
  };
}
