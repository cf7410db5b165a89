// The quantization mixes of llama-quantize as data: which type a mix gives to which kind of tensor, and under what condition.
// Law: src/llama-quant.cpp llama_tensor_get_type_impl and llama_ftype_get_default_type (v0.5.0); numbers of general.file_type:
// include/llama.h. What holds for every mix alike (rows that are no whole blocks, the 70B and eight-expert models) is in pick.ts.
import type { GgmlType } from '../../spec/ggml-types.ts';

/**
 * What a rule asks. `i` counts as described in pick.ts; eighths and sixteenths are of the number of blocks, rounded down.
 * more: i in the first or last eighth, or every third between; middle: neither in the first nor in the last eighth.
 */
export type Condition =
  | 'first-eighth'
  | 'first-sixteenth'
  | 'first-two'
  | 'first-four'
  | 'middle'
  | 'more'
  | 'gqa-4'
  | 'experts-4'
  | 'experts-8'
  | 'imatrix'
  | 'no-imatrix'
  | 'falcon'
  | 'not-falcon';

/** The type, if all conditions hold. The first rule that applies decides; none: the mix's base type. */
export type Rule = readonly [GgmlType, ...Condition[]];

/** Kinds of tensors with rules of their own; everything else takes the base type. */
export type Kind =
  | 'tokenEmbd'
  | 'attnQ'
  | 'attnK'
  | 'attnV'
  | 'attnQkv'
  | 'attnOutput'
  | 'ffnDown'
  | 'ffnGate'
  | 'ffnUp';

export interface Mix {
  /** general.file_type. */
  fileType: number;
  /** Type of every matrix that no rule names. */
  base: GgmlType;
  /** Type of output.weight, or of token_embd.weight where there is none. */
  output: GgmlType;
  rules: Partial<Record<Kind, readonly Rule[]>>;
  /** 1 and 2 bits: blocks count by the tensors seen, and neither the 70B nor the eight-expert rule of attn_v applies. */
  lowBit?: boolean;
}

const plain = (fileType: number, type: GgmlType, output: GgmlType = type): Mix => ({
  fileType,
  base: type,
  output,
  rules: {},
});

/** The 1- and 2-bit mixes differ in the type that spares the sensitive tensors, and in attn_output. */
function lowBit(fileType: number, base: GgmlType, spare: GgmlType, attnOutput: readonly Rule[]): Mix {
  return {
    fileType,
    base,
    output: 'q5_k',
    lowBit: true,
    rules: {
      tokenEmbd: [[spare]],
      attnV: [['q4_k', 'gqa-4'], ['q4_k', 'experts-4'], [spare]],
      attnK: [['q4_k', 'experts-8']],
      ffnDown: [[spare, 'first-eighth']],
      attnOutput: [['q5_k', 'experts-8'], ...attnOutput],
    },
  };
}

const eightExperts: Rule = ['q5_k', 'experts-8'];
const ternaryEmbedding: readonly Rule[] = [['q4_k']];

