// The GPT family before Llama: GPT-2, GPT-Neo, GPT-BigCode (learned positions), GPT-J and GPT-NeoX (partly rotated heads).
// LayerNorm and plain MLP of four times the width. vllm/model_executor/models/{gpt2,gpt_bigcode,gpt_j,gpt_neox}.py;
// GPT-Neo is not in vLLM (transformers/models/gpt_neo).
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attention, attentionSizes, embedding, linear, norm, range, row } from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import {
  assemble,
  decoderNames,
  fusedQkv,
  headOf,
  numberOf,
  plainMlp,
  positionEmbedding,
  type TextOptions,
  type Windows,
} from './parts.ts';

/** GPT-2: matrices are stored transposed (Conv1D). */
export function gpt2(spec: ModelSpec, options?: TextOptions): Architecture {
  const transpose = (group: TensorGroup): TensorGroup =>
    group.shape.length === 2 ? { ...group, transposed: true } : group;
  return learnedPositions(spec, options, {
    sizes: attentionSizes(spec.config),
    matrices: (groups) => groups.map(transpose),
  });
}

/** SantaCoder, StarCoder: one KV head with multi_query (the default). */
export function gptBigcode(spec: ModelSpec, options?: TextOptions): Architecture {
  const kvHeads = spec.config.multiQuery === false ? spec.config.heads : 1;
  return learnedPositions(spec, options, { sizes: attentionSizes({ ...spec.config, kvHeads }) });
}

/** GPT-Neo: separate q, k, v without bias; every second layer attends to a window. */
export function gptNeo(spec: ModelSpec, options?: TextOptions): Architecture {
  return learnedPositions(spec, options, {
    sizes: attentionSizes(spec.config),
    separate: true,
    windows: gptNeoWindows(spec.config),
  });
}

