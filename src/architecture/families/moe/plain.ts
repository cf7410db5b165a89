// Mixture-of-experts decoders with ordinary attention, as traits of the Mixtral decoder. Class defaults of transformers
// (models/<family>/configuration_<family>.py) where a configuration is silent; names as in the published checkpoints.
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attentionSizes, linear, norm, range, replicated, rotaryOf, stackedExperts } from '../../build.ts';
import type { Architecture, TensorGroup } from '../../types.ts';
import { decoderLayer } from '../dense/decoder.ts';
import { predictionCaches } from '../dense/parts.ts';
import { mixtralLike } from './mixtral.ts';
import { integer, need, type TextOptions } from './parts.ts';

const numbered = { gate: 'w1', up: 'w3', down: 'w2' } as const;

/** Mixtral: every layer has experts. */
export function mixtral(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  return mixtralLike(spec, options, {
    moe: 'block_sparse_moe',
    block: {
      experts: need(config, 'experts', 8),
      intermediateSize: need(config, 'intermediateSize'),
      expertNames: numbered,
    },
    ...windowOf(config, true),
  });
}

/** Phi-3.5-MoE, Phi-mini-MoE: Mixtral with LayerNorm and biases. */
export function phimoe(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const bias = config.attentionBias === true;
  return mixtralLike(spec, options, {
    moe: 'block_sparse_moe',
    qkvBias: bias,
    outBias: bias,
    normBias: true,
    headBias: config.lmHeadBias === true,
    block: {
      experts: need(config, 'experts', 16),
      intermediateSize: need(config, 'intermediateSize'),
      expertNames: numbered,
    },
    ...windowOf(config, true),
  });
}

/** MiniMax-M2: norms over the whole of q and of k, divided by rank; a routing bias; routers in float32. */
export function minimaxM2(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const [table] = rotaryOf(config, need(config, 'headDim', Math.floor(config.hiddenSize / config.heads)));
  const rotaryDim = integer(config, 'rotaryDim');
  return mixtralLike(spec, options, {
    moe: 'block_sparse_moe',
    ...(config.useQkNorm === false ? {} : { qkNorm: 'full-sharded' as const }),
    block: {
      experts: need(config, 'experts', 256),
      intermediateSize: need(config, 'intermediateSize'),
      expertNames: numbered,
      expertsFirst: true,
      routerDtype: 'float32',
      ...(config.useRoutingBias === false ? {} : { correctionBias: { name: 'e_score_correction_bias' } }),
    },
    rotary: [{ ...table!, ...(rotaryDim === undefined ? {} : { dim: rotaryDim }) }],
  });
}

/** Qwen 1.5 MoE, Qwen2-57B: a gated shared expert. */
export function qwen2Moe(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  return mixtralLike(spec, options, {
    qkvBias: config.qkvBias !== false,
    sparse: sparseByStep(config),
    block: { ...qwenExperts(config), ...qwenShared(config) },
    ...windowOf(config, false),
  });
}

/** Qwen3 MoE; the multimodal wrapper of Qwen3-VL keeps the experts of a layer in one tensor. */
export function qwen3Moe(spec: ModelSpec, options?: TextOptions & { stackedExperts?: boolean }): Architecture {
  const { config } = spec;
  const bias = config.attentionBias === true;
  const prefix = `${options?.prefix ?? 'model'}.layers.{layer}.mlp.experts`;
  const { experts, intermediateSize } = qwenExperts(config);
  const sizes = { hiddenSize: config.hiddenSize, experts, intermediateSize };
  const sparse = sparseByStep(config);
  const layers = Array.from({ length: config.layers }, (_, i) => i).filter(sparse);
  return mixtralLike(spec, options, {
    qkvBias: bias,
    outBias: bias,
    qkNorm: 'head',
    sparse,
    block: {
      ...qwenExperts(config),
      ...qwenShared(config),
      ...(options?.stackedExperts ? { routed: transposedExperts(prefix, sizes, layers) } : {}),
    },
    ...windowOf(config, false),
  });
}

/** All experts of a layer in two tensors: [experts, hidden, 2 x intermediate] and [experts, intermediate, hidden]. */
export function transposedExperts(
  prefix: string,
  sizes: { hiddenSize: number; intermediateSize: number; experts: number },
  layers: readonly number[],
): TensorGroup[] {
  const names = { gateUp: `${prefix}.gate_up_proj`, down: `${prefix}.down_proj`, merge: prefix };
  return stackedExperts(names, sizes, { layers, transposed: true });
}

/** OLMoE: norms over the whole of q and of k. */
export function olmoe(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  return mixtralLike(spec, options, {
    qkNorm: 'full',
    qkNormFirst: true,
    qkvBias: config.attentionBias === true,
    outBias: config.attentionBias === true,
    block: { experts: need(config, 'experts', 64), intermediateSize: need(config, 'intermediateSize') },
  });
}

/** GLM-4.5, 4.6, 4.7: first layers dense, shared expert, routers and their correction in float32; half of the head rotates. */
export function glm4Moe(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const width = need(config, 'moeIntermediateSize');
  const partial = { ...config, rope: { partialRotaryFactor: 0.5, ...config.rope } } as ModelConfig;
  return mixtralLike(spec, options, {
    qkvBias: config.attentionBias === true,
    ...(config.useQkNorm === true ? { qkNorm: 'head' as const } : {}),
    sparse: (layer) => layer >= need(config, 'firstKDenseReplace', 1),
    rotary: rotaryOf(partial, need(config, 'headDim', Math.floor(config.hiddenSize / config.heads))),
    mtpLayers: need(config, 'numNextnPredictLayers'),
    block: {
      experts: need(config, 'experts', 128),
      intermediateSize: width,
      routerDtype: 'float32',
      correctionBias: { name: 'gate.e_score_correction_bias' },
      ...sharedExperts(config, width, 'shared_experts', 1),
    },
  });
}

