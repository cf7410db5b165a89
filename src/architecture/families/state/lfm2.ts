// LFM2 and LFM2-MoE: gated short convolutions with an attention layer now and then, a gated MLP (w1, w3, w2) or, past the
// first dense layers of the MoE members, a mixture of experts with a float32 correction bias; embeddings are tied.
// transformers/models/{lfm2,lfm2_moe}, vllm/model_executor/models/{lfm2,lfm2_moe}.py.

import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { alignUp } from '../../../units.ts';
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
  replicated,
  rotaryOf,
  router,
} from '../../build.ts';
import type { Architecture, ForwardShape, TensorGroup } from '../../types.ts';
import { shortConvMixer, shortConvState } from './mixers/short-conv.ts';
import { flagOf, listOf, numberOf } from './text.ts';

const mlpNames = { gate: 'w1', up: 'w3', down: 'w2' } as const;

export function lfm2({ config }: ModelSpec): Architecture {
  const width = adjustedWidth(config);
  return expand(config, { width, denseLayers: range(config.layers) });
}

export function lfm2Moe({ config }: ModelSpec): Architecture {
  const denseLayers = range(Math.min(numberOf(config, 'numDenseLayers', 2), config.layers));
  return expand(config, { width: numberOf(config, 'intermediateSize', 7168), denseLayers });
}

function expand(config: ModelConfig, mlp: { width: number; denseLayers: number[] }): Architecture {
  const { hiddenSize, vocabSize } = config;
  const layers = range(config.layers);
  const attentionLayers = fullAttentionLayers(config);
  const convLayers = layers.filter((layer) => !attentionLayers.includes(layer));
  const moeLayers = layers.slice(mlp.denseLayers.length);
  const sizes = { ...attentionSizes(config), headDim: Math.floor(hiddenSize / config.heads) };
  const conv = {
    dim: numberOf(config, 'convDim', hiddenSize),
    conv: numberOf(config, 'convLCache', 3),
    bias: flagOf(config, 'convBias', false),
  };
  const tied = config.tieWordEmbeddings ?? flagOf(config, 'tieEmbedding', true);
  const prefix = 'model.layers.{layer}';
  const names = { q: 'q_proj', k: 'k_proj', v: 'v_proj', o: 'out_proj' };
  return {
    tensors: [
      embedding('model.embed_tokens', vocabSize, hiddenSize),
      ...attention(`${prefix}.self_attn`, hiddenSize, sizes, { layers: attentionLayers, names }),
      ...norm(`${prefix}.self_attn.q_layernorm`, sizes.headDim, { layers: attentionLayers }),
      ...norm(`${prefix}.self_attn.k_layernorm`, sizes.headDim, { layers: attentionLayers }),
      ...shortConvMixer(`${prefix}.conv`, conv, { layers: convLayers }),
      ...gatedMlp(`${prefix}.feed_forward`, hiddenSize, mlp.width, { layers: mlp.denseLayers, names: mlpNames }),
      ...sparse(`${prefix}.feed_forward`, config, moeLayers),
      ...norm(`${prefix}.operator_norm`, hiddenSize, { layers }),
      ...norm(`${prefix}.ffn_norm`, hiddenSize, { layers }),
      ...norm('model.embedding_norm', hiddenSize),
      ...(tied ? [] : lmHead(vocabSize, hiddenSize)),
    ].filter((group) => group.layers?.length !== 0),
    caches: cachesOf(layers, (layer) =>
      attentionLayers.includes(layer)
        ? [{ kind: 'full', kvHeads: sizes.kv, headDim: sizes.headDim }]
        : [{ kind: 'state', state: shortConvState(conv) }],
    ),
    forward: forwardOf(config, sizes, mlp.denseLayers.length > 0 ? mlp.width : 0, moeLayers.length),
    rotary: rotaryOf(config, sizes.headDim),
    tied,
    attention: 'hybrid-mamba',
  };
}

/** layer_types in newer configs, full_attn_idxs in older ones. */
function fullAttentionLayers(config: ModelConfig): number[] {
  const indices = listOf<number>(config, 'fullAttnIdxs');
  return range(config.layers).filter((layer) =>
    config.layerTypes ? config.layerTypes[layer] === 'full_attention' : (indices?.includes(layer) ?? true),
  );
}

/**
 * The MLP width: two thirds of block_ff_dim, times the multiplier, rounded up to a multiple; each product truncated.
 * vllm/model_executor/models/lfm2.py Lfm2MLP.
 */
function adjustedWidth(config: ModelConfig): number {
  const stated = numberOf(config, 'blockFfDim', config.intermediateSize ?? 12288);
  if (!flagOf(config, 'blockAutoAdjustFfDim', true)) return stated;
  const multiplier = numberOf(config, 'blockFfnDimMultiplier', 1);
  const scaled = Math.floor(multiplier * Math.floor((2 * stated) / 3));
  return alignUp(scaled, numberOf(config, 'blockMultipleOf', 256));
}

function sparse(prefix: string, config: ModelConfig, layers: number[]): TensorGroup[] {
  const { hiddenSize, experts: count = 0 } = config;
  if (layers.length === 0) return [];
  const sizes = { hiddenSize, intermediateSize: numberOf(config, 'moeIntermediateSize'), experts: count };
  const bias: TensorGroup = {
    name: `${prefix}.expert_bias`,
    shape: [count],
    layers,
    role: 'router',
    shard: replicated,
    part: 'text',
    dtype: 'float32',
  };
  return [
    ...router(`${prefix}.gate`, count, hiddenSize, { layers }),
    ...(flagOf(config, 'useExpertBias', true) ? [bias] : []),
    ...experts(`${prefix}.experts`, sizes, { layers, names: mlpNames }),
  ];
}

function forwardOf(
  config: ModelConfig,
  sizes: { heads: number; kv: number; headDim: number },
  intermediateSize: number,
  moeLayers: number,
): ForwardShape {
  return {
    hiddenSize: config.hiddenSize,
    queryDim: sizes.heads * sizes.headDim,
    kvDim: sizes.kv * sizes.headDim,
    kvHeads: sizes.kv,
    intermediateSize,
    gatedMlp: true,
    ...(moeLayers > 0
      ? {
          moe: {
            experts: config.experts ?? 0,
            topK: config.expertsPerToken ?? 4,
            intermediateSize: numberOf(config, 'moeIntermediateSize'),
            sharedIntermediateSize: 0,
            layers: moeLayers,
          },
        }
      : {}),
    vocabSize: config.vocabSize,
  };
}
