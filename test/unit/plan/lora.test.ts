// Adapter slots against the arithmetic of vllm/lora/layers/ and PEFT's count of what an adapter trains, and the refusals.
import { describe, expect, it } from 'vitest';
import type { PlanOutput } from '../../../src/plan/output.ts';
import { runPlan } from '../../helpers/run.ts';

const plan = async (model: string, version: string, ...rest: string[]): Promise<PlanOutput['result']> =>
  (await runPlan(['-m', model, '-g', 'h100-sxm', '--engine', `vllm@${version}`, '--json', ...rest])).output!.result;

const slots = async (...args: Parameters<typeof plan>): Promise<number> =>
  (await plan(...args)).devices[0]!.items.find(({ id }) => id === 'lora')!.bytes;

/** "trainable params: 41,943,040" of PEFT for rank 16 on every linear layer of Llama 3 8B. */
const linears = 41_943_040 * 2;
const vocabulary = 128256;

describe('adapter slots', () => {
  it('hold A and B of every linear, and of embedding and head where the class has them', async () => {
    expect(await slots('llama-3.1-8b', '0.20.2', '--enable-lora')).toBe(linears + 2 * 2 * 16 * (vocabulary + 4096));
    expect(await slots('llama-3.1-8b', '0.20.2', '--enable-lora', '--max-loras', '4', '--max-lora-rank', '64')).toBe(
      16 * (linears + 2 * 2 * 16 * (vocabulary + 4096)),
    );
  });

  it('had room for 256 more tokens up to 0.11, in the slots and in the tables', async () => {
    const head = Math.ceil((vocabulary + 256) / 256) * 256;
    const slot = 16 * (vocabulary + 256 + 4096) + 16 * (head + 4096) + 2 * 256 * 4096;
    const grown = (256 + (Math.ceil((vocabulary + 256) / 256) * 256 - vocabulary)) * 4096;
    expect(await slots('llama-3.1-8b', '0.10.2', '--enable-lora')).toBe(linears + 2 * (slot + grown));
  });

  it('are part of what the engine prints after loading, and an item of their own', async () => {
    const without = await plan('llama-3.1-8b', '0.20.2');
    const result = await plan('llama-3.1-8b', '0.20.2', '--enable-lora');
    const [device] = result.devices;
    const bytes = (id: string): number => device!.items.find((item) => item.id === id)!.bytes;
    expect(device!.weights.loadedBytes).toBe(bytes('weights') + bytes('lora'));
    expect(bytes('weights')).toBe(without.devices[0]!.weights.loadedBytes);
    expect(device!.items.reduce((total, item) => total + item.bytes, 0)).toBe(device!.totalBytes);
    const printed = (device!.weights.loadedBytes / 2 ** 30).toFixed(2);
    expect(result.startupLog.join('\n')).toContain(`Model loading took ${printed} GiB`);
  });

  it('reach routed experts from 0.12 on', async () => {
    const experts = 48 * 128 * 3 * (2048 + 768) * 16 * 2;
    const [before, since] = [
      await slots('qwen3-30b-a3b', '0.10.2', '--enable-lora'),
      await slots('qwen3-30b-a3b', '0.12.0', '--enable-lora'),
    ];
    expect(since - before).toBe(experts);
  });
});

describe('adapters that a release refuses', () => {
  it.each([
    [
      'llama-3.1-8b',
      '0.11.0',
      '24',
      'ValueError: max_lora_rank (24) must be one of (8, 16, 32, 64, 128, 256, 320, 512).',
    ],
    ['llama-3.1-8b', '0.7.3', '512', 'ValueError: max_lora_rank (512) must be one of (8, 16, 32, 64, 128, 256).'],
    [
      'llama-3.1-8b',
      '0.20.2',
      '24',
      'argument --max-lora-rank: invalid choice: 24 (choose from 1, 8, 16, 32, 64, 128, 256, 320, 512)',
    ],
    ['gpt-neox-20b', '0.20.2', '16', 'ValueError: GPTNeoXForCausalLM does not support LoRA yet.'],
  ])('%s on %s with rank %s', async (model, version, rank, text) => {
    const { verdict } = await plan(model, version, '--enable-lora', '--max-lora-rank', rank);
    expect(verdict.fits).toBe(false);
    expect(verdict.engineError).toBe(text);
  });
});
