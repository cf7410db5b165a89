// What a checkpoint stores under a scheme, whatever engine reads it: the quantized values, their scales and zero points, and what stays as it is.
// Sums over the tensor list by the layouts of the formats; whole groups and blocks, never bits-per-weight products. Law: the tensors
// that the quantizers write (compressed-tensors, AutoGPTQ, AutoAWQ, ModelOpt, bitsandbytes, AQLM); what engines pad or re-lay is theirs.
import { tensorCount } from '../architecture/build.ts';
import type { Architecture, TensorGroup } from '../architecture/types.ts';
import type { QuantizationScheme, WeightFormat } from '../spec/quantization.ts';
import { divCeil } from '../units.ts';
import { isStoredQuantized } from './work-weights.ts';

/** Bytes of the model without its multi-token-prediction layers. */
export interface Storage {
  /** Quantized values. */
  weightsBytes: number;
  scalesBytes: number;
  zeroPointsBytes: number;
  /** Tensors that stay in 16 bit: norms, embeddings, heads, routers, what the scheme ignores. */
  sixteenBitBytes: number;
  /** Group indices, codebooks, metadata, 32-bit tensors. */
  otherBytes: number;
  totalBytes: number;
  /** Parameters that these bytes hold. */
  parameters: number;
}

/** Nothing stored yet: sums start here. */
export function emptyStorage(): Storage {
  return {
    weightsBytes: 0,
    scalesBytes: 0,
    zeroPointsBytes: 0,
    sixteenBitBytes: 0,
    otherBytes: 0,
    totalBytes: 0,
    parameters: 0,
  };
}

type Pieces = Partial<Pick<Storage, 'weightsBytes' | 'scalesBytes' | 'zeroPointsBytes' | 'otherBytes'>>;

export function checkpointStorage(architecture: Architecture, scheme: QuantizationScheme | undefined): Storage {
  const storage = emptyStorage();
  const moe = architecture.forward.moe !== undefined;
  const width = scheme?.dtype === 'float32' ? 4 : 2;
  for (const group of architecture.tensors) {
    if (group.part === 'mtp' || group.derived || group.buffer) continue;
    const count = tensorCount(group);
    const values = group.shape.reduce((a, b) => a * b, 1);
    storage.parameters += values * count;
    if (scheme && isQuantizedBy(group, scheme, moe)) add(storage, matrixPieces(group, scheme), count);
    else addPlain(storage, values * count, group.dtype === undefined ? width : plainWidth[group.dtype]);
  }
  const { weightsBytes, scalesBytes, zeroPointsBytes, sixteenBitBytes, otherBytes } = storage;
  storage.totalBytes = weightsBytes + scalesBytes + zeroPointsBytes + sixteenBitBytes + otherBytes;
  return storage;
}

const plainWidth = { float32: 4, int64: 8, int32: 4, uint8: 1 } as const;

function isQuantizedBy(group: TensorGroup, scheme: QuantizationScheme, moe: boolean): boolean {
  if (scheme.only && !scheme.only.some((part) => group.name.includes(part))) return false;
  return isStoredQuantized(group, scheme, moe);
}

function add(storage: Storage, pieces: Pieces, count: number): void {
  storage.weightsBytes += (pieces.weightsBytes ?? 0) * count;
  storage.scalesBytes += (pieces.scalesBytes ?? 0) * count;
  storage.zeroPointsBytes += (pieces.zeroPointsBytes ?? 0) * count;
  storage.otherBytes += (pieces.otherBytes ?? 0) * count;
}

function addPlain(storage: Storage, values: number, width: number): void {
  if (width === 2) storage.sixteenBitBytes += values * width;
  else storage.otherBytes += values * width;
}

