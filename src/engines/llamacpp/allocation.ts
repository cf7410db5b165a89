// What an allocated tensor takes in its buffer: sizes rounded up to the buffer's alignment, and on CUDA rows of quantized types
// filled up to 512 values. Law: ggml/src/ggml-alloc.c ggml_backend_alloc_ctx_tensors_from_buft, ggml/src/ggml-cuda/ggml-cuda.cu
// ggml_backend_cuda_buffer_type_get_alloc_size and _get_alignment, ggml/src/ggml-backend.cpp (TENSOR_ALIGNMENT of the CPU).
import { type GgmlType, isQuantized, rowBytes } from '../../spec/ggml-types.ts';
import { alignUp } from '../../units.ts';
import type { Place } from './types.ts';

/** MATRIX_ROW_PADDING of the CUDA backend, in values. */
const cudaRow = 512;
const cudaAlignment = 128;
const hostAlignment = 32;

export interface Allocation {
  type: GgmlType;
  /** First dimension, in values. */
  rowLength: number;
  /** Bytes of the data. */
  bytes: number;
  place: Place;
}

/** Bytes that one tensor takes in its buffer. */
export function allocatedBytes({ type, rowLength, bytes, place }: Allocation): number {
  if (place === 'cpu') return alignUp(bytes, hostAlignment);
  const filled = isQuantized(type) ? paddedBytes({ type, rowLength, bytes }) : bytes;
  return alignUp(filled, cudaAlignment);
}

/** Bytes with the last row filled up, without alignment. */
export function paddedBytes({ type, rowLength, bytes }: Omit<Allocation, 'place'>): number {
  const short = rowLength % cudaRow;
  return bytes + (short === 0 ? 0 : rowBytes(type, cudaRow - short));
}
