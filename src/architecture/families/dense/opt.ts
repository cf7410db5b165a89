// OPT: learned positions (two rows more than positions), plain MLP with biases; the 350M model embeds in a narrower space
// and projects in and out of it. vllm/model_executor/models/opt.py.
import type { ModelSpec } from '../../../spec/model.ts';
import { attention, attentionSizes, embedding, linear, norm, range, replicated } from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import { assemble, decoderNames, headOf, numberOf, plainMlp, positionEmbedding, type TextOptions } from './parts.ts';

export function opt(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const names = decoderNames(spec, options, 'model.decoder');
  const sizes = attentionSizes(config);
  const embedWidth = numberOf(config, 'wordEmbedProjDim') ?? hiddenSize;
  const positions = (config.maxPositionEmbeddings ?? 2048) + 2;
  const tied = config.tieWordEmbeddings ?? true;
  const bias = config.enableBias !== false;
  const affine = config.layerNormElementwiseAffine !== false;
  const { layer } = names;
  const where = { layers: range(config.layers) };
  const layerNorm = (name: string, at: object = {}) => (affine ? norm(name, hiddenSize, { ...at, bias: true }) : []);
  return assemble(spec, {
    tensors: [
      embedding(names.at('embed_tokens'), vocabSize, embedWidth),
      positionEmbedding(names.at('embed_positions'), positions, hiddenSize),
      ...projections(names.at, hiddenSize, embedWidth),
      ...(config.doLayerNormBefore === false ? [] : layerNorm(names.at('final_layer_norm'))),
      ...attention(`${layer}.self_attn`, hiddenSize, sizes, {
        ...where,
        qkvBias: bias,
        outBias: bias,
        names: { q: 'q_proj', k: 'k_proj', v: 'v_proj', o: 'out_proj' },
      }),
      ...layerNorm(`${layer}.self_attn_layer_norm`, where),
      ...plainMlp({ up: `${layer}.fc1`, down: `${layer}.fc2` }, hiddenSize, intermediateSize, { ...where, bias }),
      ...layerNorm(`${layer}.final_layer_norm`, where),
      ...headOf(names, { ...config, hiddenSize: embedWidth }, { tied }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: false,
    rotary: [],
  });
}

function projections(at: (name: string) => string, hiddenSize: number, embedWidth: number): TensorGroup[] {
  if (embedWidth === hiddenSize) return [];
  const options = { role: 'other', shard: replicated } as const;
  return [
    ...linear(at('project_out'), [embedWidth, hiddenSize], options),
    ...linear(at('project_in'), [hiddenSize, embedWidth], options),
  ];
}
