// Llama and the families that are Llama with other numbers, biases or names: RMSNorm, rotary grouped-query attention,
// SwiGLU. transformers/models/<family>/modeling_<family>.py, vllm/model_executor/models/{llama,granite,orion,...}.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attention, attentionSizes, embedding, gatedMlp, linear, norm, range, row } from '../../build.ts';
import type { Architecture } from '../../types.ts';
import { decoder } from './decoder.ts';
import { assemble, decoderNames, fusedQkv, headOf, type TextOptions } from './parts.ts';

/** Llama 1-3, Mistral, Ministral, Yi, SmolLM 1-2, Falcon 3, Solar, InternLM 1: `bias` stands for attention_bias there. */
export function llama(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const bias = config.attentionBias === true || config.bias === true;
  return decoder(spec, options, {
    tied: false,
    qkvBias: typeof config.qkvBias === 'boolean' ? config.qkvBias : bias,
    outBias: bias,
    mlpBias: config.mlpBias === true,
  });
}

/** Granite 3: Llama with multipliers, which have no weights. */
export function granite(spec: ModelSpec, options?: TextOptions): Architecture {
  return decoder(spec, options, { tied: false, ...plainBiases(spec.config) });
}

/** SmolLM3: some layers without rotary embedding; head tied unless the configuration says otherwise. */
export function smollm3(spec: ModelSpec, options?: TextOptions): Architecture {
  return decoder(spec, options, { tied: true, ...plainBiases(spec.config) });
}

/** Seed-OSS: biases of q, k, v on by default, of the output off. */
export function seedOss(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  return decoder(spec, options, {
    tied: false,
    qkvBias: config.attentionBias !== false,
    outBias: config.attentionOutBias === true,
    mlpBias: config.mlpBias === true,
  });
}

/** MiniCPM 2B and 4: Llama with scaled residuals, tied unless the configuration says otherwise. */
export function minicpm(spec: ModelSpec, options?: TextOptions): Architecture {
  return decoder(spec, options, { tied: true });
}

/** Orion: Llama with LayerNorm. */
export function orion(spec: ModelSpec, options?: TextOptions): Architecture {
  return decoder(spec, options, { tied: false, normBias: true });
}

/** StableLM 3B and 2: LayerNorm, a quarter of each head rotated. */
export function stablelm(spec: ModelSpec, options?: TextOptions): Architecture {
  return decoder(withRotaryPart(spec, 0.25), options, {
    tied: false,
    qkvBias: spec.config.useQkvBias === true,
    normBias: true,
  });
}

/** Baichuan 1 and 2: one matrix for q, k and v. The 13B models use ALiBi (baichuan.py: hidden size not 4096). */
export function baichuan(spec: ModelSpec, options?: TextOptions): Architecture {
  const rotary = spec.config.hiddenSize === 4096 || spec.architecture === 'BaiChuanForCausalLM';
  const built = decoder(spec, options, {
    tied: false,
    fusedQkv: 'self_attn.W_pack',
    ...(rotary ? {} : { rotary: [] }),
  });
  return rotary ? built : { ...built, alibi: true };
}

/** InternLM 2 and 2.5: Llama under other names, q, k and v in one matrix. internlm2.py. */
export function internlm2(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const names = decoderNames(spec, options, 'model', 'output');
  const sizes = attentionSizes(config);
  const where = { layers: range(config.layers) };
  const bias = config.bias === true;
  const tied = config.tieWordEmbeddings ?? false;
  const { layer } = names;
  return assemble(spec, {
    tensors: [
      embedding(names.at('tok_embeddings'), vocabSize, hiddenSize),
      ...fusedQkv(`${layer}.attention.wqkv`, hiddenSize, sizes, { ...where, bias }),
      ...linear(`${layer}.attention.wo`, [hiddenSize, sizes.queryDim], { ...where, role: 'o', shard: row, bias }),
      ...gatedMlp(`${layer}.feed_forward`, hiddenSize, intermediateSize, {
        ...where,
        names: { gate: 'w1', up: 'w3', down: 'w2' },
      }),
      ...norm(`${layer}.attention_norm`, hiddenSize, where),
      ...norm(`${layer}.ffn_norm`, hiddenSize, where),
      ...norm(names.at('norm'), hiddenSize),
      ...headOf(names, config, { tied }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: true,
  });
}

/** EXAONE 3 and 3.5: Llama under GPT-like names. exaone.py. */
export function exaone(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const names = decoderNames(spec, options, 'transformer');
  const sizes = attentionSizes(config);
  const where = { layers: range(config.layers) };
  const tied = config.tieWordEmbeddings ?? true;
  const layer = names.at('h.{layer}');
  return assemble(spec, {
    tensors: [
      embedding(names.at('wte'), vocabSize, hiddenSize),
      ...attention(`${layer}.attn.attention`, hiddenSize, sizes, {
        ...where,
        names: { q: 'q_proj', k: 'k_proj', v: 'v_proj', o: 'out_proj' },
      }),
      ...gatedMlp(`${layer}.mlp`, hiddenSize, intermediateSize, {
        ...where,
        names: { gate: 'c_fc_0', up: 'c_fc_1', down: 'c_proj' },
      }),
      ...norm(`${layer}.ln_1`, hiddenSize, where),
      ...norm(`${layer}.ln_2`, hiddenSize, where),
      ...norm(names.at('ln_f'), hiddenSize),
      ...headOf(names, config, { tied }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: true,
  });
}

/** The model with the share of a rotated head that its class takes where the configuration is silent. */
export function withRotaryPart(spec: ModelSpec, share: number): ModelSpec {
  const rope = { partialRotaryFactor: share, ...spec.config.rope };
  return { ...spec, config: { ...spec.config, rope } };
}

function plainBiases(config: ModelConfig): { qkvBias: boolean; outBias: boolean; mlpBias: boolean } {
  const bias = config.attentionBias === true;
  return { qkvBias: bias, outBias: bias, mlpBias: config.mlpBias === true };
}
