// Existing command lines and config files: what does not start vLLM is refused, what is unknown is named, nothing is run.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { expectCalm, expectRefused, put, scratch, vram } from './run.ts';

const from = (line: string, ...more: string[]) => [
  'plan',
  '-g',
  'h100-sxm',
  '--format',
  'flags',
  ...more,
  '--from-command',
  line,
];

const refused: readonly (readonly [line: string, says: readonly (string | RegExp)[]])[] = [
  ['', ['does not start vLLM', 'give a line like']],
  ['   ', ['does not start vLLM']],
  ['!!! %% ((', ['does not start vLLM']],
  ['python train.py --epochs 3', ['does not start vLLM']],
  ['docker run nginx:latest', ['does not start vLLM']],
  ['vllm bench throughput --model x', ['does not start vLLM']],
  ['ollama serve', ['does not start vLLM']],
  ['vllm serve', ['no model is given']],
  ['vllm serve no/such-model', ['there is no model "no/such-model"']],
  ['vllm serve Qwen/Qwen3-8B --max-model-len many', ['--max-model-len', '"many"']],
  ['vllm serve Qwen/Qwen3-8B --max-model-len', ['--max-model-len']],
  ['vllm serve Qwen/Qwen3-8B --gpu-memory-utilization 3', ['--gpu-memory-utilization']],
  ['vllm serve Qwen/Qwen3-8B --tensor-parallel-size -2', ['--tensor-parallel-size']],
  ['vllm serve "$(cat /etc/passwd)"', ['there is no model']],
  ['docker run vllm/vllm-openai:v0.1.2 --model Qwen/Qwen3-8B', ['0.1.2']],
  ['missing.yaml', ['missing.yaml: no such file']],
];

describe.concurrent('--from-command', () => {
  it.each(refused)('%s', async (line, says) => {
    expectRefused(await vram(from(line)), 2, says);
  });

  it('names unknown flags and plans the rest', async () => {
    const ran = await vram(
      from('vllm serve Qwen/Qwen3-8B --frobnicate 7 --max-model-len 8192 --not-a-flag', '--engine', 'vllm@0.19.0'),
    );
    expectCalm(ran);
    expect(ran.code).toBe(0);
    expect(ran.said).toContain('not flags of vLLM 0.19.1: --frobnicate, --not-a-flag');
    expect(ran.out).toContain('--max-model-len 8192');
  });

  it('shows what a flag of escapes is, not what it does', async () => {
    const ran = await vram(from('vllm serve Qwen/Qwen3-8B --max-model-len 8192 --\u001b]0;owned\u0007\u202e'));
    expectCalm(ran);
    expect(ran.code).toBe(0);
    expect(ran.said).toContain('\\x1b]0');
  });

  it('runs nothing of the line', async () => {
    await vram(from('vllm serve Qwen/Qwen3-8B --max-model-len 8192; touch ran-1'));
    await vram(from('vllm serve Qwen/Qwen3-8B --max-model-len `touch ran-2` $(touch ran-3)'));
    expect(['ran-1', 'ran-2', 'ran-3'].filter((name) => existsSync(join(scratch, name)))).toEqual([]);
  });

  it('words after -- are the command', async () => {
    const ran = await vram([
      'plan',
      '-g',
      'h100-sxm',
      '--format',
      'flags',
      '--',
      'vllm',
      'serve',
      'Qwen/Qwen3-8B',
      '--max-model-len',
      '4096',
    ]);
    expectCalm(ran);
    expect(ran.code).toBe(0);
    expect(ran.out).toContain('--max-model-len 4096');
    expectRefused(await vram(['plan', '-g', 'h100-sxm', '--', 'ls', '-l']), 2, ['does not start vLLM']);
    expectRefused(await vram(['plan', '-g', 'h100-sxm', '--']), 2, ['does not start vLLM']);
  });

  it.each<[what: string, text: string, says: (string | RegExp)[]]>([
    ['a list', '- --model\n', ['is not a mapping of flags']],
    ['nothing', '', ['is not a mapping of flags']],
    ['a bad indent', 'model: Qwen/Qwen3-8B\n  max-model-len: 3\n', [/\.yaml:\d+:\d+/]],
    ['a key twice', 'model: a\nmodel: b\n', [/\.yaml:2:1/]],
    ['a bad number', 'model: Qwen/Qwen3-8B\nmax-model-len: many\n', ['--max-model-len']],
  ])('a config file with %s', async (_what, text, says) => {
    const file = put(`serve-${Math.random().toString(36).slice(2)}.yaml`, text);
    expectRefused(await vram(from(file)), 2, says);
  });
});
