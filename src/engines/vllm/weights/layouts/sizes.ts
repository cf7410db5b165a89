// Sizes of the merged expert tensors: w13 [E, 2I or I, H] and w2 [E, H, I].
import type { ExpertsModule } from '../types.ts';
import type { LayoutContext, Pieces } from './types.ts';

export interface ExpertSizes {
  experts: number;
  hidden: number;
  inner: number;
  /** Output rows of w13. */
  rows13: number;
  /** Elements of w13 and w2 over all experts. */
  first: number;
  second: number;
}

export function expertSizes(module: ExpertsModule): ExpertSizes {
  const { experts, hidden, inner } = module;
  const rows13 = (module.gated ? 2 : 1) * inner;
  return { experts, hidden, inner, rows13, first: experts * rows13 * hidden, second: experts * hidden * inner };
}

export function expertBiases(module: ExpertsModule, bytes: number): Pieces {
  if (!module.bias) return [];
  const { experts, rows13, hidden } = expertSizes(module);
  return [
    ['w13_bias', experts * rows13 * bytes],
    ['w2_bias', experts * hidden * bytes],
  ];
}

/**
 * bitsandbytes' scales: one per 64 values. Nested they are a byte each with a float32 per 256 of them (up to 0.8); later
 * loaders expand them to float32 (model_loader/bitsandbytes_loader.py dequantize_dq).
 */
export function bnbStateBytes(values: number, { rules, scheme }: LayoutContext): number {
  const blocks = values / 64;
  const nested = scheme.nestedScales === true && rules['weights.bnbScales'] === 'nested';
  return Math.ceil(nested ? blocks + (4 * blocks) / 256 : 4 * blocks);
}