/** ERNIE 4.5 MoE: tied head; the correction bias lies beside the router; prediction layers are dense. */
export function ernie45Moe(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const width = need(config, 'moeIntermediateSize');
  const experts = need(config, 'experts', 64);
  const first = need(config, 'moeLayerStartIndex', 1);
  const last = integer(config, 'moeLayerEndIndex') ?? -1;
  const interval = need(config, 'moeLayerInterval', 1);
  const built = mixtralLike(spec, options, {
    tied: true,
    qkvBias: config.useBias === true,
    outBias: config.useBias === true,
    mlpBias: config.useBias === true,
    sparse: (layer) => (layer + 1) % interval === 0 && layer >= first && (last < 0 || layer <= last),
    block: {
      experts,
      intermediateSize: width,
      routerDtype: 'float32',
      correctionBias: { name: 'moe_statics.e_score_correction_bias', fileShape: [1, experts] },
      ...sharedExperts(config, width, 'shared_experts', 2),
    },
  });
  return {
    ...built,
    tensors: [...built.tensors, ...erniePrediction(spec)],
    draftCaches: predictionCaches(config, built),
  };
}

/** A Llama layer behind the projection of embedding and hidden state. vllm/model_executor/models/ernie_mtp.py, 0.10 on. */
function erniePrediction({ config }: ModelSpec): TensorGroup[] {
  const { hiddenSize, intermediateSize = 4 * hiddenSize } = config;
  const layers = range(need(config, 'numNextnPredictLayers'));
  if (layers.length === 0) return [];
  const where = { layers, part: 'mtp' } as const;
  const widths = { hiddenSize, intermediateSize, sizes: attentionSizes(config) };
  return [
    ...norm('model.mtp_emb_norm.{layer}', hiddenSize, where),
    ...norm('model.mtp_hidden_norm.{layer}', hiddenSize, where),
    ...linear('model.mtp_linear_proj.{layer}', [hiddenSize, 2 * hiddenSize], {
      ...where,
      role: 'mtp',
      shard: replicated,
      linear: false,
    }),
    ...decoderLayer('model.mtp_block.{layer}', widths, { tied: true }, where),
  ];
}

/** Hunyuan-A13B: norms of q and k, one shared MLP. */
export function hunyuanV1Moe(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const width = integer(config, 'moeIntermediateSize') ?? need(config, 'intermediateSize');
  const bias = config.attentionBias === true;
  return mixtralLike(spec, options, {
    qkvBias: bias,
    outBias: bias,
    ...(config.useQkNorm === false ? {} : { qkNorm: 'head' as const }),
    qkNormNames: ['query_layernorm', 'key_layernorm'],
    sparse: (layer) => layer >= need(config, 'moeLayerNumSkipped'),
    block: {
      experts: need(config, 'experts', 1),
      intermediateSize: width,
      router: 'gate.wg',
      ...sharedExperts(config, width, 'shared_mlp', 1),
    },
  });
}

/** DeepSeek MoE 16B: ordinary attention, first layer dense, shared experts. */
export function deepseekMoe(spec: ModelSpec, options?: TextOptions): Architecture {
  const { config } = spec;
  const width = need(config, 'moeIntermediateSize', 1407);
  const frequency = need(config, 'moeLayerFreq', 1);
  const bias = config.attentionBias === true;
  return mixtralLike(spec, options, {
    qkvBias: bias,
    outBias: bias,
    sparse: (layer) => layer >= need(config, 'firstKDenseReplace') && layer % frequency === 0,
    block: {
      experts: need(config, 'experts', 64),
      intermediateSize: width,
      ...sharedExperts(config, width, 'shared_experts', 0),
    },
  });
}

/** `count` shared experts make one MLP of their summed width. */
function sharedExperts(config: ModelConfig, width: number, name: string, fallback: number) {
  const count = integer(config, 'sharedExperts') ?? fallback;
  return count > 0 ? { shared: { name, intermediateSize: width * count } } : {};
}

function qwenExperts(config: ModelConfig): { experts: number; intermediateSize: number } {
  return { experts: need(config, 'experts', 60), intermediateSize: need(config, 'moeIntermediateSize', 1408) };
}

function qwenShared(config: ModelConfig) {
  const width = need(config, 'sharedExpertIntermediateSize');
  return width > 0 ? { shared: { name: 'shared_expert', intermediateSize: width, gate: 'shared_expert_gate' } } : {};
}

/** Experts in every decoder_sparse_step-th layer that is not listed in mlp_only_layers. */
function sparseByStep(config: ModelConfig): (layer: number) => boolean {
  const step = need(config, 'decoderSparseStep', 1);
  const dense = Array.isArray(config.mlpOnlyLayers) ? config.mlpOnlyLayers : [];
  return (layer) => !dense.includes(layer) && (layer + 1) % step === 0;
}

/** sliding_window holds for every layer unless use_sliding_window, whose default the class gives, says no. */
function windowOf(config: ModelConfig, usedByDefault: boolean): { window?: number } {
  const used = typeof config.useSlidingWindow === 'boolean' ? config.useSlidingWindow : usedByDefault;
  return used && config.slidingWindow !== undefined ? { window: config.slidingWindow } : {};
}
