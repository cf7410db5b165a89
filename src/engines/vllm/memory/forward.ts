// The largest moment of the dummy forward pass over a full step of tokens: the dense MLP, the attention block, or an expert
// block, whichever is widest. vLLM v1/worker/gpu_model_runner.py _dummy_run; what is alive was read from Inductor's code.
import { cacheSummary } from '../../../architecture/summary.ts';
import { sum } from '../../../units.ts';
import { dtypeBytes } from '../resolved.ts';
import { allocated } from './blocks.ts';
import { transientExpertBytes, unkeptExpertBytes } from './experts.ts';
import type { MemoryInput } from './types.ts';

export function forwardBytes(input: MemoryInput): number {
  const { architecture, profile, options } = input;
  const { moe } = architecture.forward;
  const attention = attentionBytes(input);
  const dense = denseBytes(input);
  const kept = profile['memory.moeWorkspaceKept'] && options.engine === 'v1';
  const transient = kept ? unkeptExpertBytes(input) : transientExpertBytes(input);
  const experts = moe ? expertBlockBytes(input) + transient : 0;
  const benchmark = options.enforceEager || options.engine === 'v0' ? 0 : (input.gpu.l2CacheBytes ?? 0);
  return Math.max(attention, recurrentBytes(input), dense > 0 ? dense + benchmark : 0, experts);
}

/**
 * tokens x dtype x (3 I / tp + 2 H + q): gate_up 2 I, activation I, output of o_proj and residual 2 H, the attention output
 * that the caller holds. A plain MLP has 2 I. Eager starts hold 3 H (4 H from 0.22) in place of 2 H + q, and no L2-sized
 * benchmark buffer of Inductor (torch/_inductor/runtime/benchmarking.py).
 */
function denseBytes(input: MemoryInput): number {
  const { architecture, options, profile } = input;
  const { intermediateSize, gatedMlp, hiddenSize, queryDim } = architecture.forward;
  if (intermediateSize === 0) return 0;
  const inner = intermediateSize / options.tensorParallelSize;
  const mlp = gatedMlp ? [2 * inner, inner] : [inner, inner];
  if (options.engine === 'v0')
    return rows(input, [...mlp, ...repeat(hiddenSize, profile['memory.v0EagerHiddenStates'])]);
  if (options.enforceEager) return rows(input, [...mlp, ...repeat(hiddenSize, profile['memory.eagerHiddenStates'])]);
  return rows(input, [...mlp, hiddenSize, hiddenSize, queryDim / options.tensorParallelSize]);
}

/** tokens x dtype x (4 H + 3 q + 2 kv), which leads where heads are wide (q > 2 H). */
function attentionBytes(input: MemoryInput): number {
  if (usesMla(input)) return latentAttentionBytes(input);
  const { architecture, options } = input;
  const { hiddenSize, queryDim, kvDim, kvHeads } = architecture.forward;
  const tp = options.tensorParallelSize;
  const query = queryDim / tp;
  const kv = kvHeads > 0 ? (Math.max(1, kvHeads / tp) * kvDim) / kvHeads : 0;
  return rows(input, [...repeat(hiddenSize, 4), query + 2 * kv, query, query]);
}

function usesMla({ architecture }: MemoryInput): boolean {
  return cacheSummary(architecture).kinds.has('mla');
}

/**
 * tokens x dtype x 2 (H + q), and from 0.11 the up-projected context of a chunk, which the profile run simulates: chunk x heads
 * / tp x (nope + v) x dtype, chunk = max(min(max(8 L, 4 R block), 65536), R block). vLLM
 * model_executor/layers/attention/mla_attention.py (0.11-0.13: v1/attention/backends/mla/common.py).
 */
function latentAttentionBytes(input: MemoryInput): number {
  const { architecture, options, profile, spec } = input;
  const { hiddenSize, queryDim } = architecture.forward;
  const tp = options.tensorParallelSize;
  const query = queryDim / tp;
  const states = rows(input, [hiddenSize, hiddenSize, query, query]);
  if (!profile['memory.mlaPrefillSimulated'] || options.engine === 'v0') return states;
  const { heads } = spec.config;
  const nope = numberOf(spec.config.qkNopeHeadDim);
  const value = numberOf(spec.config.vHeadDim);
  const perSequence = options.maxNumSeqs * (options.blockSize ?? 16);
  const chunk = Math.max(Math.min(Math.max(8 * options.maxModelLen, 4 * perSequence), 65536), perSequence);
  return states + allocated(chunk * (heads / tp) * (nope + value) * dtypeBytes[options.dtype]);
}

function numberOf(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

/**
 * Gated delta net: tokens x dtype x (4 H + 4 x (2 key heads x key size + 2 value heads x value size) / tp), counted on Qwen3-Next
 * with 0.19. Other recurrent layers return early in the profile run. vLLM model_executor/models/qwen3_next.py.
 */
function recurrentBytes(input: MemoryInput): number {
  const { architecture, options } = input;
  const layout = cacheSummary(architecture).states.get('gdn');
  if (layout?.type !== 'gdn') return 0;
  const { keyHeads, valueHeads, keyDim, valueDim } = layout;
  const projection = (2 * keyHeads * keyDim + 2 * valueHeads * valueDim) / options.tensorParallelSize;
  return rows(input, [...repeat(architecture.forward.hiddenSize, 4), ...repeat(projection, 4)]);
}

/** tokens x dtype x (3 I of the shared experts / tp + 4 H). */
function expertBlockBytes(input: MemoryInput): number {
  const { architecture, options } = input;
  const { hiddenSize, moe } = architecture.forward;
  const shared = (moe?.sharedIntermediateSize ?? 0) / options.tensorParallelSize;
  return rows(input, [2 * shared, shared, ...repeat(hiddenSize, 4)]);
}

/** One [tokens, width] tensor per width. */
function rows({ options }: MemoryInput, widths: readonly number[]): number {
  const bytes = dtypeBytes[options.dtype] * options.maxNumBatchedTokens;
  return sum(widths.filter((width) => width > 0).map((width) => allocated(bytes * width)));
}

function repeat(value: number, times: number): number[] {
  return Array.from({ length: times }, () => value);
}
