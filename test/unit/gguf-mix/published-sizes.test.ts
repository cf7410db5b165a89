// Sizes that publishers and llama.cpp itself print for quantized files, against the mixes over the presets' tensor lists.
import { describe, expect, it } from 'vitest';
import { applyMix } from '../../../src/accounting/gguf-mix/index.ts';
import { description, mixBytes, parameterCount, typeCounts } from './models.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;

describe('Llama-3.1-8B, the table of tools/quantize/README.md (b10256)', () => {
  // bits/weight as printed, no importance matrix.
  it.each([
    ['iq1_s', 2.0042],
    ['iq1_m', 2.146],
    ['iq2_xxs', 2.3824],
    ['iq2_xs', 2.5882],
    ['iq2_s', 2.7403],
    ['iq2_m', 2.9294],
    ['iq3_xxs', 3.2548],
    ['iq3_xs', 3.4977],
    ['iq3_s', 3.6606],
    ['iq3_m', 3.7628],
    ['iq4_xs', 4.4597],
    ['iq4_nl', 4.6818],
    ['q2_k_s', 2.9697],
    ['q2_k', 3.1593],
    ['q3_k_s', 3.6429],
    ['q3_k_m', 3.996],
    ['q3_k_l', 4.2979],
    ['q4_k_s', 4.6672],
    ['q4_k_m', 4.8944],
    ['q5_k_s', 5.5704],
    ['q5_k_m', 5.7036],
    ['q6_k', 6.5633],
    ['q8_0', 8.5008],
    ['f16', 16.0005],
  ])('%s has %f bits per weight', (mix, bitsPerWeight) => {
    const imatrix = mix === 'iq3_xxs';
    const bits = (8 * mixBytes('llama-3.1-8b', mix, { imatrix })) / parameterCount(description('llama-3.1-8b'));
    expect(Math.abs(bits - bitsPerWeight)).toBeLessThan(0.00006);
  });

  it('Q4_K_M holds 193 Q4_K, 33 Q6_K and 66 F32 tensors', () => {
    const counts = typeCounts(applyMix(description('llama-3.1-8b'), 'Q4_K_M'));
    expect(counts).toEqual({ q4_k: 193, q6_k: 33, f32: 66 });
  });
});

describe('buffers that llama.cpp prints add up to the file', () => {
  it.each([
    // Finetune of Llama-3-8B, 2024-06: 281.81 + 4403.49 MiB (no rope_freqs: 256 bytes less).
    ['llama-3-8b', 'q4_k_m', 281.81 + 4403.49],
    ['llama-3-8b', 'q4_0', 4437.82],
    // Llama 3.x 70B over RPC, 2025-08.
    ['llama-3.1-70b', 'q4_0', 18821.56 + 18725.42 + 563.62],
    // https://github.com/ggml-org/llama.cpp/issues/13729
    ['qwen3-30b-a3b', 'q4_k_m', 10750.86 + 6940.48],
  ])('%s %s', (id, mix, printedMiB) => {
    expect(Math.abs(mixBytes(id, mix) / MiB - printedMiB)).toBeLessThan(0.03);
  });

  it('Phi-3-mini Q4_K_M: 81 Q4_K, 32 Q5_K, 17 Q6_K (log of 2025-06), the rule of a fused attn_qkv', () => {
    const counts = typeCounts(applyMix(description('phi-3-mini-4k'), 'q4_k_m'));
    expect(counts).toMatchObject({ q4_k: 81, q5_k: 32, q6_k: 17 });
    const current = typeCounts(applyMix(description('phi-3-mini-4k'), 'q4_k_m', { rules: 'current' }));
    expect(current.q5_k).toBeUndefined();
  });
});

describe('LLaMA-7B, pull request 1684 (2023-06)', () => {
  it.each([
    ['q3_k_s', 2.75],
    ['q3_k_l', 3.35],
    ['q4_k_m', 3.8],
    ['q5_k_s', 4.33],
    ['q5_k_m', 4.45],
    ['q6_k', 5.15],
  ])('%s has %f GiB', (mix, gib) => {
    expect(Math.abs(mixBytes('llama-1-7b', mix) / GiB - gib)).toBeLessThan(0.006);
  });
});

