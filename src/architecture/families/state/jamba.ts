// Jamba: Mamba-1 layers with an attention layer every attn_layer_period, a mixture of experts every expert_layer_period;
// attention has no positions. transformers/models/jamba, vllm/model_executor/models/jamba.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import {
  attention,
  attentionSizes,
  cachesOf,
  embedding,
  experts,
  gatedMlp,
  lmHead,
  norm,
  range,
  router,
} from '../../build.ts';
import type { Architecture } from '../../types.ts';
import { type Mamba1Sizes, mamba1Mixer, mamba1State } from './mixers/mamba1.ts';
import { flagOf, numberOf } from './text.ts';

export function jamba({ config }: ModelSpec): Architecture {
  const { hiddenSize, vocabSize, experts: count = 16, expertsPerToken = 2 } = config;
  const intermediateSize = numberOf(config, 'intermediateSize', 14336);
  const attentionLayers = periodic(config, 'attnLayerPeriod', 8, 'attnLayerOffset', 4);
  const moeLayers = count > 1 ? periodic(config, 'expertLayerPeriod', 2, 'expertLayerOffset', 1) : [];
  const stateLayers = range(config.layers).filter((layer) => !attentionLayers.includes(layer));
  const denseLayers = range(config.layers).filter((layer) => !moeLayers.includes(layer));
  const sizes = attentionSizes(config);
  const mixer = mixerSizes(config);
  const tied = config.tieWordEmbeddings ?? false;
  const prefix = 'model.layers.{layer}';
  const moe = { hiddenSize, intermediateSize, experts: count };
  return {
    tensors: [
      embedding('model.embed_tokens', vocabSize, hiddenSize),
      ...mamba1Mixer(`${prefix}.mamba`, mixer, { layers: stateLayers }),
      ...attention(`${prefix}.self_attn`, hiddenSize, sizes, { layers: attentionLayers }),
      ...router(`${prefix}.feed_forward.router`, count, hiddenSize, { layers: moeLayers }),
      ...experts(`${prefix}.feed_forward.experts`, moe, { layers: moeLayers }),
      ...gatedMlp(`${prefix}.feed_forward`, hiddenSize, intermediateSize, { layers: denseLayers }),
      ...norm(`${prefix}.input_layernorm`, hiddenSize, { layers: range(config.layers) }),
      ...norm(`${prefix}.pre_ff_layernorm`, hiddenSize, { layers: range(config.layers) }),
      ...norm('model.final_layernorm', hiddenSize),
      ...(tied ? [] : lmHead(vocabSize, hiddenSize)),
    ].filter((group) => group.layers?.length !== 0),
    caches: cachesOf(range(config.layers), (layer) =>
      attentionLayers.includes(layer)
        ? [{ kind: 'full', kvHeads: sizes.kv, headDim: sizes.headDim }]
        : [{ kind: 'state', state: mamba1State(mixer) }],
    ),
    forward: {
      hiddenSize,
      queryDim: sizes.queryDim,
      kvDim: sizes.kvDim,
      kvHeads: sizes.kv,
      intermediateSize: denseLayers.length > 0 ? intermediateSize : 0,
      gatedMlp: true,
      ...(moeLayers.length > 0
        ? {
            moe: {
              experts: count,
              topK: expertsPerToken,
              intermediateSize,
              sharedIntermediateSize: 0,
              layers: moeLayers.length,
            },
          }
        : {}),
      vocabSize,
    },
    rotary: [],
    tied,
    attention: 'hybrid-mamba',
  };
}

/** Layers i with i mod period = offset. */
function periodic(config: ModelConfig, period: string, every: number, offset: string, first: number): number[] {
  const step = numberOf(config, period, every);
  const start = numberOf(config, offset, first);
  return range(config.layers).filter((layer) => layer % step === start);
}

function mixerSizes(config: ModelConfig): Mamba1Sizes {
  const { hiddenSize, mambaDtRank } = config;
  return {
    hiddenSize,
    inner: numberOf(config, 'mambaExpand', 2) * hiddenSize,
    state: numberOf(config, 'mambaDState', 16),
    conv: numberOf(config, 'mambaDConv', 4),
    timeStepRank: typeof mambaDtRank === 'number' ? mambaDtRank : Math.ceil(hiddenSize / 16),
    convBias: flagOf(config, 'mambaConvBias', true),
    bias: flagOf(config, 'mambaProjBias', false),
    innerNorms: 'stored',
  };
}
