// `vram plan` for llama.cpp and Ollama through the command line: short options of several letters, what is refused, existing lines,
// names of published files, the forms.
import { describe, expect, it } from 'vitest';
import { expectCalm, expectRefused, vram } from './run.ts';

const base = ['plan', '--engine', 'llama.cpp', '-m', 'llama-3.1-8b', '-q', 'q4_k_m', '-g', 'rtx3060'];
const json = async (...args: string[]) => {
  const ran = await vram([...args, '--json']);
  expectCalm(ran);
  return {
    code: ran.code,
    ...(JSON.parse(ran.out) as { result: Record<string, any>; input: any; diagnostics: any[] }),
  };
};

describe('vram plan --engine llama.cpp', () => {
  it('takes the options as llama-server does and prints what it prints (published log, f01 of 2024 and today)', async () => {
    const words = '-c 8192 -ngl 99 -fa on -ctk q8_0 -ctv q8_0 -ub 512 -np 4'.split(' ');
    const { code, result, input } = await json(...base, ...words);
    expect(code).toBe(0);
    expect(result.buffers.model).toEqual({ gpu0: 4403.49, mapped: 281.81 });
    expect(result.buffers.kv).toEqual({ gpu0: 544 });
    expect(input.engine).toMatchObject({ id: 'llama.cpp', version: 'v0.5.0' });
    expect(result.startupLog.join('\n')).toContain('CUDA0 model buffer size = 4403.49 MiB');
    const host = result.devices.at(-1);
    expect(host.gpu).toBe('host');
    for (const device of result.devices) {
      const sum = device.items.reduce((total: number, { bytes }: { bytes: number }) => total + bytes, 0);
      expect(sum).toBe(device.totalBytes);
    }
  });

  it('lowers context and layers as -fit does when nothing is set', async () => {
    const args = ['plan', '--engine', 'llama.cpp', '-m', 'llama-3.1-8b', '-q', 'q4_k_m', '-g', 'rtx4060'];
    const { result } = await json(...args, '--free-memory', '8GiB', '--gpu-memory', '8GiB');
    expect(result.fit).toMatchObject({ status: 'success', nCtx: 20992, ngl: null });
  });

  it('turns a requirement into slots and context', async () => {
    const { result } = await json(...base, '--context', '4096', '--concurrency', '3');
    expect(result.workload).toMatchObject({ context: 4096, concurrency: 3, fits: true });
    expect(result.kvCache.tokens).toBe(12288);
  });

  it('says what does not fit, and ways out that were planned', async () => {
    const { code, result } = await json(
      'plan',
      '--engine',
      'llama.cpp',
      '-m',
      'llama-3.1-70b',
      '-q',
      'q4_k_m',
      '-g',
      'rtx4090',
      '-c',
      '8192',
      '-ngl',
      '99',
    );
    expect(code).toBe(1);
    expect(result.verdict.engineError).toMatch(/cudaMalloc failed: out of memory/);
    expect(result.suggestions.length).toBeGreaterThan(0);
    expect(result.offload.mostGpuLayers).toBeGreaterThan(20);
  });

  it('warns of options that the other engine has', async () => {
    const ofLlama = await json('plan', '-m', 'qwen2.5-0.5b', '-g', 'l4', '--engine', 'vllm', '-ngl', '3');
    const ofVllm = await json(...base, '-c', '4096', '--tensor-parallel-size', '2');
    expect(ofLlama.diagnostics).toContainEqual(
      expect.objectContaining({ code: 'VRAM418', message: expect.stringContaining('--n-gpu-layers') }),
    );
    expect(ofVllm.diagnostics).toContainEqual(
      expect.objectContaining({ code: 'VRAM418', message: expect.stringContaining('--tensor-parallel-size') }),
    );
  });

  it('reads an existing line', async () => {
    const line = 'llama-server -m /models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf -c 16384 -ngl 99 --frobnicate 3';
    const { result, diagnostics } = await json('plan', '-g', 'rtx3060', '--from-command', line);
    expect(result.buffers.model.gpu0).toBe(4403.49);
    expect(diagnostics.map(({ code }) => code)).toEqual(expect.arrayContaining(['VRAM117', 'VRAM413']));
  });

  it.each([
    [
      ['-fa', 'maybe'],
      ['--flash-attn', 'on, off, auto'],
    ],
    [
      ['-ctk', 'q9_9'],
      ['--cache-type-k', 'q8_0'],
    ],
    [['-ot', 'nonsense'], ['not pattern=place']],
    [['-ot', '((a+)+)+$=CPU'], ['repeats a repetition']],
    [['-ts', 'x'], ['no list of shares']],
    [
      ['-q', 'q4_k_x'],
      ['did you mean', 'q4_k_'],
    ],
    [['--engine', 'llama.cpp@b1'], ['is not a build']],
    [['--env', 'OLLAMA_NUM_PARALLEL=2'], ['--env is for Ollama']],
  ] as const)('refuses %j', async (words, says) => {
    expectRefused(await vram([...base, ...words]), 2, says);
  });

  it('has forms of its own, and no vLLM in them', async () => {
    for (const form of ['table', 'markdown', 'html', 'csv', 'docker', 'compose', 'kubernetes', 'command']) {
      const ran = await vram([...base, '-c', '8192', '-ngl', '99', '--format', form]);
      expectCalm(ran);
      expect(ran.code, form).toBe(0);
      expect(ran.out, form).not.toMatch(/vllm/i);
      if (form === 'table') for (const line of ran.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
    }
    expectRefused(await vram([...base, '--format', 'vllm-yaml']), 2, ['vllm-yaml is a form of vLLM']);
  });
});

describe('vram plan --engine ollama', () => {
  it('decides as its scheduler does and writes Modelfile and environment', async () => {
    const args = ['plan', '--engine', 'ollama@0.32.15', '-m', 'llama-3.1-8b', '-q', 'q4_k_m', '-g', 'rtx4090'];
    const { result } = await json(...args, '--env', 'OLLAMA_KV_CACHE_TYPE=q8_0');
    expect(result.ollama).toMatchObject({
      llamaCppBuild: 'b10488',
      numCtx: 32768,
      numParallel: 1,
      predictedToFit: true,
    });
    expect(result.ollama.modelfile).toContain('PARAMETER num_ctx 32768');
    expect(result.ollama.environment).toEqual(['export OLLAMA_KV_CACHE_TYPE=q8_0']);
  });

  it('refuses versions with engines of their own, and variables that it does not have', async () => {
    const args = ['plan', '-m', 'llama-3.1-8b', '-g', 'rtx4090', '--engine'];
    expectRefused(await vram([...args, 'ollama@0.9.0']), 2, ['before 0.30.0 it ran models in engines of its own']);
    expectRefused(await vram([...args, 'ollama', '--env', 'OLLAMA_CONTEXT=1']), 2, [
      'did you mean OLLAMA_CONTEXT_LENGTH?',
    ]);
  });
});
