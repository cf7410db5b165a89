// MXFP4 experts (gpt-oss, DeepSeek-V4) by kernel: what each pads and what its post-processing leaves. Law: vLLM
// quantization/mxfp4.py, quantization/utils/mxfp4_utils.py, fused_moe/oracle/mxfp4.py.
import { alignUp } from '../../../../units.ts';
import type { WeightRules } from '../rules.ts';
import type { ExpertsModule } from '../types.ts';
import { expertBiases, expertSizes } from './sizes.ts';
import type { LayoutContext, Pieces } from './types.ts';

type Triton = NonNullable<WeightRules['weights.mxfp4Triton']>;

export function mxfp4Experts(module: ExpertsModule, context: LayoutContext): Pieces {
  if (!module.bias) return packed(module, context.dtypeBytes);
  if (context.rocm) return onRocm(module, context);
  const kernel = mxfp4Kernel(context);
  const triton = context.rules['weights.mxfp4Triton'];
  switch (kernel) {
    case 'triton':
      return triton ? tritonExperts(module, triton) : packed(module, context.dtypeBytes);
    case 'marlin':
      return packed(padded(module, 128, 256), context.dtypeBytes);
    case 'trtllm':
      return packed(padded(module, context.rules['weights.mxfp4TrtllmInner'] ?? 256, 256), context.dtypeBytes);
    default:
      return packed(module, context.dtypeBytes);
  }
}

/** The rule maps the lowest capability that a kernel serves, times ten, to its name. */
function mxfp4Kernel({ capability, rules }: LayoutContext): string | undefined {
  const kernels = Object.entries(rules['weights.mxfp4Kernels'] ?? {});
  return kernels.filter(([from]) => capability >= Number(from)).sort((a, b) => Number(b[0]) - Number(a[0]))[0]?.[1];
}

/** triton_kernels on AMD: both sides padded, biases in fp32, scales as loaded. */
function onRocm(module: ExpertsModule, { rules, rocm }: LayoutContext): Pieces {
  const { inner, hidden, cdna4 } = rules['weights.mxfp4OnRocm'] ?? { inner: 256, hidden: 256 };
  const wider = rocm === 'cdna4' ? (cdna4 ?? 1) : 1;
  return packed(padded(module, Math.max(inner, wider), Math.max(hidden, wider)), 4);
}

/** Values in half a byte, one scale byte per 32 inputs, biases in the model's dtype. */
function packed(module: ExpertsModule, dtypeBytes: number): Pieces {
  const { first, second } = expertSizes(module);
  return [
    ['w13_weight', first / 2],
    ['w2_weight', second / 2],
    ['w13_weight_scale', first / 32],
    ['w2_weight_scale', second / 32],
    ...expertBiases(module, dtypeBytes),
  ];
}

function padded(module: ExpertsModule, inner: number, hidden: number): ExpertsModule {
  return { ...module, inner: alignUp(module.inner, inner), hidden: alignUp(module.hidden, hidden) };
}

/**
 * triton_kernels on Hopper: intermediate size up to 64; values with inputs up to `inputs` in some releases; biases in fp32;
 * scales swizzled to up(rows, 256) x up(inputs / 32, `step`); some releases keep the loaded scales beside them.
 */
function tritonExperts(module: ExpertsModule, { step, inputs, keepsLoaded }: Triton): Pieces {
  const own = { ...module, inner: alignUp(module.inner, 64) };
  const { experts, rows13, hidden, inner } = expertSizes(own);
  const matrix = (rows: number, columns: number): number => (rows * alignUp(columns, inputs)) / 2;
  const scales = (rows: number, columns: number): number => alignUp(rows, 256) * alignUp(columns / 32, step);
  const loaded = keepsLoaded ? (rows13 * hidden + hidden * inner) / 32 : 0;
  return [
    ['w13_weight', experts * matrix(rows13, hidden)],
    ['w2_weight', experts * matrix(hidden, inner)],
    ['scales', experts * (scales(rows13, hidden) + scales(hidden, inner))],
    ['loaded_scales', experts * loaded],
    ...expertBiases(own, 4),
  ];
}
