// Bytes of one linear layer in every weight format, after post-processing. Law: the *LinearMethod classes of vLLM
// model_executor/layers/quantization/ and the kernels they choose; K inputs, N outputs of the rank, fp32 scales unless said.
import type { WeightFormat } from '../../../../spec/quantization.ts';
import { divCeil } from '../../../../units.ts';
import type { LinearModule } from '../types.ts';
import type { LayoutContext, LinearLayout, Pieces } from './types.ts';

const fp32 = 4;

/** Weight and bias in the model's dtype. */
export function plainLinear(module: LinearModule, dtypeBytes: number): Pieces {
  const bytes = module.elementBytes ?? dtypeBytes;
  return [['weight', module.inputs * module.outputs * bytes], ...bias(module, bytes)];
}

export const linearLayouts: Readonly<Record<WeightFormat, LinearLayout>> = {
  none: (module, { dtypeBytes }) => plainLinear(module, dtypeBytes),
  /** One scale for the merged matrix: it is made from the merged 16-bit weight. */
  'fp8-online': (module, { dtypeBytes }) => [
    ['weight', module.inputs * module.outputs],
    ['weight_scale', fp32],
    ...bias(module, dtypeBytes),
  ],
  'fp8-tensor': (module, { dtypeBytes, scheme }) => [
    ['weight', module.inputs * module.outputs],
    ['weight_scale', fp32],
    ...(scheme.staticActivations ? ([['input_scale', fp32]] as Pieces) : []),
    ...bias(module, dtypeBytes),
  ],
  'fp8-channel': channelScaled,
  'int8-channel': channelScaled,
  'fp8-block': (module, { dtypeBytes, scheme }) => {
    const [outputs, inputs] = scheme.block ?? [128, 128];
    return [
      ['weight', module.inputs * module.outputs],
      ['weight_scale_inv', divCeil(module.outputs, outputs) * divCeil(module.inputs, inputs) * fp32],
      ...bias(module, dtypeBytes),
    ];
  },
  'int-group': (module, context) => {
    const { dtypeBytes, scheme } = context;
    const groups = groupCount(module, context);
    return [
      ['weight_packed', (module.inputs * module.outputs * scheme.bits) / 8],
      ['weight_scale', groups * module.outputs * dtypeBytes],
      ...(scheme.zeroPoints ? ([['weight_zero_point', (groups * module.outputs * scheme.bits) / 8]] as Pieces) : []),
      ['weight_shape', 2 * 8],
      ...bias(module, dtypeBytes),
    ];
  },
  awq: (module, context) => {
    const { dtypeBytes, scheme } = context;
    const groups = groupCount(module, context);
    return [
      ['qweight', (module.inputs * module.outputs * scheme.bits) / 8],
      ['qzeros', groups * module.outputs * awqZeroBytes(context)],
      ['scales', groups * module.outputs * dtypeBytes],
      ...bias(module, dtypeBytes),
    ];
  },
  gptq: (module, context) => {
    const { dtypeBytes, scheme } = context;
    const groups = groupCount(module, context);
    return [
      ['qweight', (module.inputs * module.outputs * scheme.bits) / 8],
      ['scales', groups * module.outputs * dtypeBytes],
      ['qzeros', (groups * module.outputs * scheme.bits) / 8],
      ...(scheme.actOrder ? ([['g_idx', module.inputs * 4]] as Pieces) : []),
      ...bias(module, dtypeBytes),
    ];
  },
  nvfp4: (module, { dtypeBytes, scheme }) => [
    ['weight', (module.inputs * module.outputs) / 2],
    ['weight_scale', (module.inputs / (scheme.group ?? 16)) * module.outputs],
    ['scalars', 5 * fp32],
    ...bias(module, dtypeBytes),
  ],
  mxfp4: (module, { dtypeBytes }) => [
    ['weight', (module.inputs * module.outputs) / 2],
    ['weight_scale', (module.inputs / 32) * module.outputs],
    ...bias(module, dtypeBytes),
  ],
  mxfp8: (module, { dtypeBytes }) => [
    ['weight', module.inputs * module.outputs],
    ['weight_scale', (module.inputs / 32) * module.outputs],
    ...bias(module, dtypeBytes),
  ],
  'bnb-4bit': (module, { dtypeBytes }) => [
    ['weight', (module.inputs * module.outputs) / 2],
    ...bias(module, dtypeBytes),
  ],
  'bnb-8bit': (module, { dtypeBytes }) => [['weight', module.inputs * module.outputs], ...bias(module, dtypeBytes)],
  gguf: (module, { dtypeBytes, scheme }) => [
    ['qweight', Math.ceil((module.inputs * module.outputs * (scheme.bitsPerWeight ?? scheme.bits)) / 8)],
    ...bias(module, dtypeBytes),
  ],
};

function channelScaled(module: LinearModule, { dtypeBytes }: LayoutContext): Pieces {
  return [
    ['weight', module.inputs * module.outputs],
    ['weight_scale', module.outputs * fp32],
    ...bias(module, dtypeBytes),
  ];
}

function bias(module: LinearModule, dtypeBytes: number): Pieces {
  return module.bias > 0 ? [['bias', module.bias * dtypeBytes]] : [];
}

/** Scale groups along the inputs; one per channel when the group size is -1. */
function groupCount(module: LinearModule, { scheme }: LayoutContext): number {
  return scheme.group && scheme.group > 0 ? divCeil(module.inputs, scheme.group) : 1;
}

/** Zero points stay packed, except where the Machete kernel takes them as 16-bit values (capability 9.0, 0.20 on). */
function awqZeroBytes({ capability, dtypeBytes, scheme, rules }: LayoutContext): number {
  return rules['weights.awqZeros'] === 'machete-16-bit' && capability === 90 ? dtypeBytes : scheme.bits / 8;
}
