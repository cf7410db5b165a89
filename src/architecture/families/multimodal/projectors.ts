// Projectors between a tower and the text width: two-layer perceptrons, patch mergers, pixel-shuffle MLPs. Which of them vLLM splits
// follows its classes; plain torch linears stay whole and out of reach of quantization.
import type { TensorGroup } from '../../types.ts';
import { column, matrix, row, tensor, towerNorm } from './parts.ts';

const part = 'projector' as const;

/** linear_1 and linear_2, split (llava.py LlavaMultiModalProjector). */
export function mlpProjector(
  prefix: string,
  sizes: { inputSize: number; middleSize?: number; hiddenSize: number },
  bias = true,
): TensorGroup[] {
  const { inputSize, hiddenSize, middleSize = hiddenSize } = sizes;
  return [
    ...matrix(`${prefix}.linear_1`, [middleSize, inputSize], { part, shard: column, bias }),
    ...matrix(`${prefix}.linear_2`, [hiddenSize, middleSize], { part, shard: row, bias }),
  ];
}

/** Norm, a plain merging layer over merged patches, then the two split layers (mistral3.py). */
export function mistral3Projector(
  prefix: string,
  sizes: { size: number; merge: number; hiddenSize: number },
  bias: boolean,
): TensorGroup[] {
  const { size, merge, hiddenSize } = sizes;
  return [
    ...towerNorm(`${prefix}.norm`, size, { part, bias: false }),
    ...matrix(`${prefix}.patch_merger.merging_layer`, [size, size * merge ** 2], { part, plain: true }),
    ...mlpProjector(prefix, { inputSize: size, hiddenSize }, bias),
  ];
}

/** A matrix stored [in, out] outside any linear layer, and a norm (gemma3_mm.py). */
export function gemma3Projector(prefix: string, size: number, hiddenSize: number): TensorGroup[] {
  return [
    ...tensor(`${prefix}.mm_input_projection_weight`, [size, hiddenSize], { part }),
    ...tensor(`${prefix}.mm_soft_emb_norm.weight`, [size], { part }),
  ];
}

/** A LayerNorm and two plain linears after a pixel shuffle (internvl.py mlp1). */
export function internProjector(prefix: string, inputSize: number, hiddenSize: number): TensorGroup[] {
  return [
    ...towerNorm(`${prefix}.0`, inputSize, { part, bias: true }),
    ...matrix(`${prefix}.1`, [hiddenSize, inputSize], { part, bias: true, plain: true }),
    ...matrix(`${prefix}.3`, [hiddenSize, hiddenSize], { part, bias: true, plain: true }),
  ];
}

/** Separators and two plain linears (phi3v.py Phi3HDImageEmbedding). */
export function phi3Projector(prefix: string, inputSize: number, hiddenSize: number): TensorGroup[] {
  return [
    ...tensor(`${prefix}.glb_GN`, [1, 1, inputSize], { part }),
    ...tensor(`${prefix}.sub_GN`, [1, 1, 1, inputSize], { part }),
    ...matrix(`${prefix}.img_projection.0`, [hiddenSize, inputSize], { part, bias: true, plain: true }),
    ...matrix(`${prefix}.img_projection.2`, [hiddenSize, hiddenSize], { part, bias: true, plain: true }),
  ];
}
