// Mixtral and the decoders that are Mixtral with another router, norm or bias: PhiMoE, Qwen 2/3 MoE, OLMoE, GLM-4 MoE,
// ERNIE 4.5 MoE, Hunyuan, MiniMax-M2, DeepSeek MoE 16B. vllm/model_executor/models/{mixtral,phimoe,qwen2_moe,...}.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attention, column, gatedMlp, kvHeads, norm, range, rotaryOf } from '../../build.ts';
import type { Architecture, RotaryTable, TensorGroup } from '../../types.ts';
import {
  decoderNames,
  layerNorms,
  type MoeBlock,
  type MoeDecoder,
  moeBlock,
  moeDecoder,
  plainAttention,
  splitLayers,
  type TextOptions,
} from './parts.ts';

interface MixtralTraits {
  /** Class default of tie_word_embeddings. */
  tied?: boolean;
  qkvBias?: boolean;
  outBias?: boolean;
  /** Norms of q and k: one head wide, the full width on every rank, or the full width divided by rank. */
  qkNorm?: 'head' | 'full' | 'full-sharded';
  qkNormNames?: readonly [string, string];
  /** Norms of q and k are made before the output projection. */
  qkNormFirst?: boolean;
  normBias?: boolean;
  headBias?: boolean;
  mlpBias?: boolean;
  window?: number;
  /** Which layers have experts; all of them by default. */
  sparse?: (layer: number) => boolean;
  denseIntermediateSize?: number;
  /** Name of the expert block below the layer. */
  moe?: string;
  block: Omit<MoeBlock, 'layers' | 'hiddenSize'>;
  rotary?: readonly RotaryTable[];
  /** Layers of multi-token prediction behind the decoder, with the names of their own tensors. */
  mtpLayers?: number;
}

/** A decoder of ordinary attention whose MLPs are, in some or all layers, mixtures of experts. */
export function mixtralLike(spec: ModelSpec, options: TextOptions | undefined, traits: MixtralTraits): Architecture {
  const { config } = spec;
  const names = decoderNames(spec, options);
  const { dense, moe } = splitLayers(config, traits.sparse ?? (() => true));
  const { sizes, ...plain } = plainAttention(config, traits.window);
  const all = range(config.layers);
  const denseWidth = traits.denseIntermediateSize ?? config.intermediateSize ?? 0;
  const block: MoeBlock = { ...traits.block, layers: moe, hiddenSize: config.hiddenSize };
  const mtpLayers = range(traits.mtpLayers ?? 0, config.layers);
  return moeDecoder(spec, {
    names,
    layers: [
      ...attentionOf(names.layer, config, traits, { layers: all }),
      ...(moe.length > 0 ? moeBlock(`${names.layer}.${traits.moe ?? 'mlp'}`, block) : []),
      ...(dense.length > 0
        ? gatedMlp(`${names.layer}.mlp`, config.hiddenSize, denseWidth, {
            layers: dense,
            bias: traits.mlpBias ?? false,
          })
        : []),
      ...layerNorms(names.layer, config.hiddenSize, { layers: all, bias: traits.normBias ?? false }),
    ],
    block,
    denseIntermediateSize: dense.length > 0 ? denseWidth : 0,
    tied: config.tieWordEmbeddings ?? traits.tied ?? false,
    ...plain,
    ...(traits.normBias ? { normBias: true } : {}),
    ...(traits.headBias ? { headBias: true } : {}),
    rotary: traits.rotary ?? rotaryOf(config, sizes.headDim),
    ...mtpOf(names.layer, config, traits, block, mtpLayers, plain.caches),
  });
}

/** A prediction layer: a decoder layer with experts, the projection of embedding and hidden state, and three norms. */
function mtpOf(
  layer: string,
  config: ModelConfig,
  traits: MixtralTraits,
  block: MoeBlock,
  layers: readonly number[],
  caches: MoeDecoder['caches'],
): Pick<MoeDecoder, 'mtp' | 'draftCaches'> {
  if (layers.length === 0) return {};
  const where = { layers, part: 'mtp' } as const;
  return {
    mtp: [
      ...mtpFrame(layer, config.hiddenSize, layers),
      ...attentionOf(layer, config, traits, where),
      ...moeBlock(`${layer}.${traits.moe ?? 'mlp'}`, { ...block, ...where }),
      ...layerNorms(layer, config.hiddenSize, where),
    ],
    draftCaches: layers.map((_, i) => ({ layer: i, caches: caches[0]!.caches })),
  };
}

/**
 * What a prediction layer has beside its decoder layer: enorm, hnorm, eh_proj and the norm of its head. Some files also hold
 * copies of the embedding and the head (DeepSeek-V3, GLM-4.5, GLM-4.7); engines share the model's own, so they are not listed.
 */
export function mtpFrame(layer: string, hiddenSize: number, layers: readonly number[]): TensorGroup[] {
  const where = { layers, part: 'mtp' } as const;
  return [
    ...norm(`${layer}.enorm`, hiddenSize, where),
    ...norm(`${layer}.hnorm`, hiddenSize, where),
    {
      ...where,
      name: `${layer}.eh_proj.weight`,
      shape: [hiddenSize, 2 * hiddenSize],
      role: 'mtp',
      shard: { by: 'replicated' },
      linear: true,
    },
    ...norm(`${layer}.shared_head.norm`, hiddenSize, where),
  ];
}

function attentionOf(
  layer: string,
  config: ModelConfig,
  traits: MixtralTraits,
  where: { layers: readonly number[]; part?: 'mtp' },
): TensorGroup[] {
  const prefix = `${layer}.self_attn`;
  const { sizes } = plainAttention(config);
  const { qkvBias = false, outBias = false } = traits;
  const matrices = attention(prefix, config.hiddenSize, sizes, { ...where, qkvBias, outBias });
  const norms = qkNorms(prefix, sizes, traits, where);
  const at = traits.qkNormFirst ? matrices.findIndex((group) => group.role === 'o') : matrices.length;
  return [...matrices.slice(0, at), ...norms, ...matrices.slice(at)];
}

function qkNorms(
  prefix: string,
  sizes: ReturnType<typeof plainAttention>['sizes'],
  traits: MixtralTraits,
  where: { layers: readonly number[]; part?: 'mtp' },
): TensorGroup[] {
  const [q, k] = traits.qkNormNames ?? ['q_norm', 'k_norm'];
  const { qkNorm } = traits;
  if (qkNorm === undefined) return [];
  const [qSize, kSize] = qkNorm === 'head' ? [sizes.headDim, sizes.headDim] : [sizes.queryDim, sizes.kvDim];
  const qNorm = norm(`${prefix}.${q}`, qSize, where);
  const kNorm = norm(`${prefix}.${k}`, kSize, where);
  if (qkNorm !== 'full-sharded') return [...qNorm, ...kNorm];
  return [
    ...qNorm.map((group) => ({ ...group, shard: column })),
    ...kNorm.map((group) => ({ ...group, shard: kvHeads(sizes.kv) })),
  ];
}
