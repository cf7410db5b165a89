// Nodes, unequal GPUs and servers of two kinds through the real program: names, exit codes, what is refused.
import { describe, expect, it } from 'vitest';
import { vram } from './run.ts';

describe('nodes', () => {
  it('stand for their GPUs and are named in the answer', async () => {
    const { code, out } = await vram([
      'plan',
      '-m',
      'llama-3.1-70b',
      '-g',
      '2x p5.48xlarge',
      '--tp',
      '8',
      '--pp',
      '2',
      '--json',
    ]);
    const { gpu } = JSON.parse(out).input;
    expect(code).toBe(0);
    expect(gpu).toMatchObject({ id: 'h100-sxm', count: 16 });
    expect(gpu.nodes).toEqual(
      Array.from({ length: 2 }, () => ({ id: 'aws-p5.48xlarge', name: 'AWS p5.48xlarge', gpus: 8, nvlinkDomain: 8 })),
    );
  });

  it('are listed, shown and completed', async () => {
    expect((await vram(['list', 'nodes', '--filter', 'p5.48'])).out).toMatch(
      /aws-p5\.48xlarge\s+8x h100-sxm\s+8\s+55\.04/,
    );
    expect((await vram(['show', 'node', 'p5.48xlarge'])).out).toContain('gpu: h100-sxm');
    expect((await vram(['completion', '--names', 'nodes'])).out.split('\n')).toContain('hgx-h100');
    expect((await vram(['schema', 'node'])).code).toBe(0);
    const unknown = await vram(['show', 'node', 'p5.48xlarg']);
    expect(unknown).toMatchObject({ code: 2, said: expect.stringContaining('did you mean p5.48xlarge?') });
  });
});

describe('unequal GPUs', () => {
  it('get a command with the cut that was planned', async () => {
    const words = [
      'plan',
      '-m',
      'qwen3-14b',
      '-g',
      'rtx4090,rtx4060ti-16gb',
      '--pp',
      '2',
      '--max-model-len',
      '8192',
      '--json',
    ];
    const { suggestions } = JSON.parse((await vram(words)).out).result;
    expect(suggestions[0].command).toMatch(/^VLLM_PP_LAYER_PARTITION=\d+,\d+ vllm serve /);
  });
});

describe('--disaggregate', () => {
  const words = ['plan', '-m', 'llama-3.1-8b', '--max-model-len', '8192'];

  it('adds its section to the plan', async () => {
    const { code, out } = await vram([...words, '-g', '4x l4', '--disaggregate', 'auto']);
    expect(code).toBe(0);
    expect(out).toContain('Prefill and decode apart (estimate), NixlConnector');
    expect(out).toContain('--kv-transfer-config');
  });

  it.each([
    [['-g', '4x l4', '--disaggregate', 'prefill=2'], 'VRAM179'],
    [['-g', '4x l4', '--disaggregate', 'prefill=2,decode=3'], 'VRAM179'],
    [['-g', 'l4', '--engine', 'llama.cpp', '--disaggregate', 'auto'], 'VRAM179'],
    [['--disaggregate', 'auto'], 'VRAM169'],
  ])('refuses %j', async (more, code) => {
    expect(await vram([...words, ...more])).toMatchObject({ code: 2, out: '', said: expect.stringContaining(code) });
  });
});
