// How much faster than 16 bit a decode step is if it waits for memory alone: the bytes that a step moves, weights once and the cache of
// every sequence. An upper bound where kernels unpack, and no statement about prompts.
import { forwardWork } from '../../accounting/work.ts';
import type { Architecture } from '../../architecture/types.ts';
import { tensorBytes } from '../../spec/ggml-types.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import type { Dtype, ModelSpec } from '../../spec/model.ts';
import type { QuantizationScheme } from '../../spec/quantization.ts';

export interface StepShape {
  spec: ModelSpec;
  architecture: Architecture;
  context: number;
  concurrency: number;
  /** Dtype of the cache as forwardWork takes it. */
  kvCacheDtype: string;
}

/** Bytes that one decode step of the whole batch moves, all GPUs together. */
export function stepBytes(shape: StepShape, scheme: QuantizationScheme | undefined): number {
  const dtype: Dtype = scheme?.dtype ?? 'bfloat16';
  const work = forwardWork({ ...shape, scheme, dtype, tensorParallelSize: 1 });
  let bytes = work.dense.bytes + work.head.bytes + cacheBytes(shape);
  for (const { layers, experts, perToken, bytesPerExpert } of work.experts)
    bytes += layers * bytesPerExpert * expertsTouched(experts, perToken, shape.concurrency);
  return bytes;
}

/** The same of a GGUF file: the embedding table is read by rows, unless it is the output too. */
export function ggufStepBytes(shape: StepShape, model: GgufModel): number {
  const { moe } = shape.architecture.forward;
  const tied = !model.tensors.some(({ name }) => name === 'output.weight');
  let bytes = cacheBytes(shape);
  for (const { name, type, ne } of model.tensors) {
    if (name === 'token_embd.weight' && !tied) continue;
    const share =
      moe && /_exps\./.test(name) ? expertsTouched(moe.experts, moe.topK, shape.concurrency) / moe.experts : 1;
    bytes += tensorBytes(type, ne) * share;
  }
  return bytes;
}

/** Expected number of different experts that a batch routes to, if it routes evenly. */
function expertsTouched(experts: number, perToken: number, sequences: number): number {
  return experts * (1 - (1 - perToken / experts) ** sequences);
}

function cacheBytes(shape: StepShape): number {
  const work = forwardWork({ ...shape, dtype: 'bfloat16', tensorParallelSize: 1 });
  const perSequence = work.attention.reduce(
    (total, { layers, bytesPerToken, span }) =>
      total + layers * bytesPerToken * Math.min(shape.context, span ?? shape.context),
    2 * work.stateBytes,
  );
  return perSequence * shape.concurrency;
}
