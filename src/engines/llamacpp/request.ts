// What a llama.cpp plan is asked for, with every reference resolved: pure data.
import type { GgufModel } from '../../spec/gguf.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import type { ModelSpec } from '../../spec/model.ts';
import type { NodeSpec } from '../../spec/node.ts';
import type { LlamaRules } from './rules.ts';
import type { LlamaOptions } from './types.ts';

export interface LlamaRequest {
  spec: ModelSpec;
  /** Tensors with the types they are stored in. */
  model: GgufModel;
  /** The mix, or what the file holds most of. */
  scheme: string;
  gpus: readonly GpuSpec[];
  /** The machines that they are in, where named. */
  nodes?: readonly NodeSpec[];
  /** Free on each GPU at the start; default: all that CUDA reports, less the context. */
  freeBytes?: readonly number[];
  version: string;
  /** Place of the build in time (builds.ts). */
  build: number;
  rules: LlamaRules;
  options: LlamaOptions;
  /** The requirement: so many sequences of so many tokens at once. */
  context?: number;
  concurrency?: number;
  /** Multimodal projector and its file's tensors, on the first GPU. */
  projector?: GgufModel;
  /** Draft model; its options are the request's own. `name` is what it is called in the plan. */
  draft?: { model: GgufModel; name: string; scheme: string };
  /** Every figure counts as estimated. */
  assumed?: boolean;
}
