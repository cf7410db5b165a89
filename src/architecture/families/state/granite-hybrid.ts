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
  linear,
  lmHead,
  norm,
  range,
  rotaryOf,
  router,
  row,
  stackedExperts,
} from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import { mamba2Mixer, mamba2Sizes, mamba2State } from './mixers/mamba2.ts';
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
  const mixer = mamba2Sizes(config);
  const shared = numberOf(config, 'sharedIntermediateSize', 1024);
  const bias = flagOf(config, 'attentionBias', false);
  const tied = config.tieWordEmbeddings ?? false;
  const prefix = 'model.layers.{layer}';
  return {
    tensors: [
      embedding('model.embed_tokens', vocabSize, hiddenSize),
      ...mamba2Mixer(`${prefix}.mamba`, mixer, { layers: stateLayers }),
      ...attention(`${prefix}.self_attn`, hiddenSize, sizes, { layers: attentionLayers, qkvBias: bias, outBias: bias }),
      ...(count > 0 ? routedExperts(`${prefix}.block_sparse_moe`, config, layers) : []),
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

function routedExperts(prefix: string, config: ModelConfig, layers: number[]): TensorGroup[] {
  const { hiddenSize, experts: count = 0 } = config;
  const names = {
    gateUp: `${prefix}.input_linear.weight`,
    down: `${prefix}.output_linear.weight`,
    merge: `${prefix}.experts`,
  };
  const sizes = { hiddenSize, intermediateSize: numberOf(config, 'intermediateSize'), experts: count };
  return [
    ...router(`${prefix}.router.layer`, count, hiddenSize, { layers }),
    ...stackedExperts(names, sizes, { layers }),
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
