// Block scales of FP8 experts on Blackwell: as loaded for TRTLLM, a row's exponents packed for DeepGEMM.
import { describe, expect, it } from 'vitest';
import { rankWeights } from '../../../src/engines/vllm/weights/index.ts';
import { weightsInput } from './input.ts';

const experts = (version: string, capability: string): number => {
  const planned = rankWeights(weightsInput({ model: 'qwen3-30b-a3b-fp8', version, capability }));
  if ('error' in planned) throw new Error(planned.error);
  return planned.parts.experts!;
};

const values = 48 * 128 * 3 * 2048 * 768;
/** float32 per 128 x 128 values; four exponents in an int32 along each row. */
const asLoaded = values + (values / 128 / 128) * 4;
const packed = values + 48 * 128 * (2 * 768 * Math.ceil(2048 / 512) + 2048 * Math.ceil(768 / 512)) * 4;

describe('experts with block scales', () => {
  it.each([
    ['0.33.0', '9.0', asLoaded],
    ['0.14.1', '10.0', packed],
    ['0.19.1', '10.0', asLoaded],
    ['0.33.0', '10.3', asLoaded],
    ['0.20.2', '12.0', asLoaded],
    ['0.24.0', '12.0', packed],
    ['0.33.0', '11.0', asLoaded],
  ])('%s on %s', (version, capability, bytes) => {
    expect(experts(version, capability)).toBe(bytes);
  });
});
