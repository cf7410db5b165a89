// The decoder that most families are a variation of: embedding, layers of attention and gated MLP with their norms, final
// norm, head. A family states its traits; order within a layer is the order in which vLLM's classes make the parameters.
import type { ModelSpec } from '../../../spec/model.ts';
import {
  attention,
  attentionSizes,
  column,
  embedding,
  gatedMlp,
  kvHeads,
  linear,
  norm,
  range,
  row,
  type Where,
} from '../../build.ts';
import type { Architecture, RotaryTable, TensorGroup } from '../../types.ts';
import {
  assemble,
  decoderNames,
  fusedGateUp,
  fusedQkv,
  headOf,
  plainMlp,
  type Sizes,
  scaleBuffer,
  type TextOptions,
  type Windows,
} from './parts.ts';
import { windowsOf } from './windows.ts';

export interface DecoderTraits {
  /** The class default of tie_word_embeddings. */
  tied: boolean;
  /** Head size where the configuration is silent and hidden / heads is wrong. */
  headDim?: number;
  qkvBias?: boolean;
  outBias?: boolean;
  mlpBias?: boolean;
  headBias?: boolean;
  /** Norms of q and k: one head wide, the full width (replicated), or a row per head (Cohere). */
  qkNorm?: 'head' | 'full' | 'rows';
  /** Norms of a layer by name, in order; empty for norms without weights. */
  norms?: readonly string[];
  /** The norms have a bias (LayerNorm). */
  normBias?: boolean;
  finalNorm?: string | false;
  /** Matrices that the checkpoint stores fused, by name below the layer. */
  fusedQkv?: string;
  fusedGateUp?: string;
  /** Name of the output projection below self_attn. */
  out?: string;
  /** The class keeps a constant that scales the embedding (Gemma). */
  embeddingScale?: boolean;
  /** An MLP without gate, by name below the layer. */
  plainMlp?: { up: string; down: string };
  /** The norms of a layer come before its matrices. */
  normsFirst?: boolean;
  windows?: Windows;
  inclusiveWindow?: boolean;
  rotary?: readonly RotaryTable[];
}

const llamaNorms = ['input_layernorm', 'post_attention_layernorm'] as const;

/** A decoder with names model.layers.{layer}.{self_attn,mlp}. */
export function decoder(spec: ModelSpec, options: TextOptions | undefined, traits: DecoderTraits): Architecture {
  const config = traits.headDim === undefined ? spec.config : { headDim: traits.headDim, ...spec.config };
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const { finalNorm = 'norm', normBias = false } = traits;
  const names = decoderNames(spec, options);
  const tied = config.tieWordEmbeddings ?? traits.tied;
  const sizes = attentionSizes(config);
  return assemble(spec, {
    tensors: [
      embedding(names.at('embed_tokens'), vocabSize, hiddenSize),
      ...decoderLayer(names.layer, { hiddenSize, intermediateSize, sizes }, traits, { layers: range(config.layers) }),
      ...(finalNorm ? norm(names.at(finalNorm), hiddenSize, { bias: normBias }) : []),
      ...(traits.embeddingScale ? [scaleBuffer(names.at('normalizer'))] : []),
      ...headOf(names, config, { tied, bias: traits.headBias ?? false }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: traits.plainMlp === undefined,
    windows: traits.windows ?? windowsOf(config),
    ...(traits.inclusiveWindow ? { inclusiveWindow: true } : {}),
    ...(traits.rotary ? { rotary: traits.rotary } : {}),
  });
}

/** The tensors of one kind of layer under `layer` (model.layers.{layer}); also the block of an MTP head. */
export function decoderLayer(
  layer: string,
  widths: { hiddenSize: number; intermediateSize: number; sizes: Sizes },
  traits: DecoderTraits,
  where: Where,
): TensorGroup[] {
  const { hiddenSize } = widths;
  const { norms = llamaNorms, normBias = false } = traits;
  const layerNorms = norms.flatMap((name) => norm(`${layer}.${name}`, hiddenSize, { ...where, bias: normBias }));
  return [
    ...(traits.normsFirst ? layerNorms : []),
    ...layerAttention(layer, hiddenSize, widths.sizes, traits, where),
    ...layerMlp(layer, hiddenSize, widths.intermediateSize, traits, where),
    ...(traits.normsFirst ? [] : layerNorms),
  ];
}

function layerAttention(
  layer: string,
  hiddenSize: number,
  sizes: Sizes,
  traits: DecoderTraits,
  where: Where,
): TensorGroup[] {
  const { qkvBias = false, outBias = false, out = 'o_proj' } = traits;
  const prefix = `${layer}.self_attn`;
  if (traits.fusedQkv) {
    return [
      ...fusedQkv(`${layer}.${traits.fusedQkv}`, hiddenSize, sizes, { ...where, bias: qkvBias }),
      ...linear(`${prefix}.${out}`, [hiddenSize, sizes.queryDim], { ...where, role: 'o', shard: row, bias: outBias }),
    ];
  }
  const names = { q: 'q_proj', k: 'k_proj', v: 'v_proj', o: out };
  const matrices = attention(prefix, hiddenSize, sizes, { ...where, qkvBias, outBias, names });
  const norms = qkNorms(prefix, sizes, traits.qkNorm, where);
  // Full-width norms are made before the output projection (olmo2.py), the others after it (qwen3.py, gemma3.py).
  const at = traits.qkNorm === 'full' ? matrices.findIndex((group) => group.role === 'o') : matrices.length;
  return [...matrices.slice(0, at), ...norms, ...matrices.slice(at)];
}

function qkNorms(prefix: string, sizes: Sizes, kind: DecoderTraits['qkNorm'], where: Where): TensorGroup[] {
  if (kind === 'head') {
    return ['q_norm', 'k_norm'].flatMap((name) => norm(`${prefix}.${name}`, sizes.headDim, where));
  }
  if (kind === 'full') {
    return [...norm(`${prefix}.k_norm`, sizes.kvDim, where), ...norm(`${prefix}.q_norm`, sizes.queryDim, where)];
  }
  if (kind === undefined) return [];
  const rows = { ...where, role: 'norm', part: where.part ?? 'text' } as const;
  return [
    { ...rows, name: `${prefix}.q_norm.weight`, shape: [sizes.heads, sizes.headDim], shard: column },
    { ...rows, name: `${prefix}.k_norm.weight`, shape: [sizes.kv, sizes.headDim], shard: kvHeads(sizes.kv) },
  ];
}

function layerMlp(
  layer: string,
  hiddenSize: number,
  intermediateSize: number,
  traits: DecoderTraits,
  where: Where,
): TensorGroup[] {
  const bias = traits.mlpBias ?? false;
  if (traits.plainMlp) {
    const { up, down } = traits.plainMlp;
    return plainMlp({ up: `${layer}.${up}`, down: `${layer}.${down}` }, hiddenSize, intermediateSize, {
      ...where,
      bias,
    });
  }
  if (traits.fusedGateUp) {
    return [
      ...fusedGateUp(`${layer}.${traits.fusedGateUp}`, hiddenSize, intermediateSize, { ...where, bias }),
      ...linear(`${layer}.mlp.down_proj`, [hiddenSize, intermediateSize], { ...where, role: 'down', shard: row, bias }),
    ];
  }
  return gatedMlp(`${layer}.mlp`, hiddenSize, intermediateSize, { ...where, bias });
}
