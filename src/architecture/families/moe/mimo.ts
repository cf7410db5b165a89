// MiMo-V2-Flash: layers with a window have head counts, sizes and a rotary base of their own, and sinks; V is narrower than
// K. vllm/model_executor/models/mimo_v2_flash.py (to 0.2x), mimo_v2.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attention, column, gatedMlp, range, rotaryOf } from '../../build.ts';
import type { Architecture, CacheLayout, TensorGroup } from '../../types.ts';
import {
  decoderNames,
  layerFlags,
  layerNorms,
  layersWhere,
  moeBlock,
  moeDecoder,
  need,
  splitLayers,
  type TextOptions,
} from './parts.ts';

interface Heads {
  heads: number;
  kv: number;
  headDim: number;
  valueHeadDim: number;
  sinks: boolean;
  window?: number;
}

export function mimoV2Flash(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize } = config;
  const names = decoderNames(spec, options);
  const layers = range(config.layers);
  const windowed = layerFlags(config, 'hybridLayerPattern') ?? layers.map(() => false);
  const moeFlags = layerFlags(config, 'moeLayerFreq');
  const { dense, moe } = splitLayers(config, (layer) => moeFlags?.[layer] ?? true);
  const [full, window] = [fullHeads(config), windowHeads(config)];
  const shared = need(config, 'sharedExperts');
  const intermediateSize = need(config, 'moeIntermediateSize');
  const denseWidth = need(config, 'intermediateSize');
  const block = {
    layers: moe,
    hiddenSize,
    experts: need(config, 'experts', 256),
    intermediateSize,
    routerDtype: 'float32' as const,
    correctionBias: { name: 'gate.e_score_correction_bias' },
    ...(shared > 0 ? { shared: { name: 'shared_experts', intermediateSize: shared * intermediateSize } } : {}),
  };
  const attn = `${names.layer}.self_attn`;
  return moeDecoder(spec, {
    names,
    layers: [
      ...attentionOf(
        attn,
        hiddenSize,
        full,
        layersWhere(config, (layer) => !windowed[layer]),
        config,
      ),
      ...attentionOf(
        attn,
        hiddenSize,
        window,
        layersWhere(config, (layer) => windowed[layer] === true),
        config,
      ),
      ...(moe.length > 0 ? moeBlock(`${names.layer}.mlp`, block) : []),
      ...(dense.length > 0 ? gatedMlp(`${names.layer}.mlp`, hiddenSize, denseWidth, { layers: dense }) : []),
      ...layerNorms(names.layer, hiddenSize, { layers }),
    ],
    block,
    denseIntermediateSize: dense.length > 0 ? denseWidth : 0,
    tied: config.tieWordEmbeddings ?? false,
    caches: layers.map((layer) => ({ layer, caches: [cacheOf(windowed[layer] ? window : full)] })),
    rotary: [...rotaryOf(config, full.headDim), ...rotaryOf(windowRope(config), window.headDim)],
    attention: 'hybrid-window',
    queryDim: Math.max(full.heads * full.headDim, window.heads * window.headDim),
    kvDim: Math.max(full.kv * full.headDim, window.kv * window.headDim),
    kvHeads: Math.max(full.kv, window.kv),
  });
}

function fullHeads(config: ModelConfig): Heads {
  const headDim = config.headDim ?? Math.floor(config.hiddenSize / config.heads);
  return {
    heads: config.heads,
    kv: config.kvHeads ?? config.heads,
    headDim,
    valueHeadDim: need(config, 'vHeadDim', headDim),
    sinks: config.addFullAttentionSinkBias === true,
  };
}

function windowHeads(config: ModelConfig): Heads {
  const full = fullHeads(config);
  const headDim = need(config, 'swaHeadDim', full.headDim);
  return {
    heads: need(config, 'swaNumAttentionHeads', full.heads),
    kv: need(config, 'swaNumKeyValueHeads', full.kv),
    headDim,
    valueHeadDim: need(config, 'swaVHeadDim', need(config, 'vHeadDim', headDim)),
    sinks: config.addSwaAttentionSinkBias === true,
    window: need(config, 'slidingWindowSize', config.slidingWindow ?? 128),
  };
}

function windowRope(config: ModelConfig): ModelConfig {
  return { ...config, rope: { ...config.rope, theta: need(config, 'swaRopeTheta', config.rope?.theta ?? 10000) } };
}

function attentionOf(
  prefix: string,
  hiddenSize: number,
  heads: Heads,
  layers: readonly number[],
  config: ModelConfig,
): TensorGroup[] {
  if (layers.length === 0) return [];
  const sink = { role: 'attention-other', shard: column, part: 'text' } as const;
  return [
    ...attention(prefix, hiddenSize, heads, { layers, qkvBias: config.attentionBias === true }),
    ...(heads.sinks ? [{ ...sink, name: `${prefix}.attention_sink_bias`, shape: [heads.heads], layers }] : []),
  ];
}

function cacheOf(heads: Heads): CacheLayout {
  const { kv, headDim, valueHeadDim, sinks, window } = heads;
  const common = { kvHeads: kv, headDim, valueHeadDim, ...(sinks ? { sinks } : {}) };
  return window === undefined ? { kind: 'full', ...common } : { kind: 'sliding', window, ...common };
}
