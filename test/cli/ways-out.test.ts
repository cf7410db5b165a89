// What is suggested when a start fails for another reason than the size of the model: memory that others hold, a cache whose
// size was given, a scheme that the release does not have.
import { describe, expect, it } from 'vitest';
import { vram } from './run.ts';

interface Planned {
  result: { suggestions: { change: string; flags: { flag: string; value: string | null }[] }[] };
}

const plan = async (...more: string[]) => vram(['plan', '-m', 'llama-3.1-8b', '-g', 'l4', ...more]);
const suggestions = async (...more: string[]) =>
  (JSON.parse((await plan('--max-model-len', '8192', ...more, '--json')).out) as Planned).result.suggestions;

describe.concurrent('a way out', () => {
  it('lowers the utilization to what is free, first of all', async () => {
    const [first, ...others] = await suggestions('--free-memory', '18GiB');
    expect(first?.flags).toMatchObject([{ flag: '--gpu-memory-utilization', value: '0.81' }]);
    for (const { flags } of others) expect(flags[0]?.flag).toBe('--gpu-memory-utilization');
  });

  it('does without a cache of a given size that is too small', async () => {
    const [first] = await suggestions('--num-gpu-blocks-override', '100');
    expect(first?.change).toContain('without --num-gpu-blocks-override');
  });

  it('is not a larger GPU where the release lacks the scheme', async () => {
    const ran = await plan('-q', 'bitsandbytes', '--engine', 'vllm@0.33.0');
    expect(ran.code).toBe(1);
    expect(ran.out).not.toContain('Nothing small helps');
  });
});

describe.concurrent('what is said of a plan', () => {
  it('names no cache where the model keeps none', async () => {
    const ran = await vram(['plan', '-m', 'bge-m3', '-g', 'l4']);
    expect(ran.code).toBe(0);
    expect(ran.out).toContain('FITS  no KV cache: this model keeps none');
    expect(ran.out + ran.err).not.toMatch(/blocks|0 tokens/);
  });

  it('names the release whose rules were read, and an image that exists', async () => {
    const asked = ['--engine', 'vllm@0.9', '--max-model-len', '4096'];
    expect((await plan(...asked)).out).toContain('with vLLM 0.9 (as 0.9.2)');
    expect((await plan(...asked, '--format', 'docker')).out).toContain('vllm/vllm-openai:v0.9.2');
  });

  it('counts the replicas of data parallelism', async () => {
    const ran = await vram(['plan', '-m', 'llama-3.1-8b', '-g', '2x l4', '--dp', '2', '--max-model-len', '8192']);
    expect(ran.out).toMatch(/replicas +2 +each with a cache like this/);
  });
});

describe.concurrent('parallel layouts that a release refuses', () => {
  const refusals: readonly (readonly [args: string, release: string, says: string])[] = [
    ['-m llama-3.1-8b -g l4 --dcp 2', '0.33.0', 'tp_size=1 must be divisible by dcp_size=2'],
    ['-m llama-3.1-8b -g l4 --dcp 2', '0.11.0', 'AssertionError: tp_size=1'],
    ['-m qwen3-8b --tp 4 -g l4 --dcp 2', '0.33.0', "the model's total number of KV heads (8)"],
    ['-m qwen3-8b --tp 4 -g l4 --dcp 2', '0.13.0', 'must be greater than total num kv heads 8'],
    ['-m qwen3-30b-a3b --tp 8 -g h100-sxm --dcp 4', '0.24.0', 'total num kv heads 4) = 2, but got 4'],
    [
      '-m llama-3.1-8b -g l4 --enable-expert-parallel',
      '0.19.0',
      'Number of experts in the model must be greater than 0',
    ],
  ];
  it.each(refusals)('%s in %s', async (args, release, says) => {
    const ran = await vram(['plan', ...args.split(' '), '--engine', `vllm@${release}`, '--max-model-len', '8192']);
    expect(ran.code).toBe(1);
    expect(ran.out.replace(/\s+/g, ' ')).toContain(says);
  });

  it.each([
    '-m qwen3-30b-a3b --tp 8 -g h100-sxm --dcp 2',
    '-m deepseek-v3 --tp 8 -g h200-sxm --dcp 8 --enable-expert-parallel',
  ])('and does not: %s', async (args) => {
    expect((await vram(['plan', ...args.split(' '), '--engine', 'vllm@0.33.0'])).code).toBe(0);
  });
});

describe.concurrent('options without effect', () => {
  it.each([
    [['--max-loras', '4'], '--max-loras (without --enable-lora)'],
    [['--limit-mm-per-prompt', 'image=2'], '--limit-mm-per-prompt (the model takes text only)'],
  ])('%s are named', async (args, says) => {
    expect((await plan('--max-model-len', '8192', ...args)).said).toContain(`without effect on this plan: ${says}`);
  });

  it('offload no more than there is', async () => {
    const ran = await plan('--max-model-len', '8192', '--cpu-offload-gb', '100');
    expect(ran.said).toMatch(/1[45]\.\d\d GiB of weights a GPU cross PCIe/);
  });
});
