// W: the caches of the fused mixture-of-experts kernels. From 0.14 one workspace grows to the largest need and is kept for the
// life of the engine; before, the caches are transient. vLLM v1/worker/workspace.py, model_executor/layers/fused_moe/.
import { dtypeBytes } from '../resolved.ts';
import { allocated } from './blocks.ts';
import type { MemoryInput } from './types.ts';

/**
 * dtype x tokens x experts per token x (max(I, H) + max(2 I, H)), I = expert width on this rank, tokens cut to chunks up to
 * 0.17. Triton experts; Marlin and CUTLASS have the same form. fused_moe/fused_moe.py, modular_kernel.py.
 */
export function expertWorkspaceBytes(input: MemoryInput): number {
  const shape = withoutWorkspace(input) ? undefined : routedRows(input);
  if (!shape) return 0;
  const { rowBytes, width, hiddenSize } = shape;
  return allocated(rowBytes * (Math.max(width, hiddenSize) + Math.max(2 * width, hiddenSize)));
}

/**
 * The transient caches before 0.14, same units: gate and up 2 I, activation I, output H, where gate-up and output share one
 * buffer from 0.8 on. fused_moe/fused_moe.py fused_experts_impl.
 */
export function transientExpertBytes(input: MemoryInput): number {
  const shape = withoutWorkspace(input) ? undefined : routedRows(input);
  if (!shape) return 0;
  const { rowBytes, width, hiddenSize } = shape;
  const outer = input.profile['memory.moeCachesShared']
    ? allocated(rowBytes * Math.max(2 * width, hiddenSize))
    : allocated(rowBytes * 2 * width) + allocated(rowBytes * hiddenSize);
  return outer + allocated(rowBytes * width);
}

/** MXFP4 experts without a workspace: activation I and output H of every routed row. triton_kernels matmul_ogs. */
export function unkeptExpertBytes(input: MemoryInput): number {
  const shape = withoutWorkspace(input) ? routedRows(input) : undefined;
  return shape ? allocated(shape.rowBytes * shape.width) + allocated(shape.rowBytes * shape.hiddenSize) : 0;
}

function withoutWorkspace({ profile, spec }: MemoryInput): boolean {
  return profile['memory.mxfp4WithoutWorkspace'] && spec.quantization?.method === 'mxfp4';
}

/** Bytes of one column over all routed rows of a chunk, and the columns' counts. */
function routedRows(input: MemoryInput): { rowBytes: number; width: number; hiddenSize: number } | undefined {
  const { architecture, options, profile } = input;
  const { moe, hiddenSize } = architecture.forward;
  if (!moe) return undefined;
  const chunk = profile['memory.moeChunkTokens'] ?? Number.POSITIVE_INFINITY;
  const tokens = Math.min(options.maxNumBatchedTokens, chunk);
  const width = options.enableExpertParallel ? moe.intermediateSize : moe.intermediateSize / expertRanks(input);
  return { rowBytes: dtypeBytes[options.dtype] * tokens * moe.topK, width, hiddenSize };
}

/** Without expert parallelism the experts are cut over all tensor and data ranks. */
function expertRanks({ options }: MemoryInput): number {
  return options.tensorParallelSize * options.dataParallelSize;
}
