// Falcon-H1: attention and a Mamba-2 mixer side by side in every layer, then a gated MLP. Each layer therefore keeps two
// caches. vLLM also keeps one vector of multipliers per layer, as wide as the mixer's input projection.
// transformers/models/falcon_h1, vllm/model_executor/models/falcon_h1.py.
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
import { mamba2Mixer, mamba2Sizes, mamba2State, projectionRows, projectionShard } from './mixers/mamba2.ts';
import { parameter } from './mixers/parts.ts';
import { flagOf, numberOf } from './text.ts';

export function falconH1({ config }: ModelSpec): Architecture {
  const { hiddenSize, vocabSize } = config;
  const intermediateSize = numberOf(config, 'intermediateSize', 14336);
  const layers = range(config.layers);
  const sizes = attentionSizes(config);
  // The norm of the mixer is an option here, and off by default.
  const mixer = { ...mamba2Sizes(config), gatedNorm: flagOf(config, 'mambaRmsNorm', false) };
  const tied = config.tieWordEmbeddings ?? false;
  const prefix = 'model.layers.{layer}';
  return {
    tensors: [
      embedding('model.embed_tokens', vocabSize, hiddenSize),
      ...attention(`${prefix}.self_attn`, hiddenSize, sizes, { layers }),
      ...mamba2Mixer(`${prefix}.mamba`, mixer, { layers }),
      parameter(`${prefix}.mamba.mup_vector`, [projectionRows(mixer)], {
        layers,
        shard: projectionShard(mixer),
        derived: true,
      }),
      ...gatedMlp(`${prefix}.feed_forward`, hiddenSize, intermediateSize, {
        layers,
        bias: flagOf(config, 'mlpBias', false),
      }),
      ...norm(`${prefix}.input_layernorm`, hiddenSize, { layers }),
      ...norm(`${prefix}.pre_ff_layernorm`, hiddenSize, { layers }),
      ...norm('model.final_layernorm', hiddenSize),
      ...(tied ? [] : lmHead(vocabSize, hiddenSize)),
    ],
    caches: cachesOf(layers, () => [
      { kind: 'full', kvHeads: sizes.kv, headDim: sizes.headDim },
      { kind: 'state', state: mamba2State(mixer) },
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
    rotary: rotaryOf(config, numberOf(config, 'attnRotaryEmb', sizes.headDim)),
    tied,
    attention: 'hybrid-mamba',
  };
}
