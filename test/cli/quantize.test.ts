// `vram quantize` as it is run: forms, exit codes, refusals, and that what it recommends is so when it is planned.
import { parse } from 'shell-quote';
import { describe, expect, it } from 'vitest';
import { run } from '../../src/commands/quantize.ts';
import { InputError } from '../../src/diagnostics.ts';
import type { QuantizeOutput } from '../../src/plan/quantize-output.ts';
import { quantizeOutputSchema } from '../../src/plan/quantize-schema.ts';
import { inProcess, type Ran, vramPlan } from '../ground-truth/in-process.ts';

const quantize = (line: string): Promise<Ran> => inProcess(run, parse(line).map(String));

async function answer(line: string): Promise<QuantizeOutput & { code: number }> {
  const { code, out } = await quantize(`${line} --json`);
  return { ...(JSON.parse(out) as QuantizeOutput), code };
}

async function refusal(line: string): Promise<string> {
  try {
    await quantize(line);
  } catch (error) {
    if (error instanceof InputError) return `${error.diagnostics[0]!.code} ${error.message}`;
    throw error;
  }
  return 'not refused';
}

const narrow = '-m qwen2.5-7b -g l4 --scheme "bf16,w4a16,awq,gptq,fp8-dynamic,q4_k_m,q8_0"';

