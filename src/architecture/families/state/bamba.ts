// Bamba: Mamba-2 layers, attention at attn_layer_indices, a gated MLP in every layer. transformers/models/bamba,
// vllm/model_executor/models/bamba.py (to 0.20; later releases no longer have it).
import type { ModelSpec } from '../../../spec/model.ts';
import { attention, attentionSizes, cachesOf, embedding, gatedMlp, lmHead, norm, range } from '../../build.ts';
import type { Architecture } from '../../types.ts';
import { mamba2Mixer, mamba2Sizes, mamba2State } from './mixers/mamba2.ts';
import { listOf, numberOf } from './text.ts';

export function bamba({ config }: ModelSpec): Architecture {
  const { hiddenSize, vocabSize } = config;
  const layers = range(config.layers);
  const attentionLayers = [...(listOf<number>(config, 'attnLayerIndices') ?? [])];
  const stateLayers = layers.filter((layer) => !attentionLayers.includes(layer));
  const sizes = { ...attentionSizes(config), headDim: Math.floor(hiddenSize / config.heads) };
  const intermediateSize = numberOf(config, 'intermediateSize', 14336);
  const mixer = mamba2Sizes(config);
  const tied = config.tieWordEmbeddings ?? false;
  const prefix = 'model.layers.{layer}';
  return {
    tensors: [
      embedding('model.embed_tokens', vocabSize, hiddenSize),
      ...mamba2Mixer(`${prefix}.mamba`, mixer, { layers: stateLayers }),
      ...attention(`${prefix}.self_attn`, hiddenSize, sizes, { layers: attentionLayers }),
      ...gatedMlp(`${prefix}.feed_forward`, hiddenSize, intermediateSize, { layers }),
      ...norm(`${prefix}.input_layernorm`, hiddenSize, { layers }),
      ...norm(`${prefix}.pre_ff_layernorm`, hiddenSize, { layers }),
      ...norm('model.final_layernorm', hiddenSize),
      ...(tied ? [] : lmHead(vocabSize, hiddenSize)),
    ].filter((group) => group.layers?.length !== 0),
    caches: cachesOf(layers, (layer) =>
      attentionLayers.includes(layer)
        ? [{ kind: 'full', kvHeads: sizes.kv, headDim: sizes.headDim }]
        : [{ kind: 'state', state: mamba2State(mixer) }],
    ),
    forward: {
      hiddenSize,
      queryDim: sizes.heads * sizes.headDim,
      kvDim: sizes.kv * sizes.headDim,
      kvHeads: sizes.kv,
      intermediateSize,
      gatedMlp: true,
      vocabSize,
    },
    rotary: [
      {
        dim: numberOf(config, 'attnRotaryEmb', sizes.headDim),
        rope: { ...config.rope },
        positions: config.maxPositionEmbeddings ?? 262144,
      },
    ],
    tied,
    attention: 'hybrid-mamba',
  };
}
