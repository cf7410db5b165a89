// What the step-time law says of models and layouts, beyond the cards it was checked on: directions and ratios that follow from
// shapes alone.
import { describe, expect, it } from 'vitest';
import { emptyWork } from '../../../src/sim/step-work.ts';
import { BoundTally } from '../../../src/sim/time/index.ts';
import type { StepWork } from '../../../src/sim/types.ts';
import { stepTimeOf } from './helpers.ts';

const decode = (sequences: number, context: number): StepWork => ({
  ...emptyWork(),
  tokens: sequences,
  sequences,
  decodeContext: sequences * context,
  rows: sequences,
});

const prefill = (tokens: number): StepWork => ({
  ...emptyWork(),
  tokens,
  sequences: 1,
  prefillTokens: tokens,
  prefillSequences: 1,
  prefillAttention: tokens ** 2 / 2,
  rows: 1,
});

describe('step time', () => {
  it('one sequence reads every weight once: the time is that of the bandwidth', async () => {
    const { stepTime } = await stepTimeOf('llama-3.1-8b', 'h100-sxm');
    const weights = 15.01e9 / (3352e9 * 0.8);
    const seconds = stepTime.seconds(decode(1, 100));
    expect(seconds).toBeGreaterThan(weights);
    expect(seconds).toBeLessThan(weights + 0.003);
    expect(stepTime.bound(decode(1, 100))).toBe('bandwidth');
  });

  it('a full prefill is bound by compute', async () => {
    const { stepTime } = await stepTimeOf('llama-3.1-8b', 'h100-sxm');
    expect(stepTime.bound(prefill(8192))).toBe('compute');
  });

  it('a small model decodes at the pace of launches', async () => {
    const { stepTime } = await stepTimeOf('qwen2.5-0.5b', 'h100-sxm');
    expect(stepTime.bound(decode(1, 100))).toBe('overhead');
    const eager = await stepTimeOf('qwen2.5-0.5b', 'h100-sxm', { enforceEager: true });
    expect(eager.stepTime.seconds(decode(1, 100))).toBeGreaterThan(1.5 * stepTime.seconds(decode(1, 100)));
  });

  it('a mixture of experts reads the experts that its tokens touch', async () => {
    const { stepTime } = await stepTimeOf('qwen3-30b-a3b', 'h100-sxm');
    const experts = (tokens: number): number => stepTime.breakdown(decode(tokens, 1)).experts;
    expect(experts(2) / experts(1)).toBeCloseTo(2 - 8 / 128, 2);
    expect(experts(512) / experts(256)).toBeLessThan(1.1);
  });

  it('latent attention reads less context than heads of the same model would', async () => {
    const mla = await stepTimeOf('deepseek-v2-lite', 'h100-sxm');
    const gqa = await stepTimeOf('qwen3-30b-a3b', 'h100-sxm');
    const attention = ({ stepTime }: typeof mla): number => stepTime.breakdown(decode(64, 4096)).attention;
    expect(attention(mla)).toBeLessThan(attention(gqa) / 2);
  });

  it('decode beside prefill: latents have a kernel of their own, unpacked heads do not', async () => {
    const beside = { ...decode(32, 2048), tokens: 33, sequences: 33, prefillTokens: 1, prefillSequences: 1 };
    const ratio = async (model: string): Promise<number> => {
      const { stepTime } = await stepTimeOf(model, 'a100-80gb-sxm');
      return stepTime.breakdown(beside).attention / stepTime.breakdown(decode(32, 2048)).attention;
    };
    expect(await ratio('deepseek-v2-lite')).toBeCloseTo(1, 2);
    expect(await ratio('llama-3.1-8b')).toBeGreaterThan(1.5);
  });

  it('windowed layers read at most their window', async () => {
    const { stepTime } = await stepTimeOf('gemma-3-12b', 'h100-sxm');
    const attention = (context: number): number => stepTime.breakdown(decode(8, context)).attention;
    // One layer in six reads everything, the others 1024 tokens.
    expect(attention(1000) / attention(500)).toBeCloseTo(2, 5);
    expect(attention(65_536) / attention(1024)).toBeCloseTo((64 + 5) / 6, 1);
  });

  it('recurrent state costs the same at any context', async () => {
    const { stepTime } = await stepTimeOf('falcon-mamba-7b', 'h100-sxm');
    expect(stepTime.seconds(decode(8, 100_000))).toBe(stepTime.seconds(decode(8, 100)));
    expect(stepTime.seconds(decode(64, 1))).toBeGreaterThan(stepTime.seconds(decode(1, 1)));
  });

  it('weights of 4 bits decode three times as fast, and prefill a little slower: they are unpacked', async () => {
    const plain = await stepTimeOf('llama-3.1-8b', 'rtx4090');
    const awq = await stepTimeOf('llama-3.1-8b', 'rtx4090', { scheme: 'awq' });
    const dense = ({ stepTime }: typeof plain, work: StepWork): number => stepTime.breakdown(work).dense;
    expect(dense(plain, decode(1, 1)) / dense(awq, decode(1, 1))).toBeGreaterThan(3);
    const prompts = dense(plain, prefill(4096)) / dense(awq, prefill(4096));
    expect(prompts).toBeGreaterThan(0.75);
    expect(prompts).toBeLessThanOrEqual(1);
  });

  it('an FP8 scheme computes 1.4 times as fast where the device has it (vLLM pull 17126, H100, 256 tokens)', async () => {
    const work = prefill(8192);
    const ratio = async (gpu: string): Promise<number> => {
      const plain = await stepTimeOf('llama-3.1-8b', gpu);
      const fp8 = await stepTimeOf('llama-3.1-8b', gpu, { scheme: 'fp8' });
      return plain.stepTime.breakdown(work).dense / fp8.stepTime.breakdown(work).dense;
    };
    expect(await ratio('h100-sxm')).toBeGreaterThan(1.3);
    expect(await ratio('h100-sxm')).toBeLessThan(1.7);
    expect(await ratio('a100-80gb-sxm')).toBeLessThanOrEqual(1);
    expect(await ratio('a100-80gb-sxm')).toBeGreaterThan(0.75);
  });

  it('an FP8 cache halves what decode reads', async () => {
    const work = decode(64, 4096);
    const wide = await stepTimeOf('llama-3.1-8b', 'h100-sxm');
    const narrow = await stepTimeOf('llama-3.1-8b', 'h100-sxm', { kvCacheDtype: 'fp8' });
    expect(wide.stepTime.breakdown(work).attention / narrow.stepTime.breakdown(work).attention).toBeCloseTo(2, 1);
  });
});