/** All tables below were made with an importance matrix; a file is its tensors, its header and the tokenizer. */
describe('published tables of file sizes', () => {
  it.each([
    ['iq1_s', 14.29],
    ['iq1_m', 15.6],
    ['iq2_xxs', 17.79],
    ['iq2_xs', 19.69],
    ['iq2_s', 20.71],
    ['q2_k_s', 22.79],
    ['iq2_m', 22.46],
    ['q2_k', 24.56],
    ['iq3_xxs', 25.58],
    ['iq3_xs', 27.29],
    ['q3_k_s', 28.79],
    ['iq3_s', 28.79],
    ['iq3_m', 29.74],
    ['q3_k_m', 31.91],
    ['q3_k_l', 34.59],
    ['iq4_xs', 35.3],
    ['iq4_nl', 37.3],
    ['q4_k_s', 37.58],
    ['q4_k_m', 39.6],
    ['q5_k_s', 45.32],
    ['q5_k_m', 46.52],
    ['q6_k', 53.91],
    ['q8_0', 69.83],
  ])('Llama-3-70B %s: %f GiB (pull request 6745)', (mix, gib) => {
    const header = gib - mixBytes('llama-3-70b', mix, { imatrix: true }) / GiB;
    expect(header).toBeGreaterThan(0.001);
    expect(header).toBeLessThan(0.013);
  });

  it.each([
    ['iq1_s', 828],
    ['iq1_m', 882],
    ['iq2_xxs', 971],
    ['iq2_xs', 1050],
    ['iq2_s', 1101],
    ['iq2_m', 1173],
    ['q2_k_s', 1216],
    ['iq3_xxs', 1287],
    ['q2_k', 1301],
    ['iq3_xs', 1409],
    ['iq3_s', 1472],
    ['q3_k_s', 1472],
    ['iq3_m', 1526],
    ['q3_k_m', 1610],
    ['q3_k_l', 1732],
    ['iq4_xs', 1745],
    ['iq4_nl', 1829],
    ['q4_0', 1833],
    ['q4_k_s', 1839],
    ['q4_k_m', 1926],
    ['q4_1', 1997],
  ])('Llama-3.2-3B %s: %f MiB, 7.5 to 8.5 of them the header', (mix, mib) => {
    const header = mib - mixBytes('llama-3.2-3b', mix, { imatrix: true }) / MiB;
    expect(header).toBeGreaterThan(7.2);
    expect(header).toBeLessThan(8.6);
  });

  it.each([
    ['iq1_s', 417],
    ['iq1_m', 443],
    ['iq2_xxs', 488],
    ['iq2_xs', 525],
    ['iq2_s', 538],
    ['iq2_m', 574],
    ['q2_k_s', 611],
    ['iq3_xxs', 638],
    ['q2_k', 645],
    ['iq3_xs', 698],
    ['q3_k_s', 726],
    ['iq3_s', 728],
    ['iq3_m', 741],
    ['q3_k_m', 786],
    ['q3_k_l', 840],
    ['iq4_xs', 855],
    ['iq4_nl', 893],
    ['q4_0', 895],
    ['q4_k_s', 897],
    ['q4_k_m', 941],
    ['q4_1', 970],
    ['q5_k_s', 1048],
    ['q5_0', 1051],
    ['q5_k_m', 1073],
    ['q5_1', 1126],
    ['q6_k', 1214],
    ['q8_0', 1571],
  ])('Qwen2.5-1.5B %s: %f MiB, 5.5 to 6.7 of them the header', (mix, mib) => {
    const header = mib - mixBytes('qwen2.5-1.5b', mix, { imatrix: true }) / MiB;
    expect(header).toBeGreaterThan(5.4);
    expect(header).toBeLessThan(6.7);
  });
});

describe('whole files', () => {
  it.each([
    ['llama-3.1-8b', 'iq1_s', 2_011_791_616],
    ['llama-3.1-8b', 'iq2_m', 2_940_444_928],
    ['llama-3.1-8b', 'q2_k', 3_171_295_488],
    ['llama-3.1-8b', 'q3_k_s', 3_656_663_296],
    ['llama-3.1-8b', 'q3_k_m', 4_011_081_984],
    ['llama-3.1-8b', 'q3_k_l', 4_314_120_448],
    ['llama-3.1-8b', 'q4_k_s', 4_684_833_024],
    ['llama-3.1-8b', 'q4_k_m', 4_912_898_304],
    ['llama-3.1-8b', 'q5_k_s', 5_591_458_048],
    ['llama-3.1-8b', 'q5_k_m', 5_725_151_488],
    ['llama-3.1-8b', 'q6_k', 6_588_170_496],
    ['llama-3.1-8b', 'q8_0', 8_532_934_912],
    ['llama-3.1-8b', 'f16', 16_061_055_232],
    ['llama-3.1-70b', 'q4_k_m', 42_512_531_712],
    ['qwen3-30b-a3b', 'q4_k_m', 18_550_716_416],
    ['mixtral-8x7b', 'q4_k_m', 28_447_727_616],
  ])('%s %s: %i bytes of tensors', (id, mix, bytes) => {
    expect(mixBytes(id, mix)).toBe(bytes);
  });

  it('an importance matrix matters for IQ3_XXS and IQ4_XS', () => {
    expect(mixBytes('llama-3.1-8b', 'iq3_xxs', { imatrix: true })).toBe(3_267_076_352);
    expect(mixBytes('llama-3.1-8b', 'iq4_xs')).toBe(4_476_526_848);
    expect(mixBytes('llama-3.1-8b', 'iq4_xs', { imatrix: true })).toBe(4_439_826_688);
  });

  // Both files as their start-up logs name them (b9849): what is left is the same header and tokenizer.
  it('Gemma 4 Q4_0: E2B quantizes its per-layer embedding as the output', () => {
    const header12B = 6_975_879_296 - mixBytes('gemma-4-12b', 'q4_0');
    const headerE2B = 3_349_516_256 - mixBytes('gemma-4-e2b', 'q4_0', { rules: 'current' });
    expect(header12B).toBe(15_824_832);
    expect(Math.abs(headerE2B - header12B)).toBeLessThan(10_000);
  });
});
