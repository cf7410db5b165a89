// Which kernel family serves a quantized layer on this GPU in this release, as far as the layout in memory depends on it, and
// how Marlin pads shapes. Law: vLLM model_executor/kernels/linear/ (before 0.20 layers/quantization/kernels/),
// quantization/utils/marlin_utils.py.
import { alignUp, lcm } from '../../../../units.ts';
import type { ExpertsModule } from '../types.ts';
import type { LayoutContext, Pieces } from './types.ts';

/** FP8 arithmetic starts at capability 8.9; below, weights are repacked for 16-bit activations (Marlin). */
export function fp8Marlin({ capability }: LayoutContext): boolean {
  return capability > 0 && capability < 89;
}

/** Block FP8 linears: the lowest capability that is not served by Marlin is a rule of the release. */
export function fp8BlockMarlin({ capability, rules }: LayoutContext): boolean {
  return capability > 0 && capability < (rules['weights.fp8BlockMarlinBelow'] ?? 89);
}

/** DeepGEMM takes block scales on Blackwell per row, four exponents in an int32. */
export function deepGemmScales({ capability, rules }: LayoutContext): boolean {
  const below = rules['weights.deepGemmPackedBelow'];
  const hasKernels = (capability >= 100 && capability < 110) || capability >= 120;
  return below !== undefined && hasKernels && capability < below;
}

/** Experts on 10.x: from some release on TRTLLM comes before DeepGEMM and takes the scales as they are. */
export function deepGemmExpertScales(context: LayoutContext): boolean {
  const { capability, rules } = context;
  const onTrtllm = rules['weights.trtllmBlockExperts'] === true && capability >= 100 && capability < 110;
  return !onTrtllm && deepGemmScales(context);
}

/** NVFP4 arithmetic starts at capability 10.0; below, Marlin. */
export function fp4Marlin({ capability }: LayoutContext): boolean {
  return capability > 0 && capability < 100;
}

/**
 * NVFP4 experts padded to their kernel's tiles: Marlin takes intermediate sizes of whole 64 (128 where the hidden size is no
 * multiple of 128), TRTLLM on 10.x those of the release's rule. quantization/utils/marlin_utils_fp4.py, flashinfer_fp4_moe.py.
 */
export function nvfp4Tiles(module: ExpertsModule, context: LayoutContext): ExpertsModule {
  const { marlin, trtllm } = context.rules['weights.nvfp4ExpertTiles'] ?? {};
  const { hidden, inner, gated } = module;
  if (marlin && fp4Marlin(context)) return { ...module, inner: alignUp(inner, hidden % 128 === 0 ? 64 : 128) };
  if (!trtllm || context.capability < 100 || context.capability >= 110) return module;
  const tile = gated ? trtllm.gated : trtllm.plain;
  return { ...module, inner: alignUp(inner, tile), hidden: alignUp(hidden, trtllm.hidden) };
}

/** Machete serves 4 and 8 bit integer weights on capability 9.0 when the shape suits it. */
export function machete({ capability }: LayoutContext, outputs: number, inputs: number): boolean {
  return capability === 90 && outputs % 128 === 0 && inputs % 64 === 0;
}

/**
 * Marlin's thread tiles want (outputs % 64, inputs % 128) or (outputs % 128, inputs % 64); other shapes are padded to the
 * smaller of both, inputs to whole groups (0.24 on).
 */
export function marlinShape(
  shape: { outputs: number; inputs: number; group?: number },
  { rules }: LayoutContext,
): { outputs: number; inputs: number } {
  const { outputs, inputs, group = 1 } = shape;
  if (!rules['weights.marlinPadding']) return { outputs, inputs };
  const tall = { outputs: alignUp(outputs, 64), inputs: alignUp(inputs, lcm(128, group)) };
  const wide = { outputs: alignUp(outputs, 128), inputs: alignUp(inputs, lcm(64, group)) };
  const [a, b] = [tall.outputs * tall.inputs, wide.outputs * wide.inputs];
  if (a !== b) return a < b ? tall : wide;
  return tall.outputs + tall.inputs <= wide.outputs + wide.inputs ? tall : wide;
}

/** Locks of Marlin that every layer kept for itself until layers shared them: an int32 per thread block, `perSm` blocks. */
export function marlinLocks({ rules, multiprocessors }: LayoutContext, perSm: number): Pieces {
  return rules['weights.marlinLocksPerLayer'] ? [['workspace', 4 * multiprocessors * perSm]] : [];
}