describe('speculative decoding', () => {
  const speculative = (method: string, tokens: number) => ({
    speculativeTokens: tokens,
    speculativeConfig: { method },
  });

  it('every draft of an EAGLE head costs about a layer and the output head', async () => {
    const { stepTime, layers } = await stepTimeOf('llama-3.1-8b', 'h100-sxm', speculative('eagle3', 3));
    const { draft, dense, head } = stepTime.breakdown(decode(8, 1000));
    expect(draft).toBeGreaterThan(3 * (dense / layers + head));
    expect(draft).toBeLessThan(4 * (dense / layers + head));
  });

  it('n-gram drafts cost the device nothing', async () => {
    const { stepTime } = await stepTimeOf('llama-3.1-8b', 'h100-sxm', speculative('ngram', 3));
    expect(stepTime.breakdown(decode(8, 1000)).draft).toBe(0);
  });
});

describe('several GPUs', () => {
  it('tensor parallelism divides work and adds messages, fewer microseconds of them over NVLink', async () => {
    const one = await stepTimeOf('llama-3.1-8b', 'h100-sxm');
    const two = await stepTimeOf('llama-3.1-8b', 'h100-sxm', { tensorParallelSize: 2 });
    const work = decode(32, 2000);
    expect(two.stepTime.seconds(work)).toBeLessThan(one.stepTime.seconds(work));
    expect(two.stepTime.seconds(work)).toBeGreaterThan(one.stepTime.seconds(work) / 2);
    const pcie = await stepTimeOf('llama-3.1-8b', 'h100-pcie', { tensorParallelSize: 2 });
    expect(pcie.stepTime.breakdown(prefill(2048)).communication).toBeGreaterThan(
      two.stepTime.breakdown(prefill(2048)).communication,
    );
  });

  it('a pipeline keeps its stages busy with as many batches', async () => {
    const one = await stepTimeOf('llama-3.1-8b', 'h100-sxm');
    const two = await stepTimeOf('llama-3.1-8b', 'h100-sxm', { pipelineParallelSize: 2 });
    const single = two.stepTime.seconds(decode(1, 1000)) / one.stepTime.seconds(decode(1, 1000));
    expect(single).toBeGreaterThan(0.95);
    expect(single).toBeLessThan(1.3);
    const chunk = two.stepTime.seconds(prefill(16_384)) / one.stepTime.seconds(prefill(16_384));
    expect(chunk).toBeLessThan(1.2);
  });

  it('ranks that share experts wait for the slowest and compute the tokens of all', async () => {
    const { stepTime } = await stepTimeOf('qwen3-30b-a3b', 'rtx-pro-6000-server', {
      dataParallelSize: 2,
      enableExpertParallel: true,
    });
    expect(stepTime.synchronizedRanks).toBe(2);
    const ranks = (a: StepWork, b: StepWork): StepWork => ({ ...emptyWork(), ranks: [a, b] });
    const even = stepTime.seconds(ranks(decode(64, 1000), decode(64, 1000)));
    const uneven = stepTime.seconds(ranks(decode(128, 1000), emptyWork()));
    expect(uneven).toBeGreaterThan(even);
    expect(stepTime.breakdown(ranks(prefill(2048), emptyWork())).communication).toBeGreaterThan(0.01);
  });

  it('a dense model has replicas that do not wait for each other', async () => {
    const { stepTime } = await stepTimeOf('llama-3.1-8b', 'h100-sxm', { dataParallelSize: 4 });
    expect(stepTime.synchronizedRanks).toBe(1);
  });
});

