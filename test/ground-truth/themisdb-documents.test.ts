// What ThemisDB's documents claim of memory (docs/llm/*.md, Feb 2026), on their very inputs: `vram plan` refuses what cannot run and
// says why. The templates themselves are in presets/deployments and planned in test/cli/deployments.test.ts.
import { describe, expect, it } from 'vitest';
import { GiB, sum } from '../../src/units.ts';
import { plan } from '../helpers/lines.ts';

describe('what its documents claim is refused, with the reason', () => {
  it.each([
    [
      '70B in 16 bit on two RTX 4090 ("35 GB per GPU")',
      '-m llama-2-70b -g "2x rtx4090" --tp 2',
      /weights alone need 64\.\d\d GiB/,
    ],
    [
      '70B in 16 bit on an A100 80GB ("model_weights: 28 GB")',
      '-m llama-2-70b -g a100-80gb-sxm',
      /weights alone need 128\.\d\d GiB/,
    ],
    [
      '13B in 16 bit on an RTX 4090 ("26GB with optimizations")',
      '-m llama-2-13b -g rtx4090',
      /weights alone need 24\.\d\d GiB/,
    ],
    ['13B in 16 bit on an RTX 3090', '-m llama-2-13b -g rtx3090', /weights alone need 24\.\d\d GiB/],
    [
      '70B in 4 bit on an RTX 4090 ("Max Model (Q4): 70B")',
      '-m llama-2-70b -q awq -g rtx4090',
      /weights alone need 34\.\d\d GiB/,
    ],
  ])('%s', async (_, line, reason) => {
    const { code, result } = await plan(`${line} --context 4096`);
    expect(code).toBe(1);
    expect(result.verdict.fits).toBe(false);
    expect(result.verdict.reason).toMatch(reason);
  });

  it('70B at 8K takes 2.5 GiB of cache, not 35 GB', async () => {
    const { result } = await plan('-m llama-3.1-70b -g "4x a100-80gb-sxm" --tp 4 --max-model-len 8192');
    expect(result.kvCache.bytesPerToken * 4 * 8192).toBe(2.5 * GiB);
  });

  it('grouped queries: 8 groups are 8 KV heads of 64 query heads: an eighth, not 4 heads drawn for it', async () => {
    const { result } = await plan('-m llama-2-70b -g h200-sxm --tp 1');
    const perHead = 2 * 80 * 128 * 2;
    expect(result.kvCache.bytesPerToken / perHead).toBe(8);
    expect((64 * perHead) / result.kvCache.bytesPerToken).toBe(8);
  });

  it('its tuning script prints 16 for a 7B model on 24 GB, its comment says 8: 4 sequences of 4,096 fit', async () => {
    const perBatchGB = (4096 * 128) / 1024 / 1024;
    expect(Math.floor((24 - 14 - 2) / perBatchGB)).toBe(16);
    const { result } = await plan('-m llama-2-7b -g rtx4090 --context 4096');
    expect(result.workload?.maxConcurrencyAtContext).toBe(4);
  });

  it('its context table counts 128 KiB a token for Llama-2-7B: 32K x 32 would be 512 GiB, and the model ends at 4,096', async () => {
    const { code, result } = await plan('-m llama-2-7b -g rtx4090 --max-model-len 32768');
    expect((524_288 * 32_768 * 32) / GiB).toBe(512);
    expect(code).toBe(1);
    expect(result.verdict.engineError).toContain('max_position_embeddings=4096');
  });

  it('the planner of the original takes whole bytes a weight only; 4-bit, 5-bit and FP8 weights are planned here', async () => {
    const sizes = await Promise.all(
      ['fp8', 'q5_k_m', 'awq'].map(async (scheme) => {
        const { result } = await plan(`-m llama-2-7b -q ${scheme} -g rtx4090 --context 4096`);
        return sum(result.devices.map(({ weights }) => weights.tensorBytes)) / GiB;
      }),
    );
    expect(sizes[0]).toBeGreaterThan(sizes[1]!);
    expect(sizes[1]).toBeGreaterThan(sizes[2]!);
    expect(sizes[2]).toBeGreaterThan(3.5);
  });
});
