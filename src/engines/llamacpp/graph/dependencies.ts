// Tensors that the CUDA backend keeps longer than the graph needs them, so that it may fuse several operations into one kernel.
// Law: ggml/src/ggml-cuda/ggml-cuda.cu (ggml_backend_cuda_graph_optimize).
import type { SchedulerInput } from './scheduler.ts';
import type { Graph, GraphTensor } from './tensor.ts';

/** By the id of the node until which they are kept. */
export type KeptTensors = ReadonlyMap<number, GraphTensor[]>;

export function addAllocationDependencies(
  _graph: Graph,
  _splits: readonly { backend: number; start: number; end: number }[],
  _input: SchedulerInput,
): KeptTensors {
  return new Map();
}