describe('the answer', () => {
  it('is an envelope of its schema, with one row per scheme', async () => {
    const output = await answer(`${narrow} --context 8192 --concurrency 4`);
    expect(quantizeOutputSchema.safeParse({ ...output, code: undefined }).error?.issues.slice(0, 3) ?? []).toEqual([
      expect.objectContaining({ code: 'unrecognized_keys' }),
    ]);
    expect(output.result.rows.map(({ scheme }) => scheme).sort()).toEqual(
      ['awq', 'bf16', 'fp8-dynamic', 'gptq', 'q4_k_m', 'q8_0', 'w4a16'].sort(),
    );
    expect(output.result.requirement).toEqual({ context: 8192, concurrency: 4, maxQualityLoss: null, domain: null });
  });

  it('comes in every form, 80 columns wide', async () => {
    const table = await quantize(narrow);
    expect(table.code).toBe(0);
    expect(table.out).toMatch(/RECOMMENDED {2}\S+ with/);
    expect(table.out.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect((await quantize(`${narrow} --format csv`)).out).toMatch(/^scheme,engine,state,/);
    expect((await quantize(`${narrow} --format markdown`)).out).toMatch(/^## /);
    expect((await quantize(`${narrow} --format yaml`)).out).toMatch(/^schemaVersion: 1/);
    expect((await quantize(`${narrow} --explain`)).out).toMatch(/source: /);
  });

  it('is the same twice', async () => {
    expect((await quantize(`${narrow} --json`)).out).toBe((await quantize(`${narrow} --json`)).out);
  });

  it('splits over several GPUs and says so', async () => {
    const output = await answer('-m llama-3-70b -g "2x rtx4090" --scheme w4a16 --context 4096');
    expect(output.input.parallel).toEqual({ tp: 2, pp: 1, dp: 1 });
    expect(output.diagnostics.map(({ code }) => code)).toContain('VRAM520');
    expect(output.result.recommendation?.plan).toContain('--tp 2');
  });

  it('takes one engine in one version', async () => {
    const output = await answer('-m llama-3.1-8b -g l4 --engine vllm@0.19.0 --scheme "awq,bitsandbytes,q4_k_m"');
    expect(output.input.engines).toEqual([{ id: 'vllm', name: 'vLLM', version: '0.19.0' }]);
    expect(output.result.rows.every(({ engine, fits }) => engine === 'vllm' && fits)).toBe(true);
    const newest = await answer('-m llama-3.1-8b -g l4 --engine vllm --scheme "awq,bitsandbytes"');
    expect(newest.result.rows.find(({ scheme }) => scheme === 'bitsandbytes')).toMatchObject({
      state: 'refused',
      reason: expect.stringContaining('up to 0.27'),
    });
  });

  it('takes the form that the maker publishes for the reference', async () => {
    const output = await answer('-m deepseek-v3 -g "8x h200-sxm" --scheme "fp8*,w4a16,q4_k_m" --concurrency 4');
    expect(output.input.model.published).toBe('fp8-block');
    expect(output.result.rows[0]).toMatchObject({ scheme: 'fp8-block', published: true, quality: null, fits: true });
    expect(output.result.recommendation?.scheme).toBe('fp8-block');
  });

  it('plans caches in every type that the engine has', async () => {
    const { result } = await answer(`${narrow} --context 8192`);
    const of = (engine: string, scheme: string) =>
      result.kvCache.find((row) => row.engine === engine && row.scheme === scheme)!;
    expect(of('vllm', 'fp8').kv!.tokens).toBeGreaterThan(1.9 * of('vllm', 'auto').kv!.tokens);
    expect(of('llama.cpp', 'q8_0').bytesPerToken! / of('llama.cpp', 'f16').bytesPerToken!).toBeCloseTo(8.5 / 16, 3);
    expect(of('llama.cpp', 'q8_0').quality).toMatchObject({ value: 6.234369, relation: 'other' });
  });
});

describe('exit codes and refusals', () => {
  it('1 where nothing fits, and how much is missing', async () => {
    const output = await answer('-m llama-3.1-405b -g rtx3060-12gb --scheme "q2_k,w4a16"');
    expect(output.code).toBe(1);
    expect(output.result.recommendation).toBeNull();
    expect(output.result.noRecommendation).toMatch(/nothing fits: q2_k comes nearest, [\d.]+ GiB short/);
  });

  it('1 where nothing keeps to the loss', async () => {
    expect(
      await answer('-m llama-3.1-8b -g rtx3060-12gb --scheme "q4_k_m,q3_k_m" --max-quality-loss 1%'),
    ).toMatchObject({
      code: 1,
      result: { recommendation: null },
    });
  });

  it('warns of a domain that nobody measured', async () => {
    const output = await answer(`${narrow} --domain medicine`);
    expect(output.diagnostics).toContainEqual(expect.objectContaining({ code: 'VRAM522', severity: 'warning' }));
    expect(output.result.rows.some(({ quality }) => quality?.domainMissing)).toBe(true);
  });

  it.each([
    ['-m llama-3.1-8b', /^VRAM169 no GPU/],
    ['-m llama-3.1-8b -g l4 --scheme q4_k_x', /^VRAM162 no scheme matches/],
    ['-m llama-3.1-8b -g l4 --domain chemistry', /^VRAM146 /],
    ['-m llama-3.1-8b -g l4 --max-quality-loss 120%', /^VRAM143 /],
    ['-m llama-3.1-8b -g l4 --engine ollama', /^VRAM404 /],
    ['-m llama-3.1-8b -g l4 --format svg', /^VRAM154 /],
    ['-m llama-3.1-9b -g l4', /^VRAM104 /],
  ])('%s', async (line, message) => {
    expect(await refusal(line)).toMatch(message);
  });
});

describe('what is recommended holds when it is planned', () => {
  it.each([
    '-m llama-3.1-8b -g t4 --context 4096 --concurrency 4',
    '-m llama-3.1-8b -g p100-16gb --context 8192 --concurrency 4',
    '-m qwen3-30b-a3b -g l40s --context 16384 --concurrency 4 --engine vllm',
    '-m qwen2.5-14b -g l4 --concurrency 2 --engine vllm@0.19.0',
    '-m llama-3-70b -g "2x rtx4090" --engine llama.cpp --scheme "q3*,q4*"',
    '-m gpt-oss-20b -g rtx4090 --context 16384 --concurrency 8 --scheme "mxfp4,q8_0"',
    '-m gemma-3-27b -g m4-max-64gb --scheme "q4_k_m,q6_k,gguf-*"',
    '-m qwen2.5-7b -g mi300x --kv-cache-dtype fp8 --scheme "bf16,fp8*"',
  ])('%s', async (line) => {
    const { result } = await answer(line);
    const { plan, command, engine } = result.recommendation!;
    const words = parse(plan).map(String).slice(2);
    const planned = await vramPlan([...words, '--json']);
    expect(planned.code).toBe(0);
    if (engine === 'vllm') expect(JSON.parse(planned.out).result.command).toBe(command);
  });
});
