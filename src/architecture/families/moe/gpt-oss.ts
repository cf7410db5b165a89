// gpt-oss: every second layer sees a window, attention sinks per head, experts stored stacked with biases.
// vllm/model_executor/models/gpt_oss.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attention, attentionSizes, column, expert, range, rotaryOf } from '../../build.ts';
import type { Architecture, CacheLayout, TensorGroup } from '../../types.ts';
import { decoderNames, layerNorms, moeBlock, moeDecoder, need, type TextOptions } from './parts.ts';
import { transposedExperts } from './plain.ts';

export function gptOss(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize } = config;
  const names = decoderNames(spec, options);
  const sizes = attentionSizes({ ...config, headDim: config.headDim ?? 64 });
  const layers = range(config.layers);
  const intermediateSize = need(config, 'intermediateSize', hiddenSize);
  const expertCount = need(config, 'experts', 128);
  const bias = config.attentionBias !== false;
  const attn = `${names.layer}.self_attn`;
  const block = {
    layers,
    hiddenSize,
    experts: expertCount,
    intermediateSize,
    router: 'router',
    routerBias: true,
    routed: biasedExperts(`${names.layer}.mlp.experts`, { hiddenSize, intermediateSize, experts: expertCount }, layers),
  };
  return moeDecoder(spec, {
    names,
    layers: [
      { name: `${attn}.sinks`, shape: [sizes.heads], layers, role: 'attention-other', shard: column, part: 'text' },
      ...attention(attn, hiddenSize, sizes, { layers, qkvBias: bias, outBias: bias }),
      ...moeBlock(`${names.layer}.mlp`, block),
      ...layerNorms(names.layer, hiddenSize, { layers }),
    ],
    block,
    denseIntermediateSize: 0,
    tied: config.tieWordEmbeddings ?? false,
    caches: layers.map((layer) => ({ layer, caches: [cacheOf(config, sizes, layer)] })),
    rotary: rotaryOf(config, sizes.headDim),
    attention: 'hybrid-window',
    queryDim: sizes.queryDim,
    kvDim: sizes.kvDim,
    kvHeads: sizes.kv,
  });
}

/** Windows alternate with full attention, the first layer with a window, unless layer_types says otherwise. */
function cacheOf(config: ModelConfig, sizes: { kv: number; headDim: number }, layer: number): CacheLayout {
  const type = config.layerTypes?.[layer] ?? (layer % 2 === 0 ? 'sliding_attention' : 'full_attention');
  const common = { kvHeads: sizes.kv, headDim: sizes.headDim, sinks: true };
  if (type !== 'sliding_attention') return { kind: 'full', ...common };
  return { kind: 'sliding', window: config.slidingWindow ?? 128, ...common };
}

function biasedExperts(
  prefix: string,
  sizes: { hiddenSize: number; intermediateSize: number; experts: number },
  layers: readonly number[],
): TensorGroup[] {
  const common = { layers, experts: sizes.experts, stacked: true, part: 'text' } as const;
  const [gateUp, down] = transposedExperts(prefix, sizes, layers);
  return [
    gateUp!,
    {
      ...common,
      name: `${prefix}.gate_up_proj_bias`,
      shape: [2 * sizes.intermediateSize],
      role: 'expert-gate-up',
      shard: expert(column),
      merge: `${prefix}.w13_bias`,
    },
    down!,
    {
      ...common,
      name: `${prefix}.down_proj_bias`,
      shape: [sizes.hiddenSize],
      role: 'expert-down',
      shard: expert({ by: 'row' }),
      merge: `${prefix}.w2_bias`,
    },
  ];
}
