// Bytes of the routed experts of one layer in every weight format, after post-processing. Law: the *MoEMethod classes of vLLM
// model_executor/layers/quantization/ and fused_moe/oracle/; E experts on the rank, w13 [2I, H], w2 [H, I].
import type { WeightFormat } from '../../../../spec/quantization.ts';
import { divCeil } from '../../../../units.ts';
import type { ExpertsModule } from '../types.ts';
import type { ExpertsLayout, LayoutContext, Pieces } from './types.ts';

const fp32 = 4;

/** Experts in the model's dtype. */
export function plainExperts(module: ExpertsModule, dtypeBytes: number): Pieces {
  const { first, second } = sizes(module);
  return [['w13_weight', first * dtypeBytes], ['w2_weight', second * dtypeBytes], ...biases(module, dtypeBytes)];
}

export const expertsLayouts: Readonly<Record<WeightFormat, ExpertsLayout>> = {
  none: (module, { dtypeBytes }) => plainExperts(module, dtypeBytes),
  'fp8-online': (module, { dtypeBytes }) => [...bytes8(module), ...perExpert(module, 2), ...biases(module, dtypeBytes)],
  'fp8-tensor': (module, { dtypeBytes, scheme }) => [
    ...bytes8(module),
    ...perExpert(module, scheme.staticActivations ? 4 : 2),
    ...(scheme.staticActivations ? ([['input_scales', 4 * fp32]] as Pieces) : []),
    ...biases(module, dtypeBytes),
  ],
  'fp8-channel': (module, { dtypeBytes }) => [
    ...bytes8(module),
    ...perChannel(module),
    ['strides', 3 * 8 * module.experts],
    ...biases(module, dtypeBytes),
  ],
  'int8-channel': (module, { dtypeBytes }) => [...bytes8(module), ...perChannel(module), ...biases(module, dtypeBytes)],
  'fp8-block': (module, { dtypeBytes, scheme }) => {
    const [outputs, inputs] = scheme.block ?? [128, 128];
    const { experts, rows13, hidden, inner } = sizes(module);
    return [
      ...bytes8(module),
      ['w13_weight_scale_inv', experts * divCeil(rows13, outputs) * divCeil(hidden, inputs) * fp32],
      ['w2_weight_scale_inv', experts * divCeil(hidden, outputs) * divCeil(inner, inputs) * fp32],
      ...biases(module, dtypeBytes),
    ];
  },
  'int-group': (module, context) => [
    ...packed(module, context),
    ['weight_shapes', 2 * 2 * module.experts * context.dtypeBytes],
    ...biases(module, context.dtypeBytes),
  ],
  awq: (module, context) => [...packed(module, context), ...packedZeros(module, context)],
  gptq: (module, context) => [...packed(module, context), ...packedZeros(module, context)],
  nvfp4: (module, { dtypeBytes, scheme }) => {
    const { first, second, experts } = sizes(module);
    const group = scheme.group ?? 16;
    return [
      ['w13_weight', first / 2],
      ['w2_weight', second / 2],
      ['w13_weight_scale', first / group],
      ['w2_weight_scale', second / group],
      ['scalars', 8 * experts * fp32],
      ...biases(module, dtypeBytes),
    ];
  },
  mxfp4: (module, { dtypeBytes }) => {
    const { first, second } = sizes(module);
    return [
      ['w13_weight', first / 2],
      ['w2_weight', second / 2],
      ['w13_weight_scale', first / 32],
      ['w2_weight_scale', second / 32],
      ...biases(module, dtypeBytes),
    ];
  },
  mxfp8: (module, { dtypeBytes }) => {
    const { first, second } = sizes(module);
    return [
      ...bytes8(module),
      ['w13_weight_scale', first / 32],
      ['w2_weight_scale', second / 32],
      ...biases(module, dtypeBytes),
    ];
  },
  'bnb-4bit': (module, { dtypeBytes }) => {
    const { first, second } = sizes(module);
    return [['w13_weight', first / 2], ['w2_weight', second / 2], ...biases(module, dtypeBytes)];
  },
  'bnb-8bit': (module, { dtypeBytes }) => [...bytes8(module), ...biases(module, dtypeBytes)],
  gguf: (module, { scheme, dtypeBytes }) => {
    const { first, second } = sizes(module);
    const bits = scheme.bitsPerWeight ?? scheme.bits;
    return [
      ['w13_qweight', Math.ceil((first * bits) / 8)],
      ['w2_qweight', Math.ceil((second * bits) / 8)],
      ...biases(module, dtypeBytes),
    ];
  },
};

interface Sizes {
  experts: number;
  hidden: number;
  inner: number;
  /** Output rows of w13. */
  rows13: number;
  /** Elements of w13 and w2 over all experts. */
  first: number;
  second: number;
}

export function sizes(module: ExpertsModule): Sizes {
  const { experts, hidden, inner } = module;
  const rows13 = (module.gated ? 2 : 1) * inner;
  return { experts, hidden, inner, rows13, first: experts * rows13 * hidden, second: experts * hidden * inner };
}

function bytes8(module: ExpertsModule): Pieces {
  const { first, second } = sizes(module);
  return [
    ['w13_weight', first],
    ['w2_weight', second],
  ];
}

function perExpert(module: ExpertsModule, count: number): Pieces {
  return [['scales', count * module.experts * fp32]];
}

function perChannel(module: ExpertsModule): Pieces {
  const { experts, rows13, hidden } = sizes(module);
  return [
    ['w13_weight_scale', experts * rows13 * fp32],
    ['w2_weight_scale', experts * hidden * fp32],
  ];
}

function packed(module: ExpertsModule, { scheme, dtypeBytes }: LayoutContext): Pieces {
  const { first, second } = sizes(module);
  const group = scheme.group && scheme.group > 0 ? scheme.group : undefined;
  const { experts, hidden, inner, rows13 } = sizes(module);
  return [
    ['w13_qweight', (first * scheme.bits) / 8],
    ['w2_qweight', (second * scheme.bits) / 8],
    ['w13_scales', experts * (group ? divCeil(hidden, group) : 1) * rows13 * dtypeBytes],
    ['w2_scales', experts * (group ? divCeil(inner, group) : 1) * hidden * dtypeBytes],
  ];
}

function packedZeros(module: ExpertsModule, { scheme }: LayoutContext): Pieces {
  const { experts, hidden, inner, rows13 } = sizes(module);
  const group = scheme.group && scheme.group > 0 ? scheme.group : undefined;
  return [
    ['w13_qzeros', (experts * (group ? divCeil(hidden, group) : 1) * rows13 * scheme.bits) / 8],
    ['w2_qzeros', (experts * (group ? divCeil(inner, group) : 1) * hidden * scheme.bits) / 8],
  ];
}

function biases(module: ExpertsModule, dtypeBytes: number): Pieces {
  if (!module.bias) return [];
  const { experts, rows13, hidden } = sizes(module);
  return [
    ['w13_bias', experts * rows13 * dtypeBytes],
    ['w2_bias', experts * hidden * dtypeBytes],
  ];
}