/** One matrix of N outputs and K inputs. */
function matrixPieces(group: TensorGroup, scheme: QuantizationScheme): Pieces {
  const [outputs = 1, ...rest] = group.shape;
  const inputs = rest.reduce((a, b) => a * b, 1);
  const format = group.experts === undefined ? scheme.format : (scheme.expertFormat ?? scheme.format);
  return layouts[format](outputs, inputs, scheme);
}

type Layout = (outputs: number, inputs: number, scheme: QuantizationScheme) => Pieces;

const scale = 4;

const layouts: Readonly<Record<WeightFormat, Layout>> = {
  none: (outputs, inputs) => ({ weightsBytes: outputs * inputs * 2 }),
  'fp8-online': (outputs, inputs) => ({ weightsBytes: outputs * inputs, scalesBytes: scale }),
  'fp8-tensor': (outputs, inputs, { staticActivations }) => ({
    weightsBytes: outputs * inputs,
    scalesBytes: staticActivations ? 2 * scale : scale,
  }),
  'fp8-channel': (outputs, inputs) => ({ weightsBytes: outputs * inputs, scalesBytes: outputs * scale }),
  'fp8-block': (outputs, inputs, { block = [128, 128], scaleFormat }) => ({
    weightsBytes: outputs * inputs,
    scalesBytes: divCeil(outputs, block[0]) * divCeil(inputs, block[1]) * (scaleFormat === 'ue8m0' ? 1 : scale),
  }),
  'int8-channel': (outputs, inputs) => ({ weightsBytes: outputs * inputs, scalesBytes: outputs * scale }),
  'int-group': (outputs, inputs, scheme) => ({ ...grouped(outputs, inputs, scheme), otherBytes: 16 }),
  awq: grouped,
  gptq: (outputs, inputs, scheme) => ({
    ...grouped(outputs, inputs, { ...scheme, zeroPoints: true }),
    otherBytes: inputs * 4,
  }),
  nvfp4: (outputs, inputs, { group = 16, staticActivations }) => ({
    weightsBytes: (outputs * inputs) / 2,
    scalesBytes: outputs * divCeil(inputs, group) + (staticActivations ? 2 * scale : scale),
  }),
  mxfp4: (outputs, inputs) => ({ weightsBytes: (outputs * inputs) / 2, scalesBytes: outputs * divCeil(inputs, 32) }),
  mxfp8: (outputs, inputs) => ({ weightsBytes: outputs * inputs, scalesBytes: outputs * divCeil(inputs, 32) }),
  'bnb-4bit': (outputs, inputs, { nestedScales }) => {
    const blocks = divCeil(outputs * inputs, 64);
    return {
      weightsBytes: Math.ceil((outputs * inputs) / 2),
      scalesBytes: nestedScales ? blocks + divCeil(blocks, 256) * scale : blocks * scale,
    };
  },
  'bnb-8bit': (outputs, inputs) => ({ weightsBytes: outputs * inputs, scalesBytes: outputs * scale }),
  codebook: (outputs, inputs, { bits, codebookBytes = 0 }) => ({
    weightsBytes: Math.ceil((outputs * inputs * bits) / 8),
    scalesBytes: outputs * 2,
    otherBytes: codebookBytes,
  }),
  gguf: (outputs, inputs, { bitsPerWeight, bits }) => ({
    weightsBytes: Math.ceil((outputs * inputs * (bitsPerWeight ?? bits)) / 8),
  }),
};

/** Packed integers with a 16-bit scale, and perhaps a zero point, per group of inputs (-1: per output). */
function grouped(outputs: number, inputs: number, scheme: QuantizationScheme): Pieces {
  const { bits, group, zeroPoints, zeroPointBits } = scheme;
  const groups = group !== undefined && group > 0 ? divCeil(inputs, group) : 1;
  return {
    weightsBytes: Math.ceil((outputs * inputs * bits) / 8),
    scalesBytes: groups * outputs * 2,
    ...(zeroPoints ? { zeroPointsBytes: Math.ceil((groups * outputs * (zeroPointBits ?? bits)) / 8) } : {}),
  };
}
