// Nemotron-NAS (Llama-Nemotron Super and Ultra, DeciLM): Llama layers of uneven width, where a layer may lack attention or
// MLP. block_configs says per layer what it has. vllm/model_executor/models/nemotron_nas.py.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { alignUp, divExact } from '../../../units.ts';
import { attention, attentionSizes, embedding, gatedMlp, norm, range } from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import { assemble, attentionCache, decoderNames, headOf, type TextOptions } from './parts.ts';

interface Block {
  attention: { n_heads_in_group?: number | null; no_op?: boolean };
  ffn: { ffn_mult?: number | null; intermediate_size?: number | null; no_op?: boolean };
}

export function nemotronNas(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize } = config;
  const names = decoderNames(spec, options);
  const blocks = config.blockConfigs as unknown as Block[];
  const kvHeads = blocks.map((block) => blockKvHeads(block, config.heads));
  const widths = blocks.map((block) => blockIntermediateSize(block, hiddenSize));
  const widest = attentionSizes({ ...config, kvHeads: Math.max(...kvHeads) });
  const tied = config.tieWordEmbeddings ?? false;
  const built = assemble(spec, {
    tensors: [
      embedding(names.at('embed_tokens'), vocabSize, hiddenSize),
      ...distinct(kvHeads).flatMap((kv) =>
        attentionOf(names.layer, { ...config, kvHeads: kv }, layersWith(kvHeads, kv)),
      ),
      ...distinct(widths).flatMap((width) => mlpOf(names.layer, config, width, layersWith(widths, width))),
      ...norm(names.at('norm'), hiddenSize),
      ...headOf(names, config, { tied }),
    ],
    tied,
    sizes: widest,
    intermediateSize: Math.max(...widths),
    gated: true,
  });
  const caches = range(config.layers).map((layer) => {
    const kv = kvHeads[layer] ?? 0;
    return { layer, caches: kv === 0 ? [] : [attentionCache({ kv, headDim: widest.headDim })] };
  });
  return { ...built, caches };
}

function attentionOf(prefix: string, config: ModelConfig, layers: readonly number[]): TensorGroup[] {
  const bias = config.attentionBias === true;
  return [
    ...attention(`${prefix}.self_attn`, config.hiddenSize, attentionSizes(config), {
      layers,
      qkvBias: bias,
      outBias: bias,
    }),
    ...norm(`${prefix}.input_layernorm`, config.hiddenSize, { layers }),
  ];
}

function mlpOf(prefix: string, config: ModelConfig, width: number, layers: readonly number[]): TensorGroup[] {
  return [
    ...gatedMlp(`${prefix}.mlp`, config.hiddenSize, width, { layers, bias: config.mlpBias === true }),
    ...norm(`${prefix}.post_attention_layernorm`, config.hiddenSize, { layers }),
  ];
}

/** 0 stands for a layer without attention. */
function blockKvHeads(block: Block, heads: number): number {
  const group = block.attention.n_heads_in_group;
  return block.attention.no_op || !group ? 0 : divExact(heads, group);
}

/** int(2 x ffn_mult x hidden / 3), rounded up to 256; 0 stands for a layer without MLP. */
function blockIntermediateSize(block: Block, hiddenSize: number): number {
  if (block.ffn.no_op) return 0;
  if (block.ffn.intermediate_size) return block.ffn.intermediate_size;
  return alignUp(Math.floor((2 * (block.ffn.ffn_mult ?? 0) * hiddenSize) / 3), 256);
}

function distinct(values: readonly number[]): number[] {
  return [...new Set(values)].filter((value) => value > 0);
}

function layersWith(values: readonly number[], value: number): number[] {
  return range(values.length).filter((layer) => values[layer] === value);
}
