// Devices without CUDA, and replicas: figures stay numbers that add up, and say how sure they are.
import { describe, expect, it } from 'vitest';
import { loadPresets } from '../../../src/load/presets.ts';
import type { PlanOutput } from '../../../src/plan/output.ts';
import { runPlan } from '../../helpers/run.ts';

async function plan(...args: string[]): Promise<PlanOutput> {
  const { output, errors } = await runPlan([...args, '--json']);
  if (!output) throw new Error(errors);
  return output;
}

describe('devices without CUDA', () => {
  const others = loadPresets('gpus').filter(({ vendor }) => vendor !== 'nvidia');

  it.each(['0.7.3', '0.19.0', '0.33.0'])('have whole figures that add up in %s', async (version) => {
    for (const { id, vendor } of others) {
      const { result, diagnostics } = await plan('-m', 'llama-3.2-1b', '-g', id, '--engine', `vllm@${version}`);
      const [device] = result.devices;
      const total = device!.items.reduce((sum, { bytes }) => sum + bytes, 0);
      expect(total, id).toBe(device!.totalBytes);
      expect(JSON.stringify(result), id).not.toMatch(/NaN|null,"bytes"/);
      expect(Number.isSafeInteger(result.kvCache.tokens), id).toBe(true);
      const isWarned = diagnostics.some(({ code }) => code === 'VRAM514');
      expect(isWarned, id).toBe(vendor !== 'amd');
      if (vendor !== 'amd')
        for (const item of device!.items)
          expect(['derived', 'estimated'], `${id} ${item.id}`).toContain(item.confidence);
    }
  });

  it('pads the experts of gpt-oss on AMD to 256, in some releases to 128 before CDNA 4', async () => {
    const experts = (hidden: number, inner: number): number =>
      24 * 32 * (3 * hidden * inner * (1 / 2 + 1 / 32) + 4 * (2 * inner + hidden));
    const weights = async (gpu: string, version: string): Promise<number> =>
      (await plan('-m', 'gpt-oss-20b', '-g', gpu, '--engine', `vllm@${version}`)).result.devices[0]!.weights
        .tensorBytes;
    expect((await weights('mi355x', '0.15.1')) - (await weights('mi300x', '0.15.1'))).toBe(
      experts(3072, 3072) - experts(2944, 2944),
    );
    expect(await weights('mi300x', '0.20.2')).toBe(await weights('mi355x', '0.20.2'));
  });
});

describe('replicas', () => {
  it('divide the requirement between them', async () => {
    const asked = ['-m', 'llama-3.1-8b', '-g', 'h100-sxm', '--context', '8192', '--concurrency', '100'];
    const one = (await plan(...asked)).result;
    const { result: two, diagnostics } = await plan(...asked, '--dp', '2');
    expect(two.devices).toHaveLength(1);
    expect(two.workload!.maxConcurrencyAtContext).toBe(2 * one.workload!.maxConcurrencyAtContext);
    expect([one.workload!.fits, two.workload!.fits]).toEqual([false, true]);
    expect(diagnostics.map(({ code }) => code)).toContain('VRAM515');
  });

  it('of dense models stand alone from 0.14 on', async () => {
    const communication = async (version: string, model: string): Promise<number> =>
      (
        await plan('-m', model, '-g', 'h100-sxm', '--dp', '2', '--engine', `vllm@${version}`)
      ).result.devices[0]!.items.find(({ id }) => id === 'communication')!.bytes;
    expect(await communication('0.15.1', 'llama-3.1-8b')).toBe(0);
    expect(await communication('0.13.0', 'llama-3.1-8b')).toBeGreaterThan(0);
    expect(await communication('0.15.1', 'qwen3-30b-a3b')).toBeGreaterThan(0);
  });

  it('share the experts whether whole or cut', async () => {
    const weights = async (...args: string[]): Promise<number> =>
      (await plan('-m', 'qwen3-30b-a3b', '-g', 'h200-sxm', ...args)).result.devices[0]!.weights.tensorBytes;
    const experts = 48 * 128 * 3 * 2048 * 768 * 2;
    const all = await weights();
    expect(all - (await weights('--dp', '2'))).toBe(experts / 2);
    // Whole experts come with a map of which rank has which.
    expect(Math.abs(all - (await weights('--dp', '2', '--enable-expert-parallel')) - experts / 2)).toBeLessThan(1e6);
  });
});
