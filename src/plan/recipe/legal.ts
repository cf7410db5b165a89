// What the two tools accept, as far as a recipe uses it: file types and tensor types of llama-quantize, fields and values of
// compressed-tensors. A recipe is checked against these lists before it is handed out.
import type { MixName } from '../../accounting/gguf-mix/index.ts';
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { LlamaQuantizeRecipe } from './types.ts';

/**
 * File types that the command line names (tools/quantize/quantize.cpp QUANT_OPTIONS, v0.5.0), with the tensor type that each
 * starts from (src/llama-quant.cpp llama_ftype_get_default_type). IQ2_S and IQ2_M start one step below their names.
 */
export const quantizeFileTypes = {
  q1_0: 'q1_0',
  q2_0: 'q2_0',
  q4_0: 'q4_0',
  q4_1: 'q4_1',
  mxfp4_moe: 'mxfp4',
  q5_0: 'q5_0',
  q5_1: 'q5_1',
  iq2_xxs: 'iq2_xxs',
  iq2_xs: 'iq2_xs',
  iq2_s: 'iq2_xs',
  iq2_m: 'iq2_s',
  iq1_s: 'iq1_s',
  iq1_m: 'iq1_m',
  tq1_0: 'tq1_0',
  tq2_0: 'tq2_0',
  q2_k: 'q2_k',
  q2_k_s: 'q2_k',
  iq3_xxs: 'iq3_xxs',
  iq3_s: 'iq3_s',
  iq3_m: 'iq3_s',
  iq3_xs: 'iq3_s',
  q3_k_s: 'q3_k',
  q3_k_m: 'q3_k',
  q3_k_l: 'q3_k',
  iq4_nl: 'iq4_nl',
  iq4_xs: 'iq4_xs',
  q4_k_s: 'q4_k',
  q4_k_m: 'q4_k',
  q5_k_s: 'q5_k',
  q5_k_m: 'q5_k',
  q6_k: 'q6_k',
  q8_0: 'q8_0',
  f16: 'f16',
  bf16: 'bf16',
  f32: 'f32',
} as const satisfies Record<MixName, GgmlType>;

/** Tensor types that ggml can make (ggml_quantize_chunk, ggml/src/ggml.c); integers and Q8_1, Q8_K have names but no quantizer. */
export const quantizeTensorTypes: readonly GgmlType[] = [
  'f32',
  'f16',
  'bf16',
  'q1_0',
  'q2_0',
  'q4_0',
  'q4_1',
  'q5_0',
  'q5_1',
  'q8_0',
  'mxfp4',
  'nvfp4',
  'q2_k',
  'q3_k',
  'q4_k',
  'q5_k',
  'q6_k',
  'tq1_0',
  'tq2_0',
  'iq2_xxs',
  'iq2_xs',
  'iq2_s',
  'iq3_xxs',
  'iq3_s',
  'iq1_s',
  'iq1_m',
  'iq4_nl',
  'iq4_xs',
];

/** Types that are refused without an importance matrix (tensor_requires_imatrix); embedding and output are exempt. */
export const needsImatrixTypes: readonly GgmlType[] = ['iq3_xxs', 'iq2_xxs', 'iq2_xs', 'iq2_s', 'iq1_m', 'iq1_s'];

/** Since the builds in which a pattern always wins, whatever it names; older ones let the mix decide where it names the base type. */
export const tensorTypeBuild = 'b10068';

/**
 * What llama-quantize would refuse, or read otherwise than it is meant: unknown types, capitals in a pattern (it lowers them), an
 * equals sign (it ends the pattern there), and what ECMAScript expressions of C++ lack.
 */
export function illegalOptions(recipe: LlamaQuantizeRecipe): string[] {
  const wrong: string[] = [];
  if (!Object.hasOwn(quantizeFileTypes, recipe.fileType)) wrong.push(`no file type ${recipe.fileType}`);
  const types = [recipe.outputTensorType, recipe.tokenEmbeddingType, ...recipe.tensorTypes.map(({ type }) => type)];
  for (const type of types) if (type && !quantizeTensorTypes.includes(type)) wrong.push(`no tensor type ${type}`);
  for (const { pattern, type } of recipe.tensorTypes) {
    if (!/^[a-z0-9_.\\()|[\]^$+-]+$/.test(pattern) || pattern.includes('(?')) wrong.push(`pattern ${pattern}`);
    if (!recipe.imatrix && needsImatrixTypes.includes(type)) wrong.push(`${type} without an importance matrix`);
  }
  const plain = quantizeFileTypes[recipe.fileType];
  const sixteen = plain === 'f16' || plain === 'bf16' || plain === 'f32';
  // tools: --tensor-type is read for quantized file types only.
  if (sixteen && recipe.tensorTypes.length > 0) wrong.push(`patterns beside the file type ${recipe.fileType}`);
  return wrong;
}

/** Names that a scheme may have (compressed-tensors 0.19 quantization/quant_scheme.py PRESET_SCHEMES, other widths left out). */
export const compressedTensorsSchemes: readonly string[] = [
  'UNQUANTIZED',
  'W8A16',
  'W4A16',
  'W4A16_ASYM',
  'W8A8',
  'INT8',
  'W4A8',
  'W4AFP8',
  'FP8',
  'FP8_DYNAMIC',
  'FP8_BLOCK',
  'NVFP4A16',
  'NVFP4',
  'MXFP4A16',
  'MXFP4',
  'MXFP8A16',
  'MXFP8',
];

/** quantization/quant_args.py: types, strategies, and which bits a weight may have in each type (formats of vLLM). */
export const compressedTensorsTypes: readonly string[] = ['int', 'float'];
export const compressedTensorsStrategies: readonly string[] = [
  'tensor',
  'channel',
  'group',
  'block',
  'token',
  'tensor_group',
  'attn_head',
];

/** Modifiers of llm-compressor that a recipe may name (llmcompressor/modifiers). */
export const compressorModifiers: readonly string[] = ['QuantizationModifier', 'GPTQModifier', 'AWQModifier'];

/** QuantizationArgs as a recipe spells them. */
export interface QuantizationArgs {
  num_bits: number;
  type: string;
  symmetric: boolean;
  strategy: string;
  group_size?: number;
  dynamic?: boolean;
}

/** What QuantizationArgs' validators refuse (quant_args.py validate_model_after), as far as a recipe can say it. */
export function illegalArgs(args: QuantizationArgs): string[] {
  const wrong: string[] = [];
  if (!compressedTensorsTypes.includes(args.type)) wrong.push(`type ${args.type}`);
  if (!compressedTensorsStrategies.includes(args.strategy)) wrong.push(`strategy ${args.strategy}`);
  const grouped = args.strategy === 'group' || args.strategy === 'tensor_group';
  if (grouped && !(args.group_size !== undefined && args.group_size > 0))
    wrong.push(`${args.strategy} without group_size`);
  if (!grouped && args.group_size !== undefined) wrong.push('group_size without strategy group');
  if (args.strategy === 'token' && args.dynamic !== true) wrong.push('token without dynamic');
  if (args.type === 'float' && args.num_bits !== 8 && args.num_bits !== 4) wrong.push(`float of ${args.num_bits} bits`);
  if (args.type === 'int' && (args.num_bits < 1 || args.num_bits > 8)) wrong.push(`int of ${args.num_bits} bits`);
  return wrong;
}
