// Mamba-2 alone (Codestral Mamba): nothing but Mamba-2 mixers and norms. transformers/models/mamba2,
// vllm/model_executor/models/mamba2.py.
import type { ModelSpec } from '../../../spec/model.ts';
import { cachesOf, embedding, lmHead, norm, range } from '../../build.ts';
import type { Architecture } from '../../types.ts';
import { type Mamba2Sizes, mamba2Mixer, mamba2State } from './mixers/mamba2.ts';
import { attentionFree, flagOf, numberOf } from './text.ts';

export function mamba2({ config }: ModelSpec): Architecture {
  const { hiddenSize, vocabSize } = config;
  const layers = range(config.layers);
  const tied = config.tieWordEmbeddings ?? false;
  const sizes: Mamba2Sizes = {
    hiddenSize,
    inner: config.intermediateSize ?? numberOf(config, 'expand', 2) * hiddenSize,
    state: numberOf(config, 'stateSize', 128),
    conv: numberOf(config, 'convKernel', 4),
    heads: numberOf(config, 'heads', 128),
    headDim: numberOf(config, 'headDim', 64),
    groups: numberOf(config, 'nGroups', 8),
    convBias: flagOf(config, 'useConvBias', true),
    bias: flagOf(config, 'useBias', false),
    gatedNorm: true,
  };
  return {
    tensors: [
      embedding('backbone.embeddings', vocabSize, hiddenSize),
      ...mamba2Mixer('backbone.layers.{layer}.mixer', sizes, { layers }),
      ...norm('backbone.layers.{layer}.norm', hiddenSize, { layers }),
      ...norm('backbone.norm_f', hiddenSize),
      ...(tied ? [] : lmHead(vocabSize, hiddenSize)),
    ],
    caches: cachesOf(layers, () => [{ kind: 'state', state: mamba2State(sizes) }]),
    forward: attentionFree(hiddenSize, vocabSize),
    rotary: [],
    tied,
    attention: 'attention-free',
  };
}
