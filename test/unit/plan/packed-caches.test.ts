// Packed KV caches where the kernel decides: NVFP4 outside Blackwell, scales per token and head beside narrower values.
import { describe, expect, it } from 'vitest';
import type { PlanOutput } from '../../../src/plan/output.ts';
import { runPlan } from '../../helpers/run.ts';

async function plan(
  model: string,
  gpu: string,
  version: string,
  cache: string,
  tp = '1',
): Promise<PlanOutput['result']> {
  const args = ['-m', model, '-g', gpu, '--engine', `vllm@${version}`, '--kv-cache-dtype', cache, '--tp', tp, '--json'];
  const { output, errors } = await runPlan(args);
  if (!output) throw new Error(errors);
  return output.result;
}

describe('NVFP4 on FlashInfer', () => {
  /** flashinfer.py supports_combination: "fa2 prefill misreads an NVFP4 KV cache at head_size 64". */
  it.each(['rtx4090', 'h100-sxm', 'rtx5090'])('refuses heads of 64 on %s', async (gpu) => {
    expect((await plan('llama-3.2-1b', gpu, '0.33.0', 'nvfp4')).verdict.engineError).toContain('head_size=64');
    expect((await plan('llama-3.1-8b', gpu, '0.33.0', 'nvfp4')).kvCache.bytesPerBlock).toBe(32 * 16 * 2 * 8 * (64 + 8));
  });

  it('takes them on B200, and the scale search nowhere else', async () => {
    expect((await plan('llama-3.2-1b', 'b200', '0.33.0', 'nvfp4')).verdict.engineError).toBeNull();
    expect((await plan('llama-3.1-8b', 'b200', '0.33.0', 'nvfp4_4over6')).verdict.engineError).toBeNull();
    expect((await plan('llama-3.1-8b', 'h100-sxm', '0.33.0', 'nvfp4_4over6')).verdict.engineError).not.toBeNull();
  });
});

describe('scales per token and head', () => {
  const page = async (gpu: string, version: string): Promise<number> =>
    (await plan('mimo-v2-flash', gpu, version, 'int8_per_token_head', '4')).kvCache.groups[1]!.pageBytes;

  /** Two KV heads a rank in window layers, keys of 192, values of 128, blocks of 16. */
  it('are no part of a page of FLASH_ATTN_DIFFKV from 0.28 on', async () => {
    expect(await page('h200-sxm', '0.27.1')).toBe(16 * 2 * (192 + 4 + 128 + 4));
    expect(await page('h200-sxm', '0.33.0')).toBe(16 * 2 * (192 + 128));
    expect(await page('a100-80gb-sxm', '0.33.0')).toBe(16 * 2 * (192 + 4 + 128 + 4));
  });
});
