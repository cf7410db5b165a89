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
