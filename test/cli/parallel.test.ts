// --auto-parallel and --placement in the published program: their bundle is found and loaded, for vLLM and for llama.cpp.
import { describe, expect, it } from 'vitest';
import { expectCalm, vram } from './run.ts';

describe.concurrent('several GPUs', () => {
  it('layouts and placement follow the plan', async () => {
    const ran = await vram(['plan', '-m', 'qwen3-8b', '-g', '2x l4', '--auto-parallel', '--placement']);
    expectCalm(ran);
    expect(ran.code).toBe(0);
    expect(ran.out.indexOf('Layouts on up to 2 GPUs')).toBeGreaterThan(ran.out.indexOf('Run\n'));
    expect(ran.out).toContain('\nPlacement\nGPU 0');
  });

  it('says so where a layout leaves GPUs idle, as vLLM does unasked', async () => {
    const args = ['plan', '-m', 'qwen3-8b', '-g', '2x l40s'];
    expect((await vram(args)).err).toMatch(/takes 1 of the 2 GPUs[\s\S]*VRAM535/);
    expect((await vram([...args, '--tp', '2'])).err).not.toContain('VRAM535');
    const apart = await vram([...args, '--disaggregate', 'prefill=1,decode=1']);
    expect(apart.err).not.toContain('VRAM535');
    expect(apart.out.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it('llama.cpp has a placement and no layouts', async () => {
    const args = ['plan', '--engine', 'llama.cpp', '-m', 'qwen3-0.6b', '-q', 'q8_0', '-g', '2x rtx3060', '-c', '4096'];
    expect((await vram([...args, '--placement'])).out).toContain('\nPlacement\nGPU 0  blocks 0-');
    const refused = await vram([...args, '--auto-parallel']);
    expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('[VRAM149]')]);
  });

  it('an unknown goal, and layouts without GPUs, are wrong usage', async () => {
    const unknown = await vram(['plan', '-m', 'qwen3-8b', '-g', '2x l4', '--auto-parallel=price']);
    expect([unknown.code, unknown.err]).toEqual([2, expect.stringContaining('[VRAM148]')]);
    const nowhere = await vram(['plan', '-m', 'qwen3-8b', '--auto-parallel']);
    expect([nowhere.code, nowhere.err]).toEqual([2, expect.stringContaining('--gpu')]);
  });
});
