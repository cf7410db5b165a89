// Bytes of the routed experts of one layer in every weight format, after post-processing. Law: the *MoEMethod classes of vLLM
// model_executor/layers/quantization/ and fused_moe/oracle/; E experts on the rank, w13 [2I, H], w2 [H, I].
import type { WeightFormat } from '../../../../spec/quantization.ts';
import { alignUp, divCeil, gcd } from '../../../../units.ts';
import { type ExpertsModule, refuse } from '../types.ts';
import { deepGemmExpertScales, fp8Marlin, nvfp4Tiles } from './kernels.ts';
import { mxfp4Experts } from './mxfp4.ts';
import { bnbStateBytes, type ExpertSizes, expertBiases, expertSizes } from './sizes.ts';
import type { ExpertsLayout, LayoutContext, Pieces } from './types.ts';

const fp32 = 4;
const int32 = 4;

/** Experts in the model's dtype. */
function plainExperts(module: ExpertsModule, dtypeBytes: number): Pieces {
  const { first, second } = expertSizes(module);
  return [['w13_weight', first * dtypeBytes], ['w2_weight', second * dtypeBytes], ...expertBiases(module, dtypeBytes)];
}

export const expertsLayouts: Readonly<Record<WeightFormat, ExpertsLayout>> = {
  none: (module, { dtypeBytes }) => plainExperts(module, dtypeBytes),
  'fp8-online': (module, context) => fp8(module, context, perExpert(module, 2)),
  'fp8-tensor': (module, context) =>
    fp8(
      module,
      context,
      context.scheme.staticActivations ? [...perExpert(module, 4), ['input_scales', 4 * fp32]] : perExpert(module, 2),
    ),
  'fp8-channel': (module, context) =>
    fp8(module, context, [...perChannel(module), ['strides', 3 * 8 * module.experts]]),
  'int8-channel': (module, context) => [...bytes(module), ...perChannel(module), ...biases(module, context)],
  'fp8-block': (module, context) => {
    const sizes = expertSizes(module);
    const [outputs, inputs] = blockOf(sizes, context);
    return [...bytes(module), ...blockScales(sizes, [outputs, inputs], context), ...biases(module, context)];
  },
  'int-group': (module, context) => {
    const { group = 0 } = context.scheme;
    if (group > 0 && module.inner % group !== 0 && context.rules['weights.groupedExpertsWhole']) {
      refuse(
        `ValueError: CompressedTensors WNA16 MoE with static group scales requires the MoE intermediate size per tensor-parallel partition (${module.inner}) to be divisible by group_size (${group}).`,
      );
    }
    return [
      ...packed(module, context, group),
      ['weight_shapes', 2 * 2 * module.experts * context.dtypeBytes],
      ...biases(module, context),
    ];
  },
  awq: (module, context) => {
    const group = groupFor(module, context);
    return [...packed(module, context, group), ...packedZeros(module, group, context.scheme.bits / 8)];
  },
  gptq: (module, context) => {
    const { scheme, rules, dtypeBytes } = context;
    const group = groupFor(module, context);
    if (group !== scheme.group) return [...packed(module, context, group), ...biases(module, context)];
    const zero =
      rules['weights.gptqExpertZeros'] === 'dtype' ? (scheme.bits / 8 / int32) * dtypeBytes : scheme.bits / 8;
    const { experts, hidden, inner } = expertSizes(module);
    const index: Pieces = scheme.actOrder ? [['g_idx', 2 * experts * (hidden + inner) * int32]] : [];
    return [
      ...packed(module, context, group),
      ...packedZeros(module, group, zero),
      ...index,
      ...biases(module, context),
    ];
  },
  nvfp4: (module, context) => {
    const { first, second, experts } = expertSizes(nvfp4Tiles(module, context));
    const group = context.scheme.group ?? 16;
    return [
      ['w13_weight', first / 2],
      ['w2_weight', second / 2],
      ['w13_weight_scale', first / group],
      ['w2_weight_scale', second / group],
      ['scalars', 8 * experts * fp32],
      ...biases(module, context),
    ];
  },
  mxfp4: mxfp4Experts,
  mxfp8: (module, context) => {
    const { first, second } = expertSizes(module);
    return [
      ...bytes(module),
      ['w13_weight_scale', first / 32],
      ['w2_weight_scale', second / 32],
      ...biases(module, context),
    ];
  },
  'bnb-4bit': (module, context) => {
    const { first, second } = expertSizes(module);
    return [
      ['w13_weight', first / 2],
      ['w2_weight', second / 2],
      ['quant_state', bnbStateBytes(first + second, context), 'loader-state'],
      ...biases(module, context),
    ];
  },
  'bnb-8bit': (module, context) => [...bytes(module), ...biases(module, context)],
  /** No release has experts in codebooks. */
  codebook: (module, { dtypeBytes }) => plainExperts(module, dtypeBytes),
  gguf: (module, context) => {
    const { first, second } = expertSizes(module);
    const bits = context.scheme.bitsPerWeight ?? context.scheme.bits;
    return [
      ['w13_qweight', Math.ceil((first * bits) / 8)],
      ['w2_qweight', Math.ceil((second * bits) / 8)],
      ...biases(module, context),
    ];
  },
};

