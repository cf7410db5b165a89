// EAGLE drafting heads: one or a few Llama layers over the target's hidden states, with a projection in front. EAGLE reads the
// embedding and the last hidden state and uses the target's head; EAGLE-3 reads several hidden states and has a head of its
// own, often over fewer tokens. Law: vLLM model_executor/models/llama_eagle.py, llama_eagle3.py, 0.8 to 0.33.
import type { Json, ModelConfig, ModelSpec } from '../../../spec/model.ts';
import {
  attention,
  attentionSizes,
  embedding,
  gatedMlp,
  linear,
  lmHead,
  norm,
  range,
  replicated,
  row,
} from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import { assemble, numberOf } from './parts.ts';

/** llama_eagle.py: the first layer has no input norm, there is no final norm, the head is the target's. */
export function eagle(spec: ModelSpec): Architecture {
  const { config } = spec;
  const { hiddenSize } = config;
  return headOver(spec, [
    ...range(config.layers).flatMap((layer) =>
      layerOf(config, layer, hiddenSize, [...(layer === 0 ? [] : ['input_layernorm']), 'post_attention_layernorm']),
    ),
    ...projection(hiddenSize, 2 * hiddenSize),
  ]);
}

/** llama_eagle3.py: the first layer reads embedding and hidden state side by side; a table maps its tokens to the target's. */
export function eagle3(spec: ModelSpec): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize } = config;
  const tokens = numberOf(config, 'draftVocabSize') ?? vocabSize;
  const inputs = (numberOf(config, 'targetHiddenSize') ?? hiddenSize) * hiddenStates(config);
  return headOver(spec, [
    ...range(config.layers).flatMap((layer) =>
      layerOf(config, layer, layer === 0 ? 2 * hiddenSize : hiddenSize, [
        'input_layernorm',
        'post_attention_layernorm',
        'hidden_norm',
      ]),
    ),
    ...projection(hiddenSize, inputs),
    ...norm('norm', hiddenSize),
    ...lmHead(tokens, hiddenSize),
    ...(tokens === vocabSize ? [] : [tokenTable(tokens)]),
  ]);
}

/** Hidden states of the target that EAGLE-3 reads: as listed, else three. */
function hiddenStates(config: ModelConfig): number {
  const stated = numberOf(config, 'numAuxHiddenStates');
  const nested = config.eagleConfig as { [key: string]: Json } | undefined;
  const layers = nested?.eagleAuxHiddenStateLayerIds;
  return stated ?? (Array.isArray(layers) && layers.length > 0 ? layers.length : 3);
}

function headOver(spec: ModelSpec, tensors: readonly TensorGroup[]): Architecture {
  const { config } = spec;
  const { hiddenSize, vocabSize, intermediateSize = 4 * hiddenSize } = config;
  return assemble(spec, {
    tensors: [embedding('embed_tokens', vocabSize, hiddenSize), ...tensors],
    tied: false,
    intermediateSize,
    gated: true,
  });
}

function layerOf(config: ModelConfig, layer: number, inputs: number, norms: readonly string[]): TensorGroup[] {
  const { hiddenSize, intermediateSize = 4 * hiddenSize } = config;
  const sizes = attentionSizes(config);
  const where = { layers: [layer] };
  const prefix = 'layers.{layer}.self_attn';
  const qkv = attention(prefix, inputs, sizes, { ...where, qkvBias: config.attentionBias === true });
  return [
    ...qkv.filter((group) => group.role !== 'o'),
    ...linear(`${prefix}.o_proj`, [hiddenSize, sizes.queryDim], { ...where, role: 'o', shard: row }),
    ...gatedMlp('layers.{layer}.mlp', hiddenSize, intermediateSize, where),
    ...norms.flatMap((name) => norm(`layers.{layer}.${name}`, hiddenSize, where)),
  ];
}

/** fc: whole on every rank. */
function projection(hiddenSize: number, inputs: number): TensorGroup[] {
  return linear('fc', [hiddenSize, inputs], { role: 'other', shard: replicated });
}

function tokenTable(tokens: number): TensorGroup {
  return { name: 'd2t', shape: [tokens], role: 'other', shard: replicated, part: 'text', dtype: 'int64' };
}
