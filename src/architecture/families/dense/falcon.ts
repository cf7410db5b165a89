// Decoders of 2022 with fused q, k, v and a plain MLP of four times the width: BLOOM and MPT (ALiBi), Falcon (rotary, or
// ALiBi in the oldest). vllm/model_executor/models/{bloom,mpt,falcon}.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attentionSizes, embedding, linear, norm, range, row, type Where } from '../../build.ts';
import type { Architecture } from '../../types.ts';
import { assemble, decoderNames, fusedQkv, headOf, numberOf, plainMlp, type TextOptions } from './parts.ts';

export function bloom(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize } = config;
  const names = decoderNames(spec, options, 'transformer');
  const sizes = attentionSizes(config);
  const where = { layers: range(config.layers) };
  const tied = config.tieWordEmbeddings ?? true;
  const layer = names.at('h.{layer}');
  const out = { ...where, role: 'o', shard: row, bias: true } as const;
  const mlp = { up: `${layer}.mlp.dense_h_to_4h`, down: `${layer}.mlp.dense_4h_to_h` };
  return assemble(spec, {
    tensors: [
      embedding(names.at('word_embeddings'), vocabSize, hiddenSize),
      ...norm(names.at('word_embeddings_layernorm'), hiddenSize, { bias: true }),
      ...norm(`${layer}.input_layernorm`, hiddenSize, { ...where, bias: true }),
      ...fusedQkv(`${layer}.self_attention.query_key_value`, hiddenSize, sizes, { ...where, bias: true }),
      ...linear(`${layer}.self_attention.dense`, [hiddenSize, sizes.queryDim], out),
      ...norm(`${layer}.post_attention_layernorm`, hiddenSize, { ...where, bias: true }),
      ...plainMlp(mlp, hiddenSize, 4 * hiddenSize, { ...where, bias: true }),
      ...norm(names.at('ln_f'), hiddenSize, { bias: true }),
      ...headOf(names, config, { tied }),
    ],
    tied,
    sizes,
    intermediateSize: 4 * hiddenSize,
    gated: false,
    rotary: [],
    alibi: true,
  });
}

export function mpt(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize } = config;
  const names = decoderNames(spec, options, 'transformer');
  const sizes = attentionSizes(config);
  const bias = config.noBias === false;
  const where = { layers: range(config.layers), bias };
  const tied = config.tieWordEmbeddings ?? true;
  const layer = names.at('blocks.{layer}');
  const intermediateSize = (numberOf(config, 'expansionRatio') ?? 4) * hiddenSize;
  const qkNorms = config.qkLn === true ? ['q_ln', 'k_ln'] : [];
  const mlp = { up: `${layer}.ffn.up_proj`, down: `${layer}.ffn.down_proj` };
  return assemble(spec, {
    tensors: [
      embedding(names.at('wte'), vocabSize, hiddenSize),
      ...norm(`${layer}.norm_1`, hiddenSize, where),
      ...fusedQkv(`${layer}.attn.Wqkv`, hiddenSize, sizes, where),
      ...qkNorms.flatMap((name) => norm(`${layer}.attn.${name}`, hiddenSize, where)),
      ...linear(`${layer}.attn.out_proj`, [hiddenSize, sizes.queryDim], { ...where, role: 'o', shard: row }),
      ...norm(`${layer}.norm_2`, hiddenSize, where),
      ...plainMlp(mlp, hiddenSize, intermediateSize, where),
      ...norm(names.at('norm_f'), hiddenSize, { bias }),
      ...headOf(names, config, { tied }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: false,
    rotary: [],
    alibi: true,
  });
}

export function falcon(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const names = decoderNames(spec, options, 'transformer');
  const sizes = attentionSizes({ ...config, kvHeads: falconKvHeads(config) });
  const where = { layers: range(config.layers), bias: config.bias === true };
  const tied = config.tieWordEmbeddings ?? true;
  const alibi = config.alibi === true;
  const layer = names.at('h.{layer}');
  const mlp = { up: `${layer}.mlp.dense_h_to_4h`, down: `${layer}.mlp.dense_4h_to_h` };
  return assemble(spec, {
    tensors: [
      embedding(names.at('word_embeddings'), vocabSize, hiddenSize),
      ...fusedQkv(`${layer}.self_attention.query_key_value`, hiddenSize, sizes, where),
      ...linear(`${layer}.self_attention.dense`, [hiddenSize, sizes.queryDim], { ...where, role: 'o', shard: row }),
      ...plainMlp(mlp, hiddenSize, intermediateSize, where),
      ...falconNorms(config).flatMap((name) => layerNorm(`${layer}.${name}`, hiddenSize, { layers: where.layers })),
      ...layerNorm(names.at('ln_f'), hiddenSize),
      ...headOf(names, config, { tied }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: false,
    ...(alibi ? { rotary: [], alibi } : {}),
  });
}

function layerNorm(name: string, size: number, where: Where = {}) {
  return norm(name, size, { ...where, bias: true });
}

/** 40B and 180B state their KV heads, 7B has one (multi_query), the first Falcon models have as many as query heads. */
function falconKvHeads(config: ModelConfig): number {
  if (config.newDecoderArchitecture === true) return config.kvHeads ?? config.heads;
  return config.multiQuery === false ? config.heads : 1;
}

/** One norm before the parallel block, or one each for attention and MLP (new architecture), or the sequential pair. */
function falconNorms(config: ModelConfig): string[] {
  if (config.parallelAttn === false) return ['post_attention_layernorm', 'input_layernorm'];
  const count = numberOf(config, 'numLnInParallelAttn') ?? (config.newDecoderArchitecture === true ? 2 : 1);
  return count === 2 ? ['ln_attn', 'ln_mlp'] : ['input_layernorm'];
}
