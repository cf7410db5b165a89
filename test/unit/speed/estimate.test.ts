// The static speed estimate by laws that hold for any server, and beside the simulator, which runs the same step times through
// vLLM's scheduler step by step. What others measured is in test/ground-truth/speed.test.ts.
import { describe, expect, it } from 'vitest';
import { run as simulate } from '../../../src/commands/simulate.ts';
import { inProcess } from '../../ground-truth/in-process.ts';
import { deployed } from './helpers.ts';

const chat = { promptTokens: 512, outputTokens: 256 };
const GB = 1e9;

describe('one sequence', () => {
  it('cannot decode faster than its weights are read', async () => {
    const { speed } = await deployed('llama-3.1-70b', 'h100-sxm', { tensorParallelSize: 4 });
    const { tpotSeconds, decode } = speed({ concurrency: 1, ...chat });
    expect(tpotSeconds).toBeGreaterThan((141 * GB) / 4 / 3352e9);
    expect(tpotSeconds).toBeLessThan((2 * 141 * GB) / 4 / 3352e9);
    expect(decode.bound).toBe('memory');
    expect(decode.tokensPerSecond * tpotSeconds).toBeCloseTo(1, 6);
  });

  it('takes its first token and then the others one by one', async () => {
    const { speed } = await deployed('llama-3.1-8b', 'l40s');
    const { tpotSeconds, ttftSeconds, outputTokensPerSecond } = speed({ concurrency: 1, ...chat });
    const seconds = ttftSeconds + 255 * tpotSeconds;
    expect(256 / outputTokensPerSecond / seconds).toBeCloseTo(1, 1);
  });

  it('waits for PCIe where weights stay on the host', async () => {
    const offloaded = 8 * 2 ** 30;
    const { speed } = await deployed('llama-3.1-8b', 'rtx4090', { cpuOffloadBytes: offloaded });
    const { decode, prefill, tpotSeconds, assumptions } = speed({ concurrency: 1, ...chat });
    expect(tpotSeconds).toBeGreaterThan(offloaded / 31.5e9);
    expect([decode.bound, prefill.bound]).toEqual(['PCIe', 'PCIe']);
    expect(assumptions.join()).toContain('PCIe');
  });
});

describe('many sequences', () => {
  it('give more together and less each, up to what the cache holds', async () => {
    const { planned, speed } = await deployed('llama-3.1-8b', 'a100-80gb-sxm');
    const at = [1, 4, 16, 64, 256, 100_000].map((concurrency) => speed({ concurrency, ...chat }));
    for (const [before, after] of at.slice(1).map((next, i) => [at[i]!, next] as const)) {
      expect(after.outputTokensPerSecond).toBeGreaterThanOrEqual(before.outputTokensPerSecond);
      expect(after.loadedTpotSeconds).toBeGreaterThanOrEqual(before.loadedTpotSeconds);
      expect(after.outputTokensPerSecond).toBeLessThanOrEqual(after.decode.tokensPerSecond * 1.01);
    }
    const most = at.at(-1)!;
    expect(most.runningSequences).toBe(Math.min(planned.resolved.maxNumSeqs, planned.sequencesAt(640)));
    expect(most.assumptions.join()).toContain('of 100000 sequences run at once');
  });

  it('of two replicas are twice those of one, where nothing is shared', async () => {
    const one = (await deployed('llama-3.1-8b', 'h100-sxm')).speed({ concurrency: 16, ...chat });
    const two = (await deployed('llama-3.1-8b', 'h100-sxm', { dataParallelSize: 2 })).speed({
      concurrency: 32,
      ...chat,
    });
    expect(two.outputTokensPerSecond / one.outputTokensPerSecond).toBeCloseTo(2, 6);
    expect(two.loadedTpotSeconds).toBeCloseTo(one.loadedTpotSeconds, 9);
  });

  it('touch more experts: a step of 32 takes longer than its share of a dense one', async () => {
    const mixture = (await deployed('qwen3-30b-a3b', 'h100-sxm')).speed;
    const dense = (await deployed('qwen3-4b', 'h100-sxm')).speed;
    const ratio = (speed: typeof dense): number =>
      speed({ concurrency: 32, ...chat }).loadedTpotSeconds / speed({ concurrency: 1, ...chat }).tpotSeconds;
    expect(ratio(mixture)).toBeGreaterThan(1.5 * ratio(dense));
  });

  it('on PCIe cards wait for each other while they compute prompts in tensor parallel', async () => {
    const { speed } = await deployed('llama-3.1-70b', 'l40s', { tensorParallelSize: 4, quantization: 'fp8-dynamic' });
    expect(speed({ concurrency: 8, ...chat }).prefill.bound).toBe('network');
  });

  it('carry a range around every rate', async () => {
    const { speed } = await deployed('llama-3.1-8b', 'l4');
    const { decode, prefill, uncertaintyShare, ...loop } = speed({ concurrency: 8, ...chat });
    for (const { lowTokensPerSecond, tokensPerSecond, highTokensPerSecond } of [decode, prefill]) {
      expect(lowTokensPerSecond).toBeCloseTo(tokensPerSecond * (1 - uncertaintyShare), 6);
      expect(highTokensPerSecond).toBeCloseTo(tokensPerSecond * (1 + uncertaintyShare), 6);
    }
    expect(loop.lowOutputTokensPerSecond).toBeLessThan(loop.outputTokensPerSecond);
    expect(loop.highOutputTokensPerSecond).toBeGreaterThan(loop.outputTokensPerSecond);
  });
});

describe('beside the simulator', () => {
  it.each([
    { requests: 512, promptTokens: 1024, outputTokens: 128 },
    { requests: 256, promptTokens: 4000, outputTokens: 200 },
    { requests: 32, promptTokens: 256, outputTokens: 256 },
  ])('$requests requests of $promptTokens and $outputTokens tokens at once', async ({ requests, ...lengths }) => {
    const { speed } = await deployed('llama-3.1-8b', 'a100-80gb-sxm');
    const words = '-m llama-3.1-8b -g a100-80gb-sxm --engine vllm@0.19.0 --max-model-len 8192 --json'.split(' ');
    const workload = `random:input=${lengths.promptTokens},output=${lengths.outputTokens}`;
    const { out } = await inProcess(simulate, [...words, '--workload', workload, '--limit', String(requests)]);
    const simulated = JSON.parse(out).result.throughput.outputTokensPerSecond as number;
    const estimated = speed({ concurrency: requests, ...lengths }).outputTokensPerSecond;
    expect(Math.abs(estimated / simulated - 1)).toBeLessThan(0.1);
  });
});