function bytes(module: ExpertsModule): Pieces {
  const { first, second } = expertSizes(module);
  return [
    ['w13_weight', first],
    ['w2_weight', second],
  ];
}

/** Methods that the release's rule names build no biases for their experts (the checkpoint's are not loaded). */
function biases(module: ExpertsModule, { dtypeBytes, rules, scheme }: LayoutContext): Pieces {
  const without = rules['weights.expertsWithoutBias'] ?? [];
  return without.includes(`${scheme.method}/${scheme.format}`) ? [] : expertBiases(module, dtypeBytes);
}

/** FP8 experts: the scheme's own scales, or 16-bit scales per row where Marlin serves them. */
function fp8(module: ExpertsModule, context: LayoutContext, scales: Pieces): Pieces {
  const { experts, rows13, hidden } = expertSizes(module);
  const rows: Pieces = [['weight_scales', experts * (rows13 + hidden) * context.dtypeBytes]];
  return [...bytes(module), ...(fp8Marlin(context) ? rows : scales), ...biases(module, context)];
}

function perExpert(module: ExpertsModule, count: number): Pieces {
  return [['scales', count * module.experts * fp32]];
}

function perChannel(module: ExpertsModule): Pieces {
  const { experts, rows13, hidden } = expertSizes(module);
  return [
    ['w13_weight_scale', experts * rows13 * fp32],
    ['w2_weight_scale', experts * hidden * fp32],
  ];
}

/**
 * The block of the scales. A shard that cuts blocks is refused, or (0.29 on) its scales are refined to the greatest block of
 * at least 32 that divides blocks, intermediate and hidden size (fused_moe/oracle/fp8.py).
 */
function blockOf({ inner, hidden }: ExpertSizes, { scheme, rules }: LayoutContext): [number, number] {
  const [outputs, inputs] = scheme.block ?? [128, 128];
  if (inner % outputs === 0 && inner % inputs === 0) return [outputs, inputs];
  const fine = gcd(gcd(outputs, inputs), gcd(inner, hidden));
  if (rules['weights.fp8BlockRefined'] && fine >= 32) return [fine, fine];
  return refuse(
    `ValueError: The output_size of gate's and up's weight = ${inner} is not divisible by weight quantization block_n = ${outputs}.`,
  );
}

function blockScales(sizes: ExpertSizes, block: [number, number], context: LayoutContext): Pieces {
  const { experts, rows13, hidden, inner } = sizes;
  const [outputs, inputs] = block;
  const per = (rows: number, columns: number): number => {
    const along = divCeil(columns, inputs);
    if (fp8Marlin(context)) return along * rows * context.dtypeBytes;
    if (deepGemmExpertScales(context)) return alignUp(rows, 4) * divCeil(along, 4) * int32;
    return divCeil(rows, outputs) * along * fp32;
  };
  return [
    ['w13_weight_scale_inv', experts * per(rows13, hidden)],
    ['w2_weight_scale_inv', experts * per(hidden, inner)],
  ];
}

/** Group size of 4 and 8 bit experts: halved for the fallback kernel until it divides the shard (quantization/moe_wna16.py). */
function groupFor(module: ExpertsModule, { scheme }: LayoutContext): number {
  let group = scheme.group ?? 0;
  if (group <= 0) return 0;
  while (group > 32 && (module.inner % group !== 0 || module.hidden % group !== 0)) group /= 2;
  return group;
}

function packed(module: ExpertsModule, { scheme, dtypeBytes }: LayoutContext, group: number): Pieces {
  const { first, second, experts, hidden, inner, rows13 } = expertSizes(module);
  return [
    ['w13_qweight', (first * scheme.bits) / 8],
    ['w2_qweight', (second * scheme.bits) / 8],
    ['w13_scales', experts * groups(hidden, group) * rows13 * dtypeBytes],
    ['w2_scales', experts * groups(inner, group) * hidden * dtypeBytes],
  ];
}

function packedZeros(module: ExpertsModule, group: number, zeroBytes: number): Pieces {
  const { experts, hidden, inner, rows13 } = expertSizes(module);
  return [
    ['w13_qzeros', experts * groups(hidden, group) * rows13 * zeroBytes],
    ['w2_qzeros', experts * groups(inner, group) * hidden * zeroBytes],
  ];
}

function groups(inputs: number, group: number): number {
  return group > 0 ? divCeil(inputs, group) : 1;
}
