// Kimi-Linear and the text part of Kimi-K3: Kimi delta attention with a layer of latent attention (MLA without positions)
// now and then, and a mixture of experts with shared experts. K3 adds output gates, experts in a latent space behind
// projections that every rank holds whole, and learned residual mixes between blocks of layers.
// vllm/transformers_utils/configs/kimi_linear.py, vllm/models/kimi_k3/nvidia/model.py (0.33), models/kimi_linear.py before.
import { assert } from '../../../assert.ts';
import type { JsonObject, ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { cachesOf, embedding, gatedMlp, linear, lmHead, norm, range, replicated, type Where } from '../../build.ts';
import type { Architecture, ForwardShape, TensorGroup } from '../../types.ts';
import { kimiAttention, latentCache } from './kimi-attention.ts';
import { kimiExperts } from './kimi-moe.ts';
import { type KdaSizes, kdaMixer, kdaState } from './mixers/kda.ts';
import { flagOf, listOf, numberOf, type TextOptions } from './text.ts';

export function kimiLinear({ config }: ModelSpec, options: TextOptions = {}): Architecture {
  const { hiddenSize, vocabSize } = config;
  const { prefix: root = 'model', lmHead: head = 'lm_head' } = options;
  const layers = range(config.layers);
  const stateLayers = (listOf<number>(linearConfig(config), 'kdaLayers') ?? []).map((layer) => layer - 1);
  const fullLayers = layers.filter((layer) => !stateLayers.includes(layer));
  const moeLayers = sparseLayers(config);
  const denseLayers = layers.filter((layer) => !moeLayers.includes(layer));
  const mixer = mixerSizes(config);
  const tied = config.tieWordEmbeddings ?? false;
  const prefix = `${root}.layers.{layer}`;
  return {
    tensors: [
      embedding(`${root}.embed_tokens`, vocabSize, hiddenSize),
      ...kdaMixer(`${prefix}.self_attn`, mixer, { layers: stateLayers }),
      ...kimiAttention(`${prefix}.self_attn`, config, { layers: fullLayers }),
      ...kimiExperts(`${prefix}.block_sparse_moe`, config, { layers: moeLayers }),
      ...gatedMlp(`${prefix}.mlp`, hiddenSize, numberOf(config, 'intermediateSize', 11008), { layers: denseLayers }),
      ...norm(`${prefix}.input_layernorm`, hiddenSize, { layers }),
      ...norm(`${prefix}.post_attention_layernorm`, hiddenSize, { layers }),
      ...residualMixes(config, ['self_attention', 'mlp'], prefix, { layers }),
      ...norm(`${root}.norm`, hiddenSize),
      ...residualMixes(config, ['output_attn'], root, {}),
      ...(tied ? [] : lmHead(vocabSize, hiddenSize, { name: head })),
    ].filter((group) => group.layers?.length !== 0),
    caches: cachesOf(layers, (layer) =>
      stateLayers.includes(layer) ? [{ kind: 'state', state: kdaState(mixer) }] : [latentCache(config)],
    ),
    forward: forwardOf(config, moeLayers.length),
    rotary: [],
    tied,
    attention: 'hybrid-mamba',
  };
}

/** With attn_res_block_size: a norm and a one-row projection that weigh the residuals of earlier blocks. */
function residualMixes(config: ModelConfig, kinds: readonly string[], prefix: string, where: Where): TensorGroup[] {
  if (config.attnResBlockSize === undefined) return [];
  const { hiddenSize } = config;
  return [
    ...kinds.flatMap((kind) => norm(`${prefix}.${kind}_res_norm`, hiddenSize, where)),
    ...kinds.flatMap((kind) =>
      linear(`${prefix}.${kind}_res_proj`, [1, hiddenSize], {
        ...where,
        role: 'attention-other',
        shard: replicated,
        linear: false,
      }),
    ),
  ];
}

function sparseLayers(config: ModelConfig): number[] {
  const first = numberOf(config, 'firstKDenseReplace', 0);
  const step = numberOf(config, 'moeLayerFreq', 1);
  return config.experts === undefined
    ? []
    : range(config.layers).filter((layer) => layer >= first && layer % step === 0);
}

function forwardOf(config: ModelConfig, moeLayers: number): ForwardShape {
  const shared = numberOf(config, 'sharedExperts', 0);
  const width = numberOf(config, 'moeIntermediateSize', 0);
  const queryDim = config.heads * (numberOf(config, 'qkNopeHeadDim') + numberOf(config, 'qkRopeHeadDim'));
  return {
    hiddenSize: config.hiddenSize,
    queryDim,
    kvDim: queryDim,
    kvHeads: config.heads,
    intermediateSize: moeLayers < config.layers ? numberOf(config, 'intermediateSize', 11008) : 0,
    gatedMlp: true,
    ...(moeLayers > 0
      ? {
          moe: {
            experts: config.experts ?? 0,
            topK: config.expertsPerToken ?? 1,
            intermediateSize: width,
            sharedIntermediateSize: shared * width,
            layers: moeLayers,
          },
        }
      : {}),
    vocabSize: config.vocabSize,
  };
}

function linearConfig(config: ModelConfig): JsonObject {
  const nested = config.linearAttnConfig;
  assert(typeof nested === 'object' && nested !== null, 'configuration lacks linear_attn_config');
  return nested as JsonObject;
}

function mixerSizes(config: ModelConfig): KdaSizes {
  const nested = linearConfig(config);
  return {
    hiddenSize: config.hiddenSize,
    heads: numberOf(nested, 'numHeads'),
    headDim: numberOf(nested, 'headDim'),
    conv: numberOf(nested, 'shortConvKernelSize', 4),
    fullRankGate: flagOf(nested, 'useFullRankGate', false),
  };
}
