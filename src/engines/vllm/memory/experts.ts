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
  const { architecture, options, profile, spec } = input;
  const { moe, hiddenSize } = architecture.forward;
  if (!moe) return 0;
  if (profile['memory.mxfp4WithoutWorkspace'] && spec.quantization?.method === 'mxfp4') return 0;
  const chunk = profile['memory.moeChunkTokens'] ?? Number.POSITIVE_INFINITY;
  const tokens = Math.min(options.maxNumBatchedTokens, chunk);
  const width = options.enableExpertParallel ? moe.intermediateSize : moe.intermediateSize / expertRanks(input);
  const columns = Math.max(width, hiddenSize) + Math.max(2 * width, hiddenSize);
  return allocated(dtypeBytes[options.dtype] * tokens * moe.topK * columns);
}

/** Without expert parallelism the experts are cut over all tensor and data ranks. */
function expertRanks({ options }: MemoryInput): number {
  return options.tensorParallelSize * options.dataParallelSize;
}
