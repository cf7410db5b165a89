// EXAONE 4 and the text part of 4.5: norms after attention and MLP, per-head norms of q and k, three window layers to one
// full layer, optionally a multi-token-prediction layer. vllm/model_executor/models/{exaone4,exaone4_5_mtp}.py.
import type { ModelSpec } from '../../../spec/model.ts';
import { attentionSizes, column, linear, norm, range } from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import { type DecoderTraits, decoder, decoderLayer } from './decoder.ts';
import { numberOf, predictionCaches, type TextOptions } from './parts.ts';
import { interleavedWindows } from './windows.ts';

const traits: DecoderTraits = {
  tied: false,
  qkNorm: 'head',
  norms: ['post_attention_layernorm', 'post_feedforward_layernorm'],
};

/** A configuration without a window has full layers only. */
export function exaone4(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const windows = config.slidingWindow ? interleavedWindows(config, { period: 4, window: config.slidingWindow }) : [];
  const built = decoder(spec, options, { ...traits, windows });
  return { ...built, tensors: [...built.tensors, ...prediction(spec)], draftCaches: predictionCaches(config, built) };
}

function prediction(spec: ModelSpec): TensorGroup[] {
  const { config } = spec;
  const { hiddenSize, intermediateSize = 4 * hiddenSize } = config;
  const count = numberOf(config, 'numNextnPredictLayers') ?? 0;
  if (count === 0) return [];
  const part = 'mtp' as const;
  const where = { layers: range(count), part };
  const widths = { hiddenSize, intermediateSize, sizes: attentionSizes(config) };
  return [
    ...linear('mtp.fc', [hiddenSize, 2 * hiddenSize], { part, role: 'mtp', shard: column }),
    ...decoderLayer('mtp.layers.{layer}', widths, traits, where),
    ...['norm', 'pre_fc_norm_hidden', 'pre_fc_norm_embedding'].flatMap((name) =>
      norm(`mtp.${name}`, hiddenSize, { part }),
    ),
  ];
}
