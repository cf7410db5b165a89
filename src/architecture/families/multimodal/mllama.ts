// Llama 3.2 Vision: a Llama decoder in which some layers attend to the image instead of the text. Cross layers keep the keys and
// values of the image's tokens, norms of q and k, and two gates. transformers/models/mllama; vLLM model_executor/models/mllama.py.
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
  replicated,
  rotaryOf,
} from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import { mllamaImage } from './encoders.ts';
import { column, matrix } from './parts.ts';
import { join } from './tower.ts';
import { mllamaTower } from './towers/mllama.ts';

/** The embedding has eight rows more than the head: the image token and its reserve. */
const extraRows = 8;

export function mllama(spec: ModelSpec): Architecture {
  const { config } = spec;
  const vision = config.vision;
  const outputDim = typeof vision?.visionOutputDim === 'number' ? vision.visionOutputDim : 7680;
  return join({
    text: mllamaText(spec, 'language_model.model', 'language_model.lm_head'),
    tower: mllamaTower('vision_model', vision),
    projector: matrix('multi_modal_projector', [config.hiddenSize, outputDim], {
      part: 'projector',
      shard: column,
      bias: true,
    }),
    encoders: [mllamaImage(vision)],
  });
}

function mllamaText({ config }: ModelSpec, prefix: string, head: string): Architecture {
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const sizes = attentionSizes(config);
  const cross = Array.isArray(config.crossAttentionLayers) ? (config.crossAttentionLayers as number[]) : [];
  const layers = range(config.layers);
  const self = layers.filter((layer) => !cross.includes(layer));
  const layer = `${prefix}.layers.{layer}`;
  const gate = (name: string): TensorGroup => ({
    name: `${layer}.${name}`,
    shape: [1],
    layers: cross,
    role: 'attention-other',
    shard: replicated,
    part: 'text',
  });
  const size = { kvHeads: sizes.kv, headDim: sizes.headDim };
  return {
    tensors: [
      embedding(`${prefix}.embed_tokens`, vocabSize + extraRows, hiddenSize),
      ...attention(`${layer}.self_attn`, hiddenSize, sizes, { layers: self }),
      ...attention(`${layer}.cross_attn`, hiddenSize, sizes, { layers: cross }),
      ...norm(`${layer}.cross_attn.q_norm`, sizes.headDim, { layers: cross }),
      ...norm(`${layer}.cross_attn.k_norm`, sizes.headDim, { layers: cross }),
      gate('cross_attn_attn_gate'),
      gate('cross_attn_mlp_gate'),
      ...gatedMlp(`${layer}.mlp`, hiddenSize, intermediateSize, { layers }),
      ...norm(`${layer}.input_layernorm`, hiddenSize, { layers }),
      ...norm(`${layer}.post_attention_layernorm`, hiddenSize, { layers }),
      ...norm(`${prefix}.norm`, hiddenSize),
      ...lmHead(vocabSize, hiddenSize, { name: head }),
    ],
    caches: cachesOf(layers, (index) => [
      cross.includes(index) ? { kind: 'cross', ...size } : { kind: 'full', ...size },
    ]),
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
    tied: false,
    attention: 'uniform',
  };
}
