// Qwen3-Next and the text part of Qwen3.5, 3.6 and 3.8: three gated delta-net layers to one layer of gated attention (a
// second half of q gates the output), then an MLP or a mixture of experts with a gated shared expert, and a
// multi-token-prediction layer that both generations ship.
// transformers/models/{qwen3_next,qwen3_5,qwen3_5_moe}, vllm/model_executor/models/{qwen3_next,qwen3_5}*.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attentionSizes, cachesOf, embedding, lmHead, norm, range } from '../../build.ts';
import type { Architecture, CacheLayout, ForwardShape, RotaryTable } from '../../types.ts';
import { type DeltaNetSizes, deltaNetMixer, deltaNetState } from './mixers/delta-net.ts';
import { gatedAttention, type QwenLayout, qwenDraft, qwenFeedForward } from './qwen-layers.ts';
import { listOf, numberOf, type TextOptions } from './text.ts';

export function qwen3Next(spec: ModelSpec, options: TextOptions = {}): Architecture {
  const { config } = spec;
  const step = numberOf(config, 'decoderSparseStep', 1);
  const dense = listOf<number>(config, 'mlpOnlyLayers') ?? [];
  const moeLayers = range(config.layers).filter(
    (layer) => (config.experts ?? 0) > 0 && !dense.includes(layer) && (layer + 1) % step === 0,
  );
  return expand(config, options, { interleaved: true, moeLayers, stackedExperts: false }, 'numNextnPredictLayers');
}

/** Text part of Qwen3.5 (dense). */
export function qwen35Text(spec: ModelSpec, options: TextOptions = {}): Architecture {
  const layout = { interleaved: false, moeLayers: [], stackedExperts: false };
  return expand(spec.config, options, layout, 'mtpNumHiddenLayers');
}

/** Text part of Qwen3.5-MoE: every layer is a mixture of experts, stored stacked. */
export function qwen35MoeText(spec: ModelSpec, options: TextOptions = {}): Architecture {
  const layout = { interleaved: false, moeLayers: range(spec.config.layers), stackedExperts: true };
  return expand(spec.config, options, layout, 'mtpNumHiddenLayers');
}

function expand(config: ModelConfig, options: TextOptions, layout: QwenLayout, draftField: string): Architecture {
  const { hiddenSize, vocabSize } = config;
  const { prefix: root = 'model', lmHead: head = 'lm_head' } = options;
  const layers = range(config.layers);
  const full = fullAttentionLayers(config);
  const state = layers.filter((layer) => !full.includes(layer));
  const sizes = attentionSizes(config);
  const mixer = mixerSizes(config, layout.interleaved);
  const prefix = `${root}.layers.{layer}`;
  const tied = config.tieWordEmbeddings ?? false;
  const attended: CacheLayout = { kind: 'full', kvHeads: sizes.kv, headDim: sizes.headDim };
  // vLLM reads the number of draft layers with a default of one; a checkpoint without the layer never asks for it.
  const drafts = numberOf(config, draftField, 1);
  return {
    tensors: [
      embedding(`${root}.embed_tokens`, vocabSize, hiddenSize),
      ...deltaNetMixer(`${prefix}.linear_attn`, mixer, { layers: state }),
      ...gatedAttention(`${prefix}.self_attn`, config, { layers: full }),
      ...qwenFeedForward(`${prefix}.mlp`, config, layout, layers),
      ...norm(`${prefix}.input_layernorm`, hiddenSize, { layers }),
      ...norm(`${prefix}.post_attention_layernorm`, hiddenSize, { layers }),
      ...norm(`${root}.norm`, hiddenSize),
      ...(tied ? [] : lmHead(vocabSize, hiddenSize, { name: head })),
      ...qwenDraft(config, layout, drafts),
    ].filter((group) => group.layers?.length !== 0),
    caches: cachesOf(layers, (layer) =>
      full.includes(layer) ? [attended] : [{ kind: 'state', state: deltaNetState(mixer) }],
    ),
    ...(drafts > 0 ? { draftCaches: cachesOf(range(drafts), () => [attended]) } : {}),
    forward: forwardOf(config, layout),
    rotary: rotary(config, sizes.headDim),
    tied,
    attention: 'hybrid-mamba',
  };
}

/** layer_types, or every full_attention_interval-th layer. */
function fullAttentionLayers(config: ModelConfig): number[] {
  const interval = numberOf(config, 'fullAttentionInterval', 4);
  return range(config.layers).filter((layer) =>
    config.layerTypes ? config.layerTypes[layer] === 'full_attention' : (layer + 1) % interval === 0,
  );
}

/** A quarter of the head is rotated unless the configuration says otherwise (Qwen3NextConfig). */
function rotary(config: ModelConfig, headDim: number): RotaryTable[] {
  const partial = config.rope?.partialRotaryFactor ?? 0.25;
  return [
    { dim: Math.floor(headDim * partial), rope: { ...config.rope }, positions: config.maxPositionEmbeddings ?? 32768 },
  ];
}

function forwardOf(config: ModelConfig, { moeLayers }: QwenLayout): ForwardShape {
  const { queryDim, kvDim, kv } = attentionSizes(config);
  const { hiddenSize, vocabSize } = config;
  return {
    hiddenSize,
    queryDim,
    kvDim,
    kvHeads: kv,
    intermediateSize: moeLayers.length < config.layers ? numberOf(config, 'intermediateSize', 5632) : 0,
    gatedMlp: true,
    ...(moeLayers.length > 0
      ? {
          moe: {
            experts: config.experts ?? 0,
            topK: config.expertsPerToken ?? 10,
            intermediateSize: numberOf(config, 'moeIntermediateSize', 512),
            sharedIntermediateSize: numberOf(config, 'sharedExpertIntermediateSize', 512),
            layers: moeLayers.length,
          },
        }
      : {}),
    vocabSize,
  };
}

/** Defaults of Qwen3NextConfig, which Qwen3.5 keeps. */
function mixerSizes(config: ModelConfig, interleaved: boolean): DeltaNetSizes {
  return {
    hiddenSize: config.hiddenSize,
    keyHeads: numberOf(config, 'linearNumKeyHeads', 16),
    valueHeads: numberOf(config, 'linearNumValueHeads', 32),
    keyDim: numberOf(config, 'linearKeyHeadDim', 128),
    valueDim: numberOf(config, 'linearValueHeadDim', 128),
    conv: numberOf(config, 'linearConvKernelDim', 4),
    interleaved,
  };
}
