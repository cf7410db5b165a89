// MiniCPM3: latent attention in the checkpoint, expanded by vLLM into ordinary attention with as many KV heads as query
// heads. vllm/model_executor/models/minicpm3.py.
import type { ModelSpec } from '../../../spec/model.ts';
import { cachesOf, embedding, gatedMlp, lmHead, norm, range, rotaryOf } from '../../build.ts';
import type { Architecture } from '../../types.ts';
import { mlaAttention, mlaSizes } from './mla.ts';
import { decoderNames, need, type TextOptions } from './parts.ts';

export function minicpm3(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize } = config;
  const intermediateSize = need(config, 'intermediateSize', 6400);
  const names = decoderNames(spec, options);
  const layers = range(config.layers);
  const sizes = { ...mlaSizes(config), valueDim: need(config, 'vHeadDim', hiddenSize / config.heads) };
  const headDim = sizes.nopeDim + sizes.ropeDim;
  const tied = config.tieWordEmbeddings ?? true;
  const unmerged = mlaAttention(`${names.layer}.self_attn`, hiddenSize, sizes, {
    layers,
    bias: config.attentionBias === true,
  });
  return {
    tensors: [
      embedding(names.at('embed_tokens'), vocabSize, hiddenSize),
      ...norm(`${names.layer}.input_layernorm`, hiddenSize, { layers }),
      ...unmerged.map(({ merge: _, ...group }) => group),
      ...norm(`${names.layer}.post_attention_layernorm`, hiddenSize, { layers }),
      ...gatedMlp(`${names.layer}.mlp`, hiddenSize, intermediateSize, { layers }),
      ...norm(names.at('norm'), hiddenSize),
      ...(tied || !names.head ? [] : lmHead(vocabSize, hiddenSize, { name: names.head })),
    ],
    caches: cachesOf(layers, () => [{ kind: 'full', kvHeads: sizes.heads, headDim }]),
    forward: {
      hiddenSize,
      queryDim: sizes.heads * headDim,
      kvDim: sizes.heads * headDim,
      kvHeads: sizes.heads,
      intermediateSize,
      gatedMlp: true,
      vocabSize,
    },
    rotary: rotaryOf(config, sizes.ropeDim),
    tied,
    attention: 'uniform',
  };
}
