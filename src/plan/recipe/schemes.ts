// What a matrix takes in a checkpoint under each scheme of compressed-tensors, and which schemes its shape allows.
// Law: compressed_tensors/compressors/pack_quantized (weight_packed int32, weight_scale in the model's 16 bits, weight_shape of two
// int64) and naive_quantized (weight in FP8, weight_scale per output); symmetric, so that no zero points are stored.
import { divCeil } from '../../units.ts';
import type { QuantizationArgs } from './legal.ts';
import type { EightBit } from './loss.ts';
import type { ModuleScheme } from './types.ts';

/** `count` matrices of outputs x inputs. */
export interface MatrixShape {
  outputs: number;
  inputs: number;
  count: number;
}

const groupSize = 128;

interface SchemeFields {
  /** The preset of compressed-tensors with these arguments; W8A16 there came in groups of 128 from 0.18 on, in channels before. */
  preset: string;
  modifier: 'GPTQModifier' | 'QuantizationModifier';
  weights: QuantizationArgs;
  inputActivations?: QuantizationArgs;
}

/** As a recipe spells them out. */
export const schemeFields: Readonly<Record<Exclude<ModuleScheme, 'bf16'>, SchemeFields>> = {
  w4a16: {
    preset: 'W4A16',
    modifier: 'GPTQModifier',
    weights: { num_bits: 4, type: 'int', symmetric: true, strategy: 'group', group_size: groupSize },
  },
  w8a16: {
    preset: 'W8A16',
    modifier: 'GPTQModifier',
    weights: { num_bits: 8, type: 'int', symmetric: true, strategy: 'channel' },
  },
  fp8: {
    preset: 'FP8_DYNAMIC',
    modifier: 'QuantizationModifier',
    weights: { num_bits: 8, type: 'float', symmetric: true, strategy: 'channel', dynamic: false },
    inputActivations: { num_bits: 8, type: 'float', symmetric: true, strategy: 'token', dynamic: true },
  },
};

/** Bytes of the matrices with their scales. */
export function schemeBytes(scheme: ModuleScheme, { outputs, inputs, count }: MatrixShape): number {
  switch (scheme) {
    case 'bf16':
      return count * outputs * inputs * 2;
    case 'fp8':
      return count * (outputs * inputs + outputs * 2);
    case 'w8a16':
      return count * (outputs * packed(inputs, 8) + outputs * 2 + shapeBytes);
    case 'w4a16':
      return count * (outputs * packed(inputs, 4) + outputs * divCeil(inputs, groupSize) * 2 + shapeBytes);
  }
}

/** weight_shape: two int64. */
const shapeBytes = 16;

/** Bytes of a row of `inputs` values of `bits` bits in int32 words. */
function packed(inputs: number, bits: number): number {
  return divCeil(inputs * bits, 32) * 4;
}

/** Schemes that every matrix of a module allows: groups must divide the inputs, and each rank's share of them. */
export function schemesFor(
  matrices: readonly { shape: MatrixShape; splitInputs: boolean }[],
  { eightBit, tensorParallel }: { eightBit: EightBit; tensorParallel: number },
): ModuleScheme[] {
  const divides = matrices.every(
    ({ shape, splitInputs }) => shape.inputs % (groupSize * (splitInputs ? tensorParallel : 1)) === 0,
  );
  return divides ? ['bf16', eightBit, 'w4a16'] : ['bf16', eightBit];
}
