// What of the compute graph changed between builds, by name; the values stand in presets/engines/llamacpp/graph.yaml.
import type { GgmlType } from '../../../spec/ggml-types.ts';
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
  /** A cache whose cells are no multiple of this is not attended with flash attention. */
  cells: number;
  /** By head size of Q, before kernels were looked up: types of K and V; F16 for all others. */
  byHead?: readonly { heads: readonly number[]; keys: readonly GgmlType[]; values: readonly GgmlType[] }[];
}

/** What the CUDA backend runs (ggml-cuda.cu supports_op). */
export interface CudaRules {
  flash: FlashRules;
  /** Types of tables that rows are looked up in; null: all that files have. */
  rowLookups: readonly string[] | null;
  /** Types of matrices that nothing is multiplied by. */
  notMultiplied: readonly string[];
  /** Unary operations that have no kernel. */
  lacksUnary: readonly string[];
}

export interface GraphRules extends CudaRules {
  /** A split that has this many inputs takes no more (GGML_SCHED_MAX_SPLIT_INPUTS); 0: no limit. */
  maxSplitInputs: number;
  /** A split that one operation gave more inputs has room for twice as many from then on. */
  splitInputsGrow: boolean;
  /** The CPU takes operations of data in a GPU's memory, which is then copied to it. */
  cpuReadsDevices: boolean;
  /** Operations of host weights move to a GPU whatever the options say: there was none. */
  alwaysOffloads: boolean;
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
  /** Sequences of the reserved batches: one, one per stream of the cache, or all. */
  reservedSequences: { prompt: 'one' | 'streams' | 'all'; single: 'one' | 'streams' | 'all' };
  /** The graph's result and what its logits are made of keep their memory. */
  marksOutputs: boolean;
  /** What was pinned to a device is forgotten before the reserved graphs are split. */
  forgetsPins: boolean;
  /** Rows of a mask are a multiple of this (GGML_KQ_MASK_PAD). */
  maskRows: number;
  /** How the cache is written and read: rows by index, copies into views, and views with heads apart that need no permutation. */
  cacheAccess: 'rows' | 'copies' | 'direct';
  /** What of a mixture enters the graph when it is built, not when it is used: weights and views of the results, and their sums. */
  mixtureExpands: 'nothing' | 'weights' | 'sums';
  /** Groups of experts are chosen before the experts where a model has groups. */
  choosesGroups: boolean;
  /** Weights of the chosen experts are divided by a sum that is clamped. */
  clampsWeights: boolean;
  /** In a mixture the gate is the second factor. */
  gateLast: boolean;
  /** What an operation leaves of an operand's memory that it took over goes back. */
  returnsRest: boolean;
  /** Keys and values are rotated before they are quantized. */
  rotatesQuantized: boolean;
  /** Order in which Q, K and V of a layer with a plain cache enter the graph. */
  projectionOrder: 'qvk' | 'qkv';
  /** CUDA keeps operands of fused operations of mixtures of experts. */
  keepsFused: boolean;
  /** Attention runs where its sinks lie. */
  sinksChoose: boolean;
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
