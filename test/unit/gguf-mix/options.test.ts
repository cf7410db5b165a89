// llama-quantize's options over the mixes, and the cases that llama-quant.cpp treats apart.
import { describe, expect, it } from 'vitest';
import { applyMix, findMix, mixNames, mixOfFileType, needsImatrix } from '../../../src/accounting/gguf-mix/index.ts';
import { description, typeCounts, typesOf } from './models.ts';

describe('names of mixes', () => {
  it('are those of llama-quantize, in any case', () => {
    expect(findMix('Q4_K')).toBe('q4_k_m');
    expect(findMix('MXFP4_MOE')).toBe('mxfp4_moe');
    expect(findMix('q4_k_xl')).toBeUndefined();
    expect(findMix('constructor')).toBeUndefined();
    expect(mixNames).toHaveLength(35);
  });

  it('follow general.file_type', () => {
    expect(mixOfFileType(15)).toBe('q4_k_m');
    expect(mixOfFileType(7)).toBe('q8_0');
    expect(mixOfFileType(33)).toBeUndefined();
  });
});

describe('options', () => {
  const model = description('llama-3.1-8b');

  it('--output-tensor-type and --token-embedding-type name the two tables', () => {
    const types = typesOf(applyMix(model, 'q4_k_m', { outputTensorType: 'q8_0', tokenEmbdType: 'q5_k' }));
    expect(types['output.weight']).toBe('q8_0');
    expect(types['token_embd.weight']).toBe('q5_k');
  });

  it('--tensor-type: the first pattern decides, and the tensors it names are not counted', () => {
    const overrides = [
      { pattern: 'blk\\.0\\.attn_v', type: 'q8_0' as const },
      { pattern: 'attn_v', type: 'q5_k' as const },
    ];
    const types = typesOf(applyMix(model, 'q4_k_m', { overrides }));
    expect(types['blk.0.attn_v.weight']).toBe('q8_0');
    expect(types['blk.31.attn_v.weight']).toBe('q5_k');
    expect(types['blk.0.ffn_down.weight']).toBe('q6_k');
  });

  it('--pure gives every matrix the base type', () => {
    expect(typeCounts(applyMix(model, 'q4_k_m', { pure: true }))).toEqual({ q4_k: 226, f32: 66 });
  });

  it('--leave-output-tensor keeps the type of the source', () => {
    expect(typesOf(applyMix(model, 'q4_k_m', { leaveOutputTensor: true }))['output.weight']).toBe('bf16');
  });

  it('a tied output takes --output-tensor-type on the embedding', () => {
    const tied = applyMix(description('llama-3.2-1b'), 'q4_k_m', { outputTensorType: 'q8_0' });
    expect(typesOf(tied)['token_embd.weight']).toBe('q8_0');
  });

  it('1- and 2-bit types need an importance matrix', () => {
    expect(needsImatrix(applyMix(model, 'iq2_xs'), 'iq2_xs')).toBe(true);
    expect(needsImatrix(applyMix(model, 'q2_k_s'), 'q2_k_s')).toBe(true);
    expect(needsImatrix(applyMix(model, 'q2_k'), 'q2_k')).toBe(false);
  });
});

describe('cases of their own', () => {
  it('eight experts: attention in Q8_0 and Q5_K', () => {
    const types = typesOf(applyMix(description('mixtral-8x7b'), 'q4_k_m'));
    expect(types['blk.3.attn_v.weight']).toBe('q8_0');
    expect(types['blk.3.attn_k.weight']).toBe('q8_0');
    expect(types['blk.3.attn_output.weight']).toBe('q5_k');
    expect(types['blk.3.attn_q.weight']).toBe('q4_k');
  });

  it('70B models spare V, the 65B without grouped heads does not', () => {
    expect(typesOf(applyMix(description('llama-3.1-70b'), 'q4_k_m'))['blk.11.attn_v.weight']).toBe('q5_k');
    expect(typesOf(applyMix(description('qwen2.5-72b'), 'q4_k_m'))['blk.11.attn_v.weight']).toBe('q5_k');
    expect(typesOf(applyMix(description('llama-1-65b'), 'q4_k_m'))['blk.11.attn_v.weight']).toBe('q4_k');
  });

  it('rows that are no whole blocks fall back to blocks of 32', () => {
    // 896 values a row: no whole block of 256.
    const types = typesOf(applyMix(description('qwen2.5-0.5b'), 'q4_k_m'));
    expect(types['blk.5.attn_q.weight']).toBe('q5_0');
    expect(types['token_embd.weight']).toBe('q8_0');
    const low = typesOf(applyMix(description('qwen2.5-0.5b'), 'iq2_xs'));
    expect(low['blk.5.attn_q.weight']).toBe('iq4_nl');
  });

  it('gpt-oss: the experts stay MXFP4 whatever the mix', () => {
    const types = typesOf(applyMix(description('gpt-oss-20b'), 'q4_k_m'));
    expect(types['blk.0.ffn_up_exps.weight']).toBe('mxfp4');
    expect(types['blk.0.attn_q.weight']).toBe('q5_0');
    expect(typesOf(applyMix(description('gpt-oss-20b'), 'mxfp4'))['blk.0.attn_q.weight']).toBe('q8_0');
  });

  it('norms, routers, biases and convolutions keep the 32 bits of the source', () => {
    const types = typesOf(applyMix(description('granite-4.0-h-small'), 'q2_k'));
    for (const name of ['ffn_gate_inp.weight', 'ssm_conv1d.weight', 'ssm_norm.weight', 'ssm_a', 'ssm_dt.bias']) {
      expect(types[`blk.0.${name}`]).toBe('f32');
    }
  });
});
