// Bytes of one linear layer in every weight format, after post-processing. Law: the *LinearMethod classes of vLLM
// model_executor/layers/quantization/ and the kernels they choose; K inputs, N outputs of the rank, fp32 scales unless said.
import type { WeightFormat } from '../../../../spec/quantization.ts';
import { alignUp, divCeil } from '../../../../units.ts';
import type { LinearModule } from '../types.ts';
import { deepGemmScales, fp4Marlin, fp8BlockMarlin, fp8Marlin, machete, marlinLocks, marlinShape } from './kernels.ts';
import { bnbStateBytes } from './sizes.ts';
import type { LayoutContext, LinearLayout, Pieces } from './types.ts';

const fp32 = 4;
const int32 = 4;

/** Weight and bias in the model's dtype. */
function plainLinear(module: LinearModule, dtypeBytes: number): Pieces {
  const bytes = module.elementBytes ?? dtypeBytes;
  return [['weight', module.inputs * module.outputs * bytes], ...bias(module, bytes)];
}

export const linearLayouts: Readonly<Record<WeightFormat, LinearLayout>> = {
  none: (module, { dtypeBytes }) => plainLinear(module, dtypeBytes),
  /** One scale for the merged matrix: it is made from the merged 16-bit weight. */
  'fp8-online': (module, context) =>
    fp8Marlin(context)
      ? marlinFp8(module, context, 1)
      : [...fp8Weight(module, context), ['weight_scale', fp32], ...biasOf(module, context)],
  'fp8-tensor': (module, context) => {
    if (fp8Marlin(context)) return marlinFp8(module, context, 1);
    const input: Pieces = context.scheme.staticActivations ? [['input_scale', fp32]] : [];
    return [...fp8Weight(module, context), ['weight_scale', fp32], ...input, ...biasOf(module, context)];
  },
  'fp8-channel': (module, context) =>
    fp8Marlin(context)
      ? marlinFp8(module, context, 1)
      : [
          ...fp8Weight(module, context),
          ['weight_scale', fp8Shape(module, context).outputs * fp32],
          ...biasOf(module, context),
        ],
  'int8-channel': (module, context) => [
    ...byte(module),
    ['weight_scale', module.outputs * fp32],
    ...biasOf(module, context),
  ],
  'fp8-block': (module, context) => {
    const [outputs, inputs] = context.scheme.block ?? [128, 128];
    if (fp8BlockMarlin(context)) return marlinFp8(module, context, divCeil(module.inputs, inputs));
    const columns = divCeil(module.inputs, inputs);
    const suits = module.outputs % 64 === 0 && module.inputs % 128 === 0;
    const scales =
      deepGemmScales(context) && suits
        ? alignUp(module.outputs, 4) * divCeil(columns, 4) * int32
        : divCeil(module.outputs, outputs) * columns * fp32;
    return [...byte(module), ['weight_scale_inv', scales], ...biasOf(module, context)];
  },
  'int-group': (module, context) => {
    const { dtypeBytes, scheme } = context;
    const { outputs, inputs } = kernelShape(module, context);
    const groups = groupCount(inputs, context);
    return [
      ['weight_packed', (inputs * outputs * scheme.bits) / 8],
      ['weight_scale', groups * outputs * dtypeBytes],
      ...(scheme.zeroPoints ? ([['weight_zero_point', (groups * outputs * scheme.bits) / 8]] as Pieces) : []),
      ['weight_shape', 2 * 8],
      ...kernelLocks(module, context),
      ...biasOf(module, context),
    ];
  },
  awq: (module, context) => {
    const { dtypeBytes, scheme } = context;
    const { outputs, inputs } = kernelShape(module, context);
    const groups = groupCount(inputs, context);
    return [
      ['qweight', (inputs * outputs * scheme.bits) / 8],
      ['qzeros', groups * outputs * awqZeroBytes(module, context)],
      ['scales', groups * outputs * dtypeBytes],
      ...kernelLocks(module, context),
      ...biasOf(module, context),
    ];
  },
  gptq: (module, context) => {
    const { dtypeBytes, scheme } = context;
    const { outputs, inputs } = kernelShape(module, context);
    const groups = groupCount(inputs, context);
    return [
      ['qweight', (inputs * outputs * scheme.bits) / 8],
      ['scales', groups * outputs * dtypeBytes],
      ...gptqZeros(module, context, groups),
      ...groupIndex(module, context),
      ...kernelLocks(module, context),
      ...biasOf(module, context),
    ];
  },
  nvfp4: (module, context) => {
    const { scheme } = context;
    const group = scheme.group ?? 16;
    const { outputs, inputs } = fp4Marlin(context)
      ? marlinShape({ ...module, group }, context)
      : { outputs: alignUp(module.outputs, 32), inputs: alignUp(module.inputs, 32) };
    const scales = fp4Marlin(context) ? (inputs / group) * outputs : alignUp(inputs / group, 4) * alignUp(outputs, 128);
    return [
      ['weight', (inputs * outputs) / 2],
      ['weight_scale', scales],
      ['scalars', 4 * fp32],
      ...(fp4Marlin(context) ? marlinLocks(context, 1) : []),
      ...biasOf(module, context),
    ];
  },
  mxfp4: (module, context) => [
    ['weight', (module.inputs * module.outputs) / 2],
    ['weight_scale', (module.inputs / 32) * module.outputs],
    ...biasOf(module, context),
  ],
  mxfp8: (module, context) => [
    ...byte(module),
    ['weight_scale', (module.inputs / 32) * module.outputs],
    ...biasOf(module, context),
  ],
  'bnb-4bit': (module, context) => [
    ['weight', (module.inputs * module.outputs) / 2],
    ['quant_state', bnbStateBytes(module.inputs * module.outputs, context), 'loader-state'],
    ...biasOf(module, context),
  ],
  'bnb-8bit': (module, context) => [...byte(module), ...biasOf(module, context)],
  /** Codes, the codebooks of the matrix, a scale per output. */
  codebook: (module, context) => [
    ['codes', Math.ceil((module.inputs * module.outputs * context.scheme.bits) / 8)],
    ['codebooks', context.scheme.codebookBytes ?? 0],
    ['scales', module.outputs * context.dtypeBytes],
    ...biasOf(module, context),
  ],
  gguf: (module, context) => [
    [
      'qweight',
      Math.ceil((module.inputs * module.outputs * (context.scheme.bitsPerWeight ?? context.scheme.bits)) / 8),
    ],
    ...biasOf(module, context),
  ],
};

