// What of the compute graph changed between builds, by name; the values stand in presets/engines/llamacpp/graph.yaml.
import type { FlashHeads, FlashTypes } from '../flash-attention.ts';
import type { LlamaRules } from '../rules.ts';

/** What CUDA's flash attention takes (ggml-cuda/fattn.cu), and what its result's block holds. */
export interface FlashRules {
  heads: FlashHeads;
  types: FlashTypes;
  /** Several streams in one call. */
  streams: boolean;
  /** The result's block also holds F16 copies of K and V that are not F16. */
  f16Copies: boolean;
  /** Single tokens with more than four query heads a KV head leave the vector kernel from this head size on; absent: at none. */
  vectorHeads?: number;
}

export interface GraphRules {
  flash: FlashRules;
  /** A split that has this many inputs takes no more (GGML_SCHED_MAX_SPLIT_INPUTS); 0: no limit. */
  maxSplitInputs: number;
  /** A split that one operation gave more inputs has room for twice as many from then on. */
  splitInputsGrow: boolean;
  /** The graph also has an input for embeddings given instead of tokens. */
  embeddingInput: boolean;
  /** The rows of the outputs are gathered: always, or only if they are fewer than the batch's tokens. */
  outputIds: 'always' | 'fewer';
  /** Gate and up pass through one operation instead of an activation and a product. */
  fusedGates: boolean;
  /** With flash attention the mask is an F16 input; before, an F32 input and a copy. */
  halfMask: boolean;
  /** A batch is whole tokens of every sequence: rounded up (its outputs with it or not), or down. */
  wholeBatch: 'up' | 'upWithOutputs' | 'down';
  /** Every sum of two experts' results enters the graph when it is built, not when it is used. */
  expandsSums: boolean;
  /** Keys and values are rotated before they are quantized. */
  rotatesQuantized: boolean;
  /** Order in which Q, K and V of a layer with a plain cache enter the graph. */
  projectionOrder: 'qvk' | 'qkv';
  /** CUDA keeps operands of fused operations of mixtures of experts. */
  keepsFused: boolean;
  /** Clamping writes into its operand instead of having a result of its own. */
  clampIsView: boolean;
}

/** The kernels' heads and types are the same rules by which -fa auto decides. */
export function graphRules(rules: LlamaRules): GraphRules {
  const flash = rules['flash'] as Omit<FlashRules, 'heads' | 'types'>;
  const heads = rules['context.flashHeads'] as FlashHeads;
  const types = rules['context.flashTypes'] as FlashTypes;
  return { ...(rules as unknown as GraphRules), flash: { ...flash, heads, types } };
}
