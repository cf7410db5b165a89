// Llama 4, the text part: three of four layers rotate and attend within chunks, the fourth has no positions and attends to
// everything; experts stored stacked beside a shared expert. vllm/model_executor/models/llama4.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attention, attentionSizes, gatedMlp, range, replicated, rotaryOf } from '../../build.ts';
import type { Architecture, CacheLayout, TensorGroup } from '../../types.ts';
import {
  decoderNames,
  layerNorms,
  layersWhere,
  type MoeBlock,
  moeBlock,
  moeDecoder,
  need,
  splitLayers,
  type TextOptions,
} from './parts.ts';
import { transposedExperts } from './plain.ts';

export function llama4Text(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize } = config;
  const names = decoderNames(spec, options);
  const sizes = attentionSizes(config);
  const all = range(config.layers);
  const { dense, moe } = splitLayers(config, sparseLayers(config));
  const bias = config.attentionBias === true;
  const prefix = `${names.layer}.feed_forward`;
  const denseWidth = need(config, 'intermediateSizeMlp', 16384);
  const block = blockOf(prefix, config, moe);
  const rotates = rotatingLayers(config);
  return moeDecoder(spec, {
    names,
    layers: [
      ...weightlessNorm(`${names.layer}.self_attn.qk_norm`, config, sizes.headDim, rotates),
      ...attention(`${names.layer}.self_attn`, hiddenSize, sizes, { layers: all, qkvBias: bias, outBias: bias }),
      ...(moe.length > 0 ? moeBlock(prefix, block) : []),
      ...(dense.length > 0 ? gatedMlp(prefix, hiddenSize, denseWidth, { layers: dense }) : []),
      ...layerNorms(names.layer, hiddenSize, { layers: all }),
    ],
    block,
    denseIntermediateSize: dense.length > 0 ? denseWidth : 0,
    tied: config.tieWordEmbeddings ?? false,
    caches: all.map((layer) => ({ layer, caches: [cacheOf(config, sizes, rotates.includes(layer))] })),
    rotary: rotaryOf(config, sizes.headDim),
    attention: 'hybrid-window',
    queryDim: sizes.queryDim,
    kvDim: sizes.kvDim,
    kvHeads: sizes.kv,
  });
}

/** moe_layers lists them; else every interleave_moe_layer_step-th layer. */
function sparseLayers(config: ModelConfig): (layer: number) => boolean {
  const listed = config.moeLayers;
  if (Array.isArray(listed)) return (layer) => listed.includes(layer);
  const step = need(config, 'interleaveMoeLayerStep', 1);
  return (layer) => step > 0 && (layer + 1) % step === 0;
}

function blockOf(prefix: string, config: ModelConfig, layers: readonly number[]): MoeBlock {
  const sizes = {
    hiddenSize: config.hiddenSize,
    experts: need(config, 'experts', 16),
    intermediateSize: need(config, 'intermediateSize', 8192),
  };
  return {
    ...sizes,
    layers,
    router: 'router',
    shared: { name: 'shared_expert', intermediateSize: sizes.intermediateSize },
    routed: transposedExperts(`${prefix}.experts`, sizes, layers),
  };
}

/** no_rope_layers says 1 for a layer that rotates; an empty list stands for the default: every fourth layer does not. */
function rotatingLayers(config: ModelConfig): number[] {
  const flags = config.noRopeLayers;
  const interval = need(config, 'noRopeLayerInterval', 4);
  if (Array.isArray(flags) && flags.length > 0) return layersWhere(config, (layer) => flags[layer] !== 0);
  return layersWhere(config, (layer) => (layer + 1) % interval !== 0);
}

/** Norms of q and k without weights hold a vector of ones on the device. */
function weightlessNorm(name: string, config: ModelConfig, headDim: number, layers: readonly number[]): TensorGroup[] {
  if (config.useQkNorm === false) return [];
  const common = { role: 'norm', shard: replicated, part: 'text', derived: true, dtype: 'float32' } as const;
  return [{ ...common, name: `${name}.weight`, shape: [headDim], layers }];
}

function cacheOf(config: ModelConfig, sizes: { kv: number; headDim: number }, rotates: boolean): CacheLayout {
  const common = { kvHeads: sizes.kv, headDim: sizes.headDim };
  if (!rotates) return { kind: 'full', ...common };
  return { kind: 'chunked', chunk: need(config, 'attentionChunkSize', 8192), ...common };
}
