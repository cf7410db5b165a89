// What of the compute graph changed between builds, by name; the values stand in presets/engines/llamacpp/graph.yaml.
import type { GgmlType } from '../../../spec/ggml-types.ts';
import type { LlamaRules } from '../rules.ts';

/** What CUDA's flash attention takes (ggml-cuda/fattn.cu). */
export interface FlashRules {
  /** Head sizes where K and V are alike; absent: every one. */
  heads?: readonly number[];
  /** Other pairs: heads of K and V, and what the query heads of one KV head must be a multiple of. */
  pairs: readonly { key: number; value: number; group: number }[];
  /** Types of K and V. */
  types: readonly GgmlType[];
  /** Head sizes for which types other than F16 are taken; absent: all. */
  quantizedHeads?: readonly number[];
  /** K and V may have different types. */
  mixedTypes: boolean;
  /** Several streams in one call. */
  streams: boolean;
  /** The result's block also holds F16 copies of K and V that are not F16. */
  f16Copies: boolean;
}

export interface GraphRules {
  flash: FlashRules;
  /** A split that has this many inputs takes no more (GGML_SCHED_MAX_SPLIT_INPUTS); 0: no limit. */
  maxSplitInputs: number;
  /** The graph also has an input for embeddings given instead of tokens. */
  embeddingInput: boolean;
  /** The rows of the outputs are gathered: always, or only if they are fewer than the batch's tokens. */
  outputIds: 'always' | 'fewer';
  /** Gate and up pass through one operation instead of an activation and a product. */
  fusedGates: boolean;
  /** With flash attention the mask is an F16 input; before, an F32 input and a copy. */
  halfMask: boolean;
  /** Keys and values are rotated before they are quantized. */
  rotatesQuantized: boolean;
  /** Order in which Q, K and V of a layer with a plain cache enter the graph. */
  projectionOrder: 'qvk' | 'qkv';
  /** CUDA keeps operands of fused operations of mixtures of experts. */
  keepsFused: boolean;
  /** Clamping writes into its operand instead of having a result of its own. */
  clampIsView: boolean;
}

export const graphRules = (rules: LlamaRules): GraphRules => rules as unknown as GraphRules;
