// A layout that the engine refuses before it loads anything: no budget and no capacity is shown of a start that never is.
import { describe, expect, it } from 'vitest';
import { expectCalm, vram } from './run.ts';

interface Refused {
  result: {
    verdict: { fits: boolean; engineError: string };
    devices: { totalBytes: number; items: { id: string; bytes: number }[] }[];
    kvCache: { bytes: number; numBlocks: number; tokens: number };
    startupLog: string[];
    suggestions: { flags: { flag: string; value: string }[] }[];
  };
}

describe.concurrent('a layout that the engine refuses', () => {
  const args = ['plan', '-m', 'llama-3.1-8b', '-g', '3x l4', '--tp', '3'];

  it('has no capacity', async () => {
    const ran = await vram([...args, '--json']);
    expect(ran.code).toBe(1);
    const { result } = JSON.parse(ran.out) as Refused;
    expect(result.verdict.engineError).toContain('must be divisible by tensor parallel size (3)');
    expect(result.kvCache).toMatchObject({ bytes: 0, numBlocks: 0, tokens: 0 });
    expect(result.startupLog).toEqual([]);
    for (const { items, totalBytes } of result.devices)
      for (const { id, bytes } of items) expect(bytes).toBe(id === 'free' ? totalBytes : 0);
    expect(result.suggestions[0]?.flags[0]).toMatchObject({ flag: '--tensor-parallel-size', value: '4' });
  });

  it.each(['table', 'markdown', 'html'])('shows none as %s', async (format) => {
    const ran = await vram([...args, '--format', format]);
    expectCalm(ran);
    expect(ran.out.replace(/\s+/g, ' ')).toContain('must be divisible by tensor parallel size');
    expect(ran.out).not.toMatch(/blocks of|tokens of KV cache|CUDA graphs/);
  });
});

describe.concurrent('the quantized 72B models of Qwen', () => {
  it('are padded so that their groups divide by the GPUs', async () => {
    const ran = await vram(['plan', '-m', 'Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4', '-g', '2x a100-80gb', '--tp', '2']);
    expect(ran.code).toBe(0);
  });
});
