// What changed between builds in the graphs of recurrent, hybrid and encoder models; the values stand in
// presets/engines/llamacpp/graph-recurrent.yaml.
import type { Build } from './build.ts';

export interface RecurrentRules {
  /**
   * How a batch reads its states: all rows gathered and masked; rows gathered before the scan; or read by the scan itself, with one
   * view of the indices for all layers.
   */
  'recurrent.rows': 'masked' | 'gathered' | 'shared';
  /** Operations of a state space that the CUDA backend has: none, all, or those for the sizes that its kernels exist for. */
  'recurrent.cuda': 'none' | 'all' | 'kernels';
  /** Mamba-2's projections are products of two dimensions instead of three. */
  'recurrent.flatProjection': boolean;
  /** Mamba's step sizes are copied where no norm does it. */
  'recurrent.copiesStep': boolean;
  /** Whether a gated delta net is one operation: tried with small graphs, or always. */
  'recurrent.fusedDelta': 'tried' | 'always';
  /** Norm of Q and K of a gated delta net. */
  'recurrent.deltaNorm': 'l2' | 'rms';
  /** Architectures whose normed rows of all tokens are an output. */
  'recurrent.draftable': readonly string[];
  /** Architectures whose last layer runs for all rows. */
  'recurrent.gathersAfter': readonly string[];
  /** Architectures without logits in embedding mode. */
  'recurrent.embeddingsOnly': readonly string[];
  /** Qwen3-Next: heads of Q and K are repeated in three dimensions instead of four. */
  'recurrent.spreadsTogether': boolean;
  /** Qwen3-Next: the copied gate of attention takes another shape once more. */
  'recurrent.reshapesGate': boolean;
  /** RWKV: results have their tokens in one row after every layer, after the last one's attention, or at the end. */
  'rwkv.flattens': 'all' | 'last' | 'end';
  /** Architectures whose pooling a file may state; all: every one. */
  'encoder.poolingOf': 'all' | readonly string[];
  /** An encoder's attention: products of the batch itself without flash attention, or as any attention. */
  'encoder.attention': 'plain' | 'copied' | 'shared';
  /** Rows of an encoder's output are gathered unless they are pooled, or in any case. */
  'encoder.gathers': 'unpooled' | 'always';
  /** A pooled batch has room for an embedding of every token, or of every sequence. */
  'encoder.pools': 'tokens' | 'sequences';
  /** An encoder's norm of the embeddings runs on the first layer's device. */
  'encoder.pinsEmbeddings': boolean;
}

export const recurrentRules = (b: Build): RecurrentRules => b.input.rules as unknown as RecurrentRules;

/** Whether a rule that lists architectures lists this one. */
export function listed(
  b: Build,
  rule: 'recurrent.draftable' | 'recurrent.embeddingsOnly' | 'recurrent.gathersAfter',
): boolean {
  return recurrentRules(b)[rule].includes(b.hp.architecture);
}
