// Mamba and Falcon-Mamba: nothing but Mamba-1 mixers and norms, no attention, no MLP. Falcon-Mamba adds norms without
// weights inside the mixer. transformers/models/{mamba,falcon_mamba}, vllm/model_executor/models/mamba.py.
import type { ModelSpec } from '../../../spec/model.ts';
import { cachesOf, embedding, lmHead, norm, range } from '../../build.ts';
import type { Architecture } from '../../types.ts';
import { type Mamba1Sizes, mamba1Mixer, mamba1State } from './mixers/mamba1.ts';
import { attentionFree, flagOf, numberOf } from './text.ts';

export function mamba(spec: ModelSpec): Architecture {
  return attentionFreeMamba(spec, 'none');
}

export function falconMamba(spec: ModelSpec): Architecture {
  return attentionFreeMamba(spec, 'weightless');
}

function attentionFreeMamba({ config }: ModelSpec, innerNorms: Mamba1Sizes['innerNorms']): Architecture {
  const { hiddenSize, vocabSize } = config;
  const layers = range(config.layers);
  const tied = config.tieWordEmbeddings ?? true;
  const { timeStepRank } = config;
  const sizes: Mamba1Sizes = {
    hiddenSize,
    inner: config.intermediateSize ?? numberOf(config, 'expand', 2) * hiddenSize,
    state: numberOf(config, 'stateSize', 16),
    conv: numberOf(config, 'convKernel', 4),
    timeStepRank: typeof timeStepRank === 'number' ? timeStepRank : Math.ceil(hiddenSize / 16),
    convBias: flagOf(config, 'useConvBias', true),
    bias: flagOf(config, 'useBias', false),
    innerNorms,
  };
  return {
    tensors: [
      embedding('backbone.embeddings', vocabSize, hiddenSize),
      ...mamba1Mixer('backbone.layers.{layer}.mixer', sizes, { layers }),
      ...norm('backbone.layers.{layer}.norm', hiddenSize, { layers }),
      ...norm('backbone.norm_f', hiddenSize),
      ...(tied ? [] : lmHead(vocabSize, hiddenSize)),
    ],
    caches: cachesOf(layers, () => [{ kind: 'state', state: mamba1State(sizes) }]),
    forward: attentionFree(hiddenSize, vocabSize),
    rotary: [],
    tied,
    attention: 'attention-free',
  };
}