function byte(module: LinearModule): Pieces {
  return [['weight', module.inputs * module.outputs]];
}

/** Marlin W8A16: padded weight, scales per row in 16 bit, `groups` of them along the inputs. */
function marlinFp8(module: LinearModule, context: LayoutContext, groups: number): Pieces {
  const { outputs, inputs } = marlinShape(module, context);
  return [
    ['weight', inputs * outputs],
    ['weight_scale', groups * outputs * context.dtypeBytes],
    ...marlinLocks(context, 1),
    ...biasOf(module, context),
  ];
}

/** CUTLASS wants both sides in multiples of 16 and pads them in later releases. */
function fp8Shape(module: LinearModule, { rules }: LayoutContext): { outputs: number; inputs: number } {
  const step = rules['weights.fp8Padding'] ?? 1;
  return { outputs: alignUp(module.outputs, step), inputs: alignUp(module.inputs, step) };
}

function fp8Weight(module: LinearModule, context: LayoutContext): Pieces {
  const { outputs, inputs } = fp8Shape(module, context);
  return [['weight', outputs * inputs]];
}

function biasOf(module: LinearModule, { dtypeBytes }: LayoutContext): Pieces {
  return bias(module, dtypeBytes);
}

function bias(module: LinearModule, dtypeBytes: number): Pieces {
  return module.bias > 0 ? [['bias', module.bias * dtypeBytes]] : [];
}

/** Machete and plain kernels keep the shape, Marlin pads it. */
function kernelShape(module: LinearModule, context: LayoutContext): { outputs: number; inputs: number } {
  if (context.capability === 0 || machete(context, module.outputs, module.inputs)) return module;
  const { group } = context.scheme;
  return marlinShape({ ...module, ...(group && group > 0 ? { group } : {}) }, context);
}

/** Scale groups along the inputs; one per channel when the group size is -1. */
function groupCount(inputs: number, { scheme }: LayoutContext): number {
  return scheme.group && scheme.group > 0 ? divCeil(inputs, scheme.group) : 1;
}

/** Zero points stay packed, except where the Machete kernel takes them as 16-bit values (capability 9.0, 0.20 on). */
function awqZeroBytes(module: LinearModule, context: LayoutContext): number {
  const wide =
    context.rules['weights.awqZeros'] === 'machete-16-bit' && machete(context, module.outputs, module.inputs);
  return wide ? context.dtypeBytes : context.scheme.bits / 8;
}

/** Marlin takes the symmetric weights without the checkpoint's zero points; Machete leaves them beside, GPTQ's own kernel reads them. */
function gptqZeros(module: LinearModule, context: LayoutContext, groups: number): Pieces {
  const { capability, scheme } = context;
  if (capability >= 80 && !machete(context, module.outputs, module.inputs)) return [];
  return [['qzeros', (groups * module.outputs * scheme.bits) / 8]];
}

/** The group of every input: kept by Machete as loaded, by Marlin only with activation order; gone from 0.30. */
function groupIndex(module: LinearModule, context: LayoutContext): Pieces {
  if (!context.rules['weights.gptqGroupIndex']) return [];
  if (!context.scheme.actOrder && !machete(context, module.outputs, module.inputs)) return [];
  return [['g_idx', module.inputs * int32]];
}

function kernelLocks(module: LinearModule, context: LayoutContext): Pieces {
  return context.capability === 0 || machete(context, module.outputs, module.inputs) ? [] : marlinLocks(context, 1);
}