export const mixes = {
  f32: plain(0, 'f32'),
  f16: plain(1, 'f16'),
  bf16: plain(32, 'bf16'),
  q8_0: plain(7, 'q8_0'),
  q4_1: plain(3, 'q4_1', 'q6_k'),
  q5_1: plain(9, 'q5_1', 'q6_k'),
  q4_0: { ...plain(2, 'q4_0', 'q6_k'), rules: { ffnDown: [['q4_1', 'imatrix', 'first-eighth']] } },
  q5_0: { ...plain(8, 'q5_0', 'q6_k'), rules: { ffnDown: [['q5_1', 'imatrix', 'first-eighth']] } },
  q1_0: plain(40, 'q1_0', 'q6_k'),
  q2_0: { ...plain(41, 'q2_0', 'q6_k'), rules: { tokenEmbd: ternaryEmbedding } },
  tq1_0: { ...plain(36, 'tq1_0', 'q6_k'), rules: { tokenEmbd: ternaryEmbedding } },
  tq2_0: { ...plain(37, 'tq2_0', 'q6_k'), rules: { tokenEmbd: ternaryEmbedding } },
  // Expert tensors in MXFP4, all others in Q8_0: pick.ts.
  mxfp4_moe: plain(38, 'mxfp4', 'q8_0'),

  q2_k_s: {
    fileType: 21,
    base: 'q2_k',
    output: 'q6_k',
    rules: { attnV: [['q4_k', 'gqa-4']], ffnDown: [['q4_k', 'first-eighth']] },
  },
  q2_k: {
    fileType: 10,
    base: 'q2_k',
    output: 'q6_k',
    rules: {
      attnV: [['q4_k', 'gqa-4'], ['q3_k']],
      ffnDown: [['q3_k']],
      attnOutput: [eightExperts, ['q3_k', 'not-falcon']],
    },
  },
  q3_k_s: { fileType: 11, base: 'q3_k', output: 'q6_k', rules: { attnOutput: [eightExperts] } },
  q3_k_m: {
    fileType: 12,
    base: 'q3_k',
    output: 'q6_k',
    rules: {
      attnV: [['q5_k', 'first-two'], ['q4_k']],
      attnQkv: [['q4_k']],
      ffnDown: [
        ['q5_k', 'first-sixteenth'],
        ['q4_k', 'not-falcon'],
        ['q4_k', 'more'],
      ],
      attnOutput: [eightExperts, ['q4_k', 'not-falcon']],
    },
  },
  q3_k_l: {
    fileType: 13,
    base: 'q3_k',
    output: 'q6_k',
    rules: {
      attnV: [['q5_k']],
      attnQkv: [['q4_k']],
      ffnDown: [['q4_k', 'falcon'], ['q5_k']],
      // The only mix of its size that leaves attn_output of eight-expert models at the base type.
      attnOutput: [['q4_k', 'falcon'], ['q3_k', 'experts-8'], ['q5_k']],
    },
  },
  q4_k_s: {
    fileType: 14,
    base: 'q4_k',
    output: 'q6_k',
    rules: {
      attnV: [['q5_k', 'first-four']],
      ffnDown: [['q5_k', 'not-falcon', 'first-eighth']],
      attnOutput: [eightExperts],
    },
  },
  q4_k_m: {
    fileType: 15,
    base: 'q4_k',
    output: 'q6_k',
    rules: {
      attnV: [['q6_k', 'more']],
      attnQkv: [['q5_k']],
      ffnDown: [
        ['q6_k', 'not-falcon', 'more'],
        ['q6_k', 'falcon', 'first-sixteenth'],
        ['q5_k', 'falcon', 'more'],
      ],
      attnOutput: [eightExperts],
    },
  },
  q5_k_s: plain(16, 'q5_k', 'q6_k'),
  q5_k_m: {
    fileType: 17,
    base: 'q5_k',
    output: 'q6_k',
    rules: { attnV: [['q6_k', 'more']], attnQkv: [['q6_k']], ffnDown: [['q6_k', 'more']] },
  },
  q6_k: plain(18, 'q6_k'),

  iq1_s: lowBit(24, 'iq1_s', 'q2_k', [['iq2_xxs']]),
  iq1_m: lowBit(31, 'iq1_m', 'q2_k', [['iq2_xxs']]),
  iq2_xxs: lowBit(19, 'iq2_xxs', 'q2_k', []),
  iq2_xs: lowBit(20, 'iq2_xs', 'q2_k', []),
  // IQ2_S and IQ2_M are one step below their names in most tensors.
  iq2_s: lowBit(28, 'iq2_xs', 'iq3_s', [['iq3_s']]),
  iq2_m: lowBit(29, 'iq2_s', 'iq3_s', [['iq3_s']]),
  iq3_xxs: {
    fileType: 23,
    base: 'iq3_xxs',
    output: 'q5_k',
    rules: {
      tokenEmbd: [['iq3_s']],
      attnV: [
        ['q4_k', 'gqa-4'],
        ['iq3_s', 'no-imatrix'],
      ],
      attnK: [['iq2_s']],
      attnQ: [['iq2_s']],
      ffnDown: [
        ['q4_k', 'no-imatrix', 'first-eighth'],
        ['q3_k', 'no-imatrix'],
      ],
      attnOutput: [eightExperts, ['iq3_s', 'not-falcon']],
    },
  },
  iq3_xs: {
    fileType: 22,
    base: 'iq3_s',
    output: 'q6_k',
    rules: {
      attnV: [['q4_k', 'gqa-4']],
      attnK: [['iq3_xxs']],
      attnQ: [['iq3_xxs']],
      ffnGate: [['iq3_xxs', 'middle']],
      ffnUp: [['iq3_xxs', 'middle']],
      attnOutput: [eightExperts],
    },
  },
  iq3_s: {
    fileType: 26,
    base: 'iq3_s',
    output: 'q6_k',
    rules: { attnV: [['q4_k', 'gqa-4']], attnOutput: [eightExperts] },
  },
  iq3_m: {
    fileType: 27,
    base: 'iq3_s',
    output: 'q6_k',
    rules: {
      attnV: [['q4_k']],
      attnQkv: [['q4_k']],
      ffnDown: [
        ['q4_k', 'first-eighth'],
        ['q4_k', 'experts-8', 'more'],
      ],
      attnOutput: [eightExperts, ['q4_k', 'not-falcon']],
    },
  },
  iq4_xs: {
    fileType: 30,
    base: 'iq4_xs',
    output: 'q6_k',
    rules: {
      attnV: [['q5_k', 'gqa-4']],
      ffnDown: [['q5_k', 'no-imatrix', 'first-eighth']],
      attnOutput: [eightExperts],
    },
  },
  iq4_nl: {
    fileType: 25,
    base: 'iq4_nl',
    output: 'q6_k',
    rules: {
      attnV: [['q5_k', 'gqa-4']],
      ffnDown: [['q5_k', 'no-imatrix', 'first-eighth']],
      attnOutput: [eightExperts],
    },
  },
} as const satisfies Record<string, Mix>;

export type MixName = keyof typeof mixes;
export const mixNames = Object.keys(mixes) as MixName[];

const aliases: Readonly<Record<string, MixName>> = {
  q3_k: 'q3_k_m',
  q4_k: 'q4_k_m',
  q5_k: 'q5_k_m',
  mxfp4: 'mxfp4_moe',
};

/** The mix of this name in any case, as llama-quantize takes it; undefined: no such mix. */
export function findMix(text: string): MixName | undefined {
  const name = text.toLowerCase();
  if (Object.hasOwn(mixes, name)) return name as MixName;
  return Object.hasOwn(aliases, name) ? aliases[name] : undefined;
}

/** The mix whose number general.file_type holds. */
export function mixOfFileType(fileType: number): MixName | undefined {
  return mixNames.find((name) => mixes[name].fileType === fileType);
}
