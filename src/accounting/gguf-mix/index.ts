// Quantization of a GGUF description: every tensor's type under one of llama-quantize's mixes, with its options. Sizes are then
// sums over the tensors (tensorBytes). Law: src/llama-quant.cpp llama_tensor_get_type, tools/quantize.
import { assert } from '../../assert.ts';
import { type GgmlType, isQuantized, tensorBytes } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import { findMix, mixes } from './mixes.ts';
import { type MixRules, TypePicker, typeForRow } from './pick.ts';
import { inVisitingOrder, isQuantizable, tensorKind } from './tensors.ts';

export { findMix, type Mix, type MixName, mixes, mixNames, mixOfFileType } from './mixes.ts';
export type { MixRules } from './pick.ts';

/** llama-quantize's options. */
export interface MixOptions {
  /** An importance matrix is given: IQ3_XXS, IQ4_*, Q4_0 and Q5_0 then choose otherwise. */
  imatrix?: boolean;
  /**
   * Default: older, as most files of fused-QKV models were made. The files of Gemma 4 E2B and E4B are younger than the change:
   * their per_layer_token_embd has the output's type (current).
   */
  rules?: MixRules;
  /** --output-tensor-type. */
  outputTensorType?: GgmlType;
  /** --token-embedding-type. */
  tokenEmbdType?: GgmlType;
  /** --tensor-type name=type: regular expressions on tensor names, the first match decides. */
  overrides?: readonly { pattern: string; type: GgmlType }[];
  /** --pure: the base type for every matrix. */
  pure?: boolean;
  /** --leave-output-tensor. */
  leaveOutputTensor?: boolean;
}

/**
 * The model with the types that llama-quantize gives its tensors under `mix` (a name that findMix knows, in any case), in the order
 * in which it writes them: those of no block first, then block by block, by name. Tensors that
 * the source already holds quantized (gpt-oss experts) stay as they are: llama-quantize refuses to quantize them again.
 */
export function applyMix(model: GgufModel, mix: string, options: MixOptions = {}): GgufModel {
  const name = findMix(mix);
  assert(name !== undefined, `no quantization mix ${mix}`);
  const picker = new TypePicker(model, name, {
    imatrix: options.imatrix ?? false,
    rules: options.rules ?? 'older',
    outputTensorType: options.outputTensorType,
  });
  const overrides = (options.overrides ?? []).map(({ pattern, type }) => ({ pattern: new RegExp(pattern), type }));
  const { base } = mixes[name];
  const types = new Map<string, GgmlType>();
  const ordered = inVisitingOrder(model.tensors);
  for (const tensor of ordered) {
    const chosen = overrides.find(({ pattern }) => pattern.test(tensor.name))?.type;
    types.set(tensor.name, typeOf({ tensor, base, chosen, picker, options }));
  }
  return { ...model, tensors: ordered.map((tensor) => ({ ...tensor, type: types.get(tensor.name) ?? tensor.type })) };
}

interface TypeOfInput {
  tensor: GgufTensor;
  base: GgmlType;
  chosen: GgmlType | undefined;
  picker: TypePicker;
  options: MixOptions;
}

/** Order of precedence: source type, --token-embedding-type and --output-tensor-type, --tensor-type, the mix. */
function typeOf({ tensor, base, chosen, picker, options }: TypeOfInput): GgmlType {
  if (!isQuantizable(tensor) || (options.leaveOutputTensor && tensor.name === 'output.weight')) return tensor.type;
  const kind = tensorKind(tensor.name);
  if (kind === 'tokenEmbd' && options.tokenEmbdType && !(chosen && tensor.name.startsWith('per_layer'))) {
    return options.tokenEmbdType;
  }
  if (kind === 'output' && options.outputTensorType) return options.outputTensorType;
  // The rules hold for quantized mixes; counters do not advance where a pattern or --pure decides.
  const wanted = !isQuantized(base) || options.pure ? base : undefined;
  const type = (isQuantized(base) ? chosen : undefined) ?? wanted ?? picker.pick(tensor);
  return isQuantized(tensor.type) ? tensor.type : typeForRow(type, tensor.ne[0] ?? 1);
}

/** Whether llama-quantize asks for an importance matrix: some matrix beside embedding and output has 3 bits or fewer (not the K types). */
export function needsImatrix(quantized: GgufModel, mix: string): boolean {
  const types: readonly GgmlType[] = ['iq3_xxs', 'iq2_xxs', 'iq2_xs', 'iq2_s', 'iq1_m', 'iq1_s'];
  const twoBit = findMix(mix) === 'q2_k_s';
  return quantized.tensors.some(({ name, type }) => {
    const kind = tensorKind(name);
    if (kind === 'tokenEmbd' || kind === 'output') return false;
    return types.includes(type) || (twoBit && type === 'q2_k');
  });
}

/** Bytes of all tensors, without the padding between them: what llama.cpp prints as `file size`. */
export function tensorDataBytes(model: GgufModel): number {
  return model.tensors.reduce((total, { type, ne }) => total + tensorBytes(type, ne), 0);
}
