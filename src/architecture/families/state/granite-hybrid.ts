// Granite 4 hybrids: Mamba-2 or attention by layer_types, then a mixture of experts next to an always-on shared MLP (the
// dense members have the shared MLP alone, the smallest attention only). The file stacks the experts, gate before up.
// transformers/models/granitemoehybrid, vllm/model_executor/models/granitemoehybrid.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import {
  attention,
  attentionSizes,
  cachesOf,
  column,
  embedding,
  expert,
  linear,
  lmHead,
  norm,
  range,
  rotaryOf,
  router,
  row,
} from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import { type Mamba2Sizes, mamba2Mixer, mamba2State } from './mixers/mamba2.ts';
import { flagOf, listOf, numberOf } from './text.ts';

export function graniteMoeHybrid({ config }: ModelSpec): Architecture {
  const { hiddenSize, vocabSize, experts: count = 0 } = config;
  const layers = range(config.layers);
  // transformers 5 renames the kinds to full_attention and linear_attention; without the field all layers are Mamba.
  const kinds = listOf<string>(config, 'layerTypes') ?? listOf<string>(config, 'layersBlockType') ?? [];
  const attentionLayers = layers.filter(
    (layer) => kinds[layer]?.includes('attention') && !kinds[layer].includes('linear'),
  );
  const stateLayers = layers.filter((layer) => !attentionLayers.includes(layer));
  const sizes = { ...attentionSizes(config), headDim: Math.floor(hiddenSize / config.heads) };
  const mixer = mixerSizes(config);
  const shared = numberOf(config, 'sharedIntermediateSize', 1024);
  const bias = flagOf(config, 'attentionBias', false);
  const tied = config.tieWordEmbeddings ?? false;
  const prefix = 'model.layers.{layer}';
  return {
    tensors: [
      embedding('model.embed_tokens', vocabSize, hiddenSize),
      ...mamba2Mixer(`${prefix}.mamba`, mixer, { layers: stateLayers }),
      ...attention(`${prefix}.self_attn`, hiddenSize, sizes, { layers: attentionLayers, qkvBias: bias, outBias: bias }),
      ...(count > 0 ? stackedExperts(`${prefix}.block_sparse_moe`, config, layers) : []),
      ...(shared > 0 ? sharedMlp(`${prefix}.shared_mlp`, config, shared, layers) : []),
      ...norm(`${prefix}.input_layernorm`, hiddenSize, { layers }),
      ...norm(`${prefix}.post_attention_layernorm`, hiddenSize, { layers }),
      ...norm('model.norm', hiddenSize),
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
      intermediateSize: count > 0 ? 0 : shared,
      gatedMlp: true,
      ...(count > 0
        ? {
            moe: {
              experts: count,
              topK: config.expertsPerToken ?? 8,
              intermediateSize: numberOf(config, 'intermediateSize'),
              sharedIntermediateSize: shared,
              layers: layers.length,
            },
          }
        : {}),
      vocabSize,
    },
    rotary: config.positionEmbeddingType === 'rope' ? rotaryOf(config, sizes.headDim) : [],
    tied,
    attention: stateLayers.length > 0 ? 'hybrid-mamba' : 'uniform',
  };
}

function stackedExperts(prefix: string, config: ModelConfig, layers: number[]): TensorGroup[] {
  const { hiddenSize, experts: count = 0 } = config;
  const width = numberOf(config, 'intermediateSize');
  const common = { layers, experts: count, stacked: true, part: 'text', linear: true } as const;
  return [
    ...router(`${prefix}.router.layer`, count, hiddenSize, { layers }),
    {
      ...common,
      name: `${prefix}.input_linear.weight`,
      shape: [2 * width, hiddenSize],
      role: 'expert-gate-up',
      shard: expert(column),
      merge: `${prefix}.experts.w13`,
    },
    {
      ...common,
      name: `${prefix}.output_linear.weight`,
      shape: [hiddenSize, width],
      role: 'expert-down',
      shard: expert(row),
      merge: `${prefix}.experts.w2`,
    },
  ];
}

/** Gate and up are one matrix in the file. It is the only MLP of the dense members. */
function sharedMlp(prefix: string, config: ModelConfig, width: number, layers: number[]): TensorGroup[] {
  const { hiddenSize, experts: count = 0 } = config;
  const roles = count > 0 ? (['shared-gate', 'shared-down'] as const) : (['gate-up', 'down'] as const);
  return [
    ...linear(`${prefix}.input_linear`, [2 * width, hiddenSize], { layers, role: roles[0], shard: column }),
    ...linear(`${prefix}.output_linear`, [hiddenSize, width], { layers, role: roles[1], shard: row }),
  ];
}

/** Defaults of GraniteMoeHybridConfig. */
function mixerSizes(config: ModelConfig): Mamba2Sizes {
  const { hiddenSize, mambaDHead } = config;
  const inner = numberOf(config, 'mambaExpand', 2) * hiddenSize;
  const heads = numberOf(config, 'mambaNHeads', 128);
  return {
    hiddenSize,
    inner,
    state: numberOf(config, 'mambaDState', 256),
    conv: numberOf(config, 'mambaDConv', 4),
    heads,
    headDim: typeof mambaDHead === 'number' ? mambaDHead : inner / heads,
    groups: numberOf(config, 'mambaNGroups', 1),
    convBias: flagOf(config, 'mambaConvBias', true),
    bias: flagOf(config, 'mambaProjBias', false),
    gatedNorm: true,
  };
}