describe('what is said of it', () => {
  it('a card with coefficients of its own is fitted, any other a roofline estimate', async () => {
    expect((await stepTimeOf('llama-3.1-8b', 'rtx4090')).stepTime.estimate).toBe('fitted');
    const { stepTime } = await stepTimeOf('llama-3.1-8b', 'l4');
    expect(stepTime.estimate).toBe('roofline');
    expect(stepTime.uncertainty).toContain('25 %');
  });

  it('graphs of the next captured size serve a batch', async () => {
    const { stepTime } = await stepTimeOf('llama-3.1-8b', 'rtx4090');
    expect(stepTime.breakdown(decode(33, 1)).dense).toBe(stepTime.breakdown(decode(40, 1)).dense);
    expect(stepTime.breakdown(decode(600, 1)).dense).toBeLessThan(stepTime.breakdown(decode(601, 1)).dense);
  });
});

describe('bounds of a run', () => {
  it('are what each phase spent most time on, and nothing of a phase without steps', async () => {
    const { stepTime } = await stepTimeOf('llama-3.1-8b', 'h100-sxm');
    const tally = new BoundTally();
    expect(tally.result()).toEqual({ prefill: null, decode: null });
    for (const work of [prefill(8192), decode(1, 100), decode(1, 101)]) tally.add(work, stepTime.breakdown(work));
    expect(tally.result()).toEqual({ prefill: 'compute', decode: 'bandwidth' });
  });
});
