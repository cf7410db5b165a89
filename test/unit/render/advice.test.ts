// Suggestions and pitfalls: each kind appears where it helps, is right when taken, and is silent otherwise.
import { describe, expect, it } from 'vitest';
import { planJson } from '../../ground-truth/in-process.ts';

const plan = (line: string) => planJson(line.split(' '));

describe('suggestions', () => {
  const refused = '-m gemma-3-27b -g h100-sxm --engine vllm@0.33.0';

  it('offers each kind of way out', async () => {
    const { result } = await plan(refused);
    const all = result.suggestions.map(({ change }) => change).join('\n');
    for (const kind of [
      /--max-model-len \d+/,
      /--kv-cache-dtype fp8/,
      /--max-num-seqs \d+/,
      /--quantization fp8/,
      /4-bit checkpoint/,
      /--tensor-parallel-size 2/,
      /a bigger GPU/,
    ])
      expect(all).toMatch(kind);
  });

  it('fits when its flags are taken', async () => {
    const { result } = await plan(refused);
    for (const { flags } of result.suggestions) {
      const words = flags.flatMap(({ flag, value }) => (value === null ? [flag] : [flag, value]));
      if (words.length === 0) continue;
      expect((await planJson([...refused.split(' '), ...words])).result.verdict.fits).toBe(true);
    }
  });

  it('names the longest length: one more token is too long', async () => {
    const { result } = await plan(refused);
    const length = Number(result.suggestions[0]!.flags[0]!.value);
    expect((await plan(`${refused} --max-model-len ${length}`)).result.verdict.fits).toBe(true);
    expect((await plan(`${refused} --max-model-len ${length + 1}`)).result.verdict.fits).toBe(false);
  });

  it('meets the requirement too', async () => {
    const line = '-m llama-3.1-70b -g l40s --tp 2 --context 8k --concurrency 40';
    const { result } = await plan(line);
    expect(result.suggestions.length).toBeGreaterThan(0);
    for (const { effect } of result.suggestions) {
      const sequences = Number(/([\d,]+) sequences of 8,000/.exec(effect)![1]!.replaceAll(',', ''));
      expect(sequences).toBeGreaterThanOrEqual(40);
    }
  });

  it('changes the layout where memory is not the matter', async () => {
    const { result } = await plan('-m qwen3-8b -g h100-sxm --tp 3');
    expect(result.suggestions).toHaveLength(1);
    expect(result.suggestions[0]!.change).toMatch(/--tensor-parallel-size (2|4)/);
  });

  it('keeps quiet when it fits', async () => {
    expect((await plan('-m llama-7b -g rtx4090')).result.suggestions).toEqual([]);
  });
});

/** A start that disappoints, and the same one put right. */
const pitfalls: [code: string, line: string, silent: string][] = [
  ['VRAM501', '-m llama-7b -g rtx4090', '-m llama-7b -g rtx4090 --max-num-seqs 4'],
  ['VRAM502', '-m llama-7b -g rtx4090 --gpu-memory-utilization 0.98', '-m llama-7b -g rtx4090'],
  [
    'VRAM503',
    '-m gemma-3-4b -g a100-40gb-sxm --max-num-batched-tokens 65536 --max-num-seqs 1024',
    '-m gemma-3-4b -g a100-40gb-sxm --max-num-batched-tokens 2048 --max-num-seqs 64',
  ],
  ['VRAM504', '-m llama-3.1-8b -g h100-sxm --cpu-offload-gb 8', '-m llama-3.1-8b -g h100-sxm'],
  ['VRAM505', '-m llama-3.1-8b -g h100-sxm --enforce-eager', '-m llama-3.1-8b -g h100-sxm'],
  ['VRAM506', '-m gemma-3-27b -g h100-sxm -q w4a16', '-m llama-3.1-8b -g h100-sxm -q w4a16'],
  ['VRAM506', '-m qwen3-8b -g h100-sxm -q awq', '-m qwen3-8b -g h100-sxm -q fp8'],
  ['VRAM507', '-m llama-3.1-8b -g h100-sxm --context 4k', '-m llama-3.1-8b -g h100-sxm'],
  ['VRAM513', '-m llama-3.1-8b -g a10g --max-model-len 32000', '-m llama-3.1-8b -g a10g --max-model-len 8192'],
  ['VRAM514', '-m llama-3.1-8b -g m2-ultra', '-m llama-3.1-8b -g h100-sxm'],
  ['VRAM508', '-m qwen3-8b -g a100-80gb-sxm -q nvfp4', '-m qwen3-8b -g b200 -q nvfp4'],
  ['VRAM508', '-m qwen3-8b -g a100-80gb-sxm -q fp8', '-m qwen3-8b -g l40s -q fp8'],
  ['VRAM509', '-m llama-3.1-8b -g h100-sxm --context 200000', '-m llama-3.1-8b -g h100-sxm --context 100000'],
  ['VRAM510', '-m qwen3-8b -g h100-sxm --tp 16', '-m qwen3-8b -g h100-sxm --tp 8'],
  ['VRAM510', '-m deepseek-v2-lite -g h100-sxm --tp 4', '-m deepseek-v2-lite -g h100-sxm'],
  ['VRAM512', '-m granite-3.3-8b -g h100-sxm --tp 4', '-m granite-3.3-8b -g h100-sxm'],
];

describe('pitfalls', () => {
  it.each(pitfalls)('%s warns of %s and not of %s', async (code, line, silent) => {
    const found = (await plan(line)).diagnostics.find((diagnostic) => diagnostic.code === code);
    expect(found?.message).toMatch(/\d|enforce-eager/);
    expect((await plan(silent)).diagnostics.map((diagnostic) => diagnostic.code)).not.toContain(code);
  });

  it.each([
    ['-m qwen3-8b -g v100-32gb -q w4a16 --engine vllm@0.19.0', 'Min capability: 75. Current capability: 70.'],
    ['-m qwen3-8b -g t4 -q w4a16 --engine vllm@0.9.2', 'Min capability: 80. Current capability: 75.'],
    ['-m llama-2-7b -g v100-32gb -q awq --engine vllm@0.9.2', 'The quantization method awq is not supported'],
  ])('%s is refused by the engine', async (line, text) => {
    const { verdict } = (await plan(line)).result;
    expect(verdict.fits).toBe(false);
    expect(verdict.engineError).toContain(text);
  });

  it('a context above the limit asked of the engine is its own refusal', async () => {
    const { verdict } = (await plan('-m llama-3.1-8b -g h100-sxm --max-model-len 200000')).result;
    expect(verdict.engineError).toContain('200000');
  });
});