function learnedPositions(
  spec: ModelSpec,
  options: TextOptions | undefined,
  traits: {
    sizes: ReturnType<typeof attentionSizes>;
    separate?: boolean;
    windows?: Windows;
    matrices?: (groups: TensorGroup[]) => TensorGroup[];
  },
): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const { sizes, matrices = (groups) => groups } = traits;
  const names = decoderNames(spec, options, 'transformer');
  const where = { layers: range(config.layers) };
  const tied = config.tieWordEmbeddings ?? true;
  const layer = names.at('h.{layer}');
  const positions = numberOf(config, 'nPositions') ?? config.maxPositionEmbeddings ?? 1024;
  const mlp = { up: `${layer}.mlp.c_fc`, down: `${layer}.mlp.c_proj` };
  return assemble(spec, {
    tensors: [
      embedding(names.at('wte'), vocabSize, hiddenSize),
      positionEmbedding(names.at('wpe'), positions, hiddenSize),
      ...norm(`${layer}.ln_1`, hiddenSize, { ...where, bias: true }),
      ...matrices(gptAttention(layer, hiddenSize, sizes, { ...where, separate: traits.separate === true })),
      ...norm(`${layer}.ln_2`, hiddenSize, { ...where, bias: true }),
      ...matrices(plainMlp(mlp, hiddenSize, intermediateSize, { ...where, bias: true })),
      ...norm(names.at('ln_f'), hiddenSize, { bias: true }),
      ...headOf(names, config, { tied }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: false,
    rotary: [],
    ...(traits.windows ? { windows: traits.windows } : {}),
  });
}

function gptAttention(
  layer: string,
  hiddenSize: number,
  sizes: ReturnType<typeof attentionSizes>,
  options: { layers: readonly number[]; separate: boolean },
): TensorGroup[] {
  const { layers, separate } = options;
  if (separate) {
    const names = { q: 'q_proj', k: 'k_proj', v: 'v_proj', o: 'out_proj' };
    return attention(`${layer}.attn.attention`, hiddenSize, sizes, { layers, outBias: true, names });
  }
  const out = { layers, role: 'o', shard: row, bias: true } as const;
  return [
    ...fusedQkv(`${layer}.attn.c_attn`, hiddenSize, sizes, { layers, bias: true }),
    ...linear(`${layer}.attn.c_proj`, [hiddenSize, sizes.queryDim], out),
  ];
}

/** attention_types is a list of [kinds, repetitions]; kinds are 'global' and 'local'. */
function gptNeoWindows(config: ModelConfig): Windows {
  const types = (config.attentionTypes ?? [[['global', 'local'], config.layers / 2]]) as [string[], number][];
  const kinds = types.flatMap(([list, times]) => range(times).flatMap(() => list));
  const window = numberOf(config, 'windowSize') ?? 256;
  return kinds.map((kind) => (kind === 'local' ? window : undefined));
}

/** GPT-J: attention and MLP in parallel behind one norm, head with bias, 64 rotated values per head. */
export function gptj(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const names = decoderNames(spec, options, 'transformer');
  const sizes = attentionSizes(config);
  const where = { layers: range(config.layers) };
  const tied = config.tieWordEmbeddings ?? false;
  const layer = names.at('h.{layer}');
  const positions = numberOf(config, 'nPositions') ?? config.maxPositionEmbeddings ?? 2048;
  const mlp = { up: `${layer}.mlp.fc_in`, down: `${layer}.mlp.fc_out` };
  return assemble(spec, {
    tensors: [
      embedding(names.at('wte'), vocabSize, hiddenSize),
      ...norm(`${layer}.ln_1`, hiddenSize, { ...where, bias: true }),
      ...attention(`${layer}.attn`, hiddenSize, sizes, {
        ...where,
        names: { q: 'q_proj', k: 'k_proj', v: 'v_proj', o: 'out_proj' },
      }),
      ...plainMlp(mlp, hiddenSize, intermediateSize, { ...where, bias: true }),
      ...norm(names.at('ln_f'), hiddenSize, { bias: true }),
      ...headOf(names, config, { tied, bias: true }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: false,
    rotary: [{ dim: numberOf(config, 'rotaryDim') ?? 64, rope: { ...config.rope }, positions }],
  });
}

/** GPT-NeoX, Pythia, RedPajama: rotary_pct of each head is rotated (a quarter by default). */
export function gptNeox(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  const names = decoderNames(spec, options, 'gpt_neox', 'embed_out');
  const sizes = attentionSizes(config);
  const where = { layers: range(config.layers) };
  const tied = config.tieWordEmbeddings ?? false;
  const bias = config.attentionBias !== false;
  const { layer } = names;
  const share = config.rope?.partialRotaryFactor ?? numberOf(config, 'rotaryPct') ?? 0.25;
  const out = { ...where, role: 'o', shard: row, bias } as const;
  const mlp = { up: `${layer}.mlp.dense_h_to_4h`, down: `${layer}.mlp.dense_4h_to_h` };
  return assemble(spec, {
    tensors: [
      embedding(names.at('embed_in'), vocabSize, hiddenSize),
      ...norm(`${layer}.input_layernorm`, hiddenSize, { ...where, bias: true }),
      ...norm(`${layer}.post_attention_layernorm`, hiddenSize, { ...where, bias: true }),
      ...fusedQkv(`${layer}.attention.query_key_value`, hiddenSize, sizes, { ...where, bias }),
      ...linear(`${layer}.attention.dense`, [hiddenSize, sizes.queryDim], out),
      ...plainMlp(mlp, hiddenSize, intermediateSize, { ...where, bias: true }),
      ...norm(names.at('final_layer_norm'), hiddenSize, { bias: true }),
      ...headOf(names, config, { tied }),
    ],
    tied,
    sizes,
    intermediateSize,
    gated: false,
    rotary: [
      {
        dim: Math.floor(sizes.headDim * share),
        rope: { theta: numberOf(config, 'rotaryEmbBase') ?? 10_000, ...config.rope },
        positions: config.maxPositionEmbeddings ?? 2048,
      },
    ],
  });
}
