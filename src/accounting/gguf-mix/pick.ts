// One type for one tensor: the rules of a mix, then what holds for all mixes. The counters are llama-quantize's own: attn_v
// counts the tensors seen; the feed-forward tensors count so too in dense models, but by block number where there are experts.
// Law: src/llama-quant.cpp llama_tensor_get_type_impl, tensor_type_fallback.
import { type GgmlType, ggmlTypes } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import type { Condition, Mix, MixName, Rule } from './mixes.ts';
import { mixes } from './mixes.ts';
import { blockOf, type TensorKind, tensorKind } from './tensors.ts';

/**
 * older: a fused attn_qkv has rules of its own, and attn_kv_b and per_layer_token_embd have none (every file made before the
 * categories of early 2026, between b6673 and b8390). current: attn_qkv and attn_kv_b are treated as attn_v, and
 * per_layer_token_embd as token_embd.
 */
export type MixRules = 'older' | 'current';

/** Facts of the model that rules ask for. */
export interface QuantizedModel {
  architecture: string;
  blocks: number;
  gqa: number;
  experts: number;
  is70B: boolean;
  tied: boolean;
}

/** Blocks of the models that llama.cpp calls 70B (load_arch_hparams): their attn_v never goes below Q5_K. */
const blocksOf70B: Readonly<Record<string, number>> = { llama: 80, deci: 80, olmo: 80, qwen2: 80, jais2: 68 };

export function quantizedModel(model: GgufModel): QuantizedModel {
  const first = (key: string) => {
    const value = model.metadata[key];
    return Number((Array.isArray(value) ? value[0] : value) ?? 0);
  };
  const heads = first('attention.head_count');
  const kvHeads = model.metadata['attention.head_count_kv'] === undefined ? heads : first('attention.head_count_kv');
  const blocks = first('block_count');
  const experts = first('expert_count');
  const llama65B = model.architecture === 'llama' && (heads === kvHeads || experts === 8);
  return {
    architecture: model.architecture,
    blocks,
    gqa: kvHeads > 0 ? Math.floor(heads / kvHeads) : 0,
    experts,
    is70B: blocksOf70B[model.architecture] === blocks - first('nextn_predict_layers') && !llama65B,
    tied: !model.tensors.some((tensor) => tensor.name === 'output.weight'),
  };
}

interface Counters {
  attnV: number;
  ffnDown: number;
  ffnGate: number;
  ffnUp: number;
}

export interface PickOptions {
  imatrix: boolean;
  rules: MixRules;
  /** Takes the place of the mix's type for the output. */
  outputTensorType?: GgmlType | undefined;
}

/** Picks types tensor by tensor, in visiting order: it counts as it goes. */
export class TypePicker {
  private readonly counters: Counters = { attnV: 0, ffnDown: 0, ffnGate: 0, ffnUp: 0 };
  private readonly model: QuantizedModel;
  private readonly name: MixName;
  private readonly mix: Mix;
  private readonly options: PickOptions;
  private readonly valueTensors: number;

  constructor(model: GgufModel, name: MixName, options: PickOptions) {
    this.model = quantizedModel(model);
    this.name = name;
    this.mix = mixes[name];
    this.options = options;
    this.valueTensors = model.tensors.filter(({ name }) =>
      ['attnV', 'attnQkv', 'attnKvB'].includes(tensorKind(name)),
    ).length;
  }

  pick(tensor: GgufTensor): GgmlType {
    const kind = this.kindOf(tensor.name);
    if (kind === 'output') return this.outputType(tensor);
    if (this.name === 'mxfp4_moe') return this.isExpertStack(tensor, kind) ? 'mxfp4' : 'q8_0';
    if (kind === 'other' || kind === 'attnKvB') return this.mix.base;
    const rule = this.mix.rules[kind]?.find((candidate) => this.applies(candidate, kind, tensor.name));
    const type = this.forAllMixes(kind, rule?.[0] ?? this.mix.base);
    if (kind === 'attnV' || kind === 'ffnDown' || kind === 'ffnGate' || kind === 'ffnUp') this.counters[kind]++;
    return type;
  }

