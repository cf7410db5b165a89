// What a type costs in quality, as published for one model whose matrices all have it: the mixes that are pure, or nearly. A
// recipe's estimate adds these up by parameters; how much another model loses is unknown, their order and spacing is what counts.
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { ModuleScheme } from './types.ts';

export interface LossCurve {
  measure: string;
  source: string;
}

/**
 * Mean KL divergence of the next token from 16 bit, Llama-3-8B. The mix that stands for a type is the one with the fewest other
 * types: Q5_K_S, Q4_K_S and Q3_K_S for Q5_K, Q4_K and Q3_K; IQ2_M, whose base is IQ2_S. Q2_K has Q3_K in some tensors, so that
 * its own loss is higher than this.
 */
export const ggmlLossCurve: LossCurve = {
  measure: 'mean KL divergence from 16 bit, on the scale of Llama-3-8B',
  source: 'llama.cpp perplexity README, LLaMA 3 8b Scoreboard',
};

const sixteenBit = 0.000551;

/** Types that need no importance matrix. */
export const ggmlLoss: Partial<Record<GgmlType, number>> = {
  f32: sixteenBit,
  bf16: sixteenBit,
  f16: sixteenBit,
  q8_0: 0.001355,
  q6_k: 0.005452,
  q5_k: 0.016595,
  q5_1: 0.018045,
  q5_0: 0.022239,
  q4_k: 0.043136,
  q4_1: 0.071683,
  q4_0: 0.07194,
  q3_k: 0.228217,
  q2_k: 0.445132,
};

/** The same with an importance matrix (10 million tokens of WikiText); types that the table has without one only keep that figure. */
export const ggmlLossWithImatrix: Partial<Record<GgmlType, number>> = {
  ...ggmlLoss,
  q4_k: 0.031951,
  iq4_nl: 0.035742,
  iq4_xs: 0.036334,
  iq3_s: 0.111278,
  iq3_xxs: 0.183625,
  q3_k: 0.199821,
  iq2_s: 0.325989,
  q2_k: 0.40336,
  iq2_xs: 0.54629,
  iq2_xxs: 0.812022,
  iq1_m: 1.393084,
  iq1_s: 2.254554,
};

export type EightBit = 'fp8' | 'w8a16';

/** Percent of an average score that is lost; for either form of 8 bits a table that has 4 bits too. */
export const moduleLossCurves: Readonly<Record<EightBit, LossCurve & { loss: Partial<Record<ModuleScheme, number>> }>> =
  {
    fp8: {
      measure: 'percent of the OpenLLM v1 average, on the scale of Llama-3.1-8B-Instruct',
      source: 'RedHatAI model cards Meta-Llama-3.1-8B-Instruct-FP8-dynamic (99.7) and -quantized.w4a16 (98.9)',
      loss: { bf16: 0, fp8: 100 - 99.7, w4a16: 100 - 98.9 },
    },
    w8a16: {
      measure: 'percent of the average of MMLU, C-Eval and IFEval, on the scale of Qwen2-7B-Instruct',
      source: 'Qwen documentation, quantization benchmark: BF16 66.9, GPTQ-Int8 66.2, GPTQ-Int4 64.1',
      loss: { bf16: 0, w8a16: 100 - (100 * 66.2) / 66.9, w4a16: 100 - (100 * 64.1) / 66.9 },
    },
  };