  /** The kind that the rules see, older or current. */
  private kindOf(name: string): TensorKind {
    const kind = tensorKind(name);
    const current = this.options.rules === 'current';
    if ((kind === 'attnQkv' || kind === 'attnKvB') && current) return 'attnV';
    if (kind === 'tokenEmbd' && this.model.tied && (current || name === 'token_embd.weight')) return 'output';
    return kind;
  }

  private outputType(tensor: GgufTensor): GgmlType {
    if (this.options.outputTensorType) return this.options.outputTensorType;
    const whole = (tensor.ne[0] ?? 0) % ggmlTypes[this.mix.base].block === 0;
    return this.model.architecture === 'falcon' || !whole ? 'q8_0' : this.mix.output;
  }

  /** MLA's projections have three dimensions too; only bailingmoe3 is told apart by name. */
  private isExpertStack(tensor: GgufTensor, kind: TensorKind): boolean {
    if ((tensor.ne[2] ?? 1) <= 1) return false;
    return this.model.architecture !== 'bailingmoe3' || kind === 'ffnUp' || kind === 'ffnGate' || kind === 'ffnDown';
  }

  /** The 70B models share a V among eight heads, Mixtral's attention is small: more bits cost little there. */
  private forAllMixes(kind: TensorKind, type: GgmlType): GgmlType {
    if (this.mix.lowBit) return type;
    if (kind === 'attnK') return this.model.experts === 8 ? 'q8_0' : type;
    if (kind !== 'attnV') return type;
    if (this.model.experts === 8) return 'q8_0';
    return this.model.is70B && (type === 'q3_k' || type === 'q4_k') ? 'q5_k' : type;
  }

  private applies([, ...conditions]: Rule, kind: TensorKind, name: string): boolean {
    const [i, of] = this.position(kind, name);
    return conditions.every((condition) => this.holds(condition, i, of));
  }

  private position(kind: TensorKind, name: string): [i: number, of: number] {
    const { blocks, experts } = this.model;
    if (kind === 'attnV') return [this.counters.attnV, this.valueTensors];
    if (kind !== 'ffnDown' && kind !== 'ffnGate' && kind !== 'ffnUp') return [0, blocks];
    return [experts > 1 && !this.mix.lowBit ? blockOf(name) : this.counters[kind], blocks];
  }

  private holds(condition: Condition, i: number, of: number): boolean {
    const eighth = Math.floor(of / 8);
    const lastEighth = Math.floor((7 * of) / 8);
    const falcon = this.model.architecture === 'falcon';
    switch (condition) {
      case 'first-eighth':
        return i < eighth;
      case 'first-sixteenth':
        return i < Math.floor(of / 16);
      case 'first-two':
        return i < 2;
      case 'first-four':
        return i < 4;
      case 'middle':
        return i >= eighth && i < lastEighth;
      case 'more':
        return i < eighth || i >= lastEighth || (i - eighth) % 3 === 2;
      case 'gqa-4':
        return this.model.gqa >= 4;
      case 'experts-4':
        return this.model.experts >= 4;
      case 'experts-8':
        return this.model.experts === 8 && !falcon;
      case 'imatrix':
        return this.options.imatrix;
      case 'no-imatrix':
        return !this.options.imatrix;
      case 'falcon':
        return falcon;
      case 'not-falcon':
        return !falcon;
    }
  }
}

const fallbacks: Partial<Record<GgmlType, GgmlType>> = {
  iq1_s: 'iq4_nl',
  iq1_m: 'iq4_nl',
  iq2_xxs: 'iq4_nl',
  iq2_xs: 'iq4_nl',
  iq2_s: 'iq4_nl',
  iq3_xxs: 'iq4_nl',
  iq3_s: 'iq4_nl',
  iq4_xs: 'iq4_nl',
  q2_0: 'q4_0',
  q2_k: 'q4_0',
  q3_k: 'q4_0',
  tq1_0: 'q4_0',
  tq2_0: 'q4_0',
  q4_k: 'q5_0',
  q5_k: 'q5_1',
  q6_k: 'q8_0',
};

/** The type that a row of this length can have: the type itself, one with blocks of 32, or F16. */
export function typeForRow(type: GgmlType, values: number): GgmlType {
  if (values % ggmlTypes[type].block === 0) return type;
  const smaller = fallbacks[type] ?? 'f16';
  return values % ggmlTypes[smaller].block === 0 ? smaller : 'f16';
}
