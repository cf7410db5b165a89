// The small commands around a plan: tensors of a model, presets with sources, schemas, completion.
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { run as completion } from '../../../src/commands/completion.ts';
import { run as schema } from '../../../src/commands/schema.ts';
import { run as show } from '../../../src/commands/show.ts';
import { inProcess } from '../../ground-truth/in-process.ts';

describe('vram show', () => {
  it('lists tensors as the contract says', async () => {
    const { out } = await inProcess(show, ['model', 'mixtral-8x7b', '--tensors', '--json']);
    const { result } = JSON.parse(out);
    expect(result.tensors).toContainEqual({
      name: 'model.layers.{0..31}.self_attn.q_proj.weight',
      shape: [4096, 4096],
      count: 32,
      role: 'q',
    });
    const parameters = result.tensors.reduce(
      (sum: number, { shape, count }: { shape: number[]; count: number }) =>
        sum + count * shape.reduce((a, b) => a * b, 1),
      0,
    );
    expect(parameters).toBe(46_702_792_704);
  });

  it.each([
    ['model', 'qwen3-8b', /^id: qwen3-8b$/m],
    ['gpu', 'rtx4090', /^id: rtx4090$/m],
    ['quantization', 'w4a16', /compressed_tensors/],
    ['engine', 'vllm@0.19.0', /^release: 0\.19\.1$/m],
  ])('%s %s with its sources', async (kind, ref, text) => {
    expect((await inProcess(show, [kind, ref])).out).toMatch(text);
  });
});

describe('vram schema', () => {
  it.each(['plan', 'model', 'gpu'])('%s is a JSON Schema', async (what) => {
    const { $schema, type } = JSON.parse((await inProcess(schema, [what])).out);
    expect($schema).toContain('json-schema.org');
    expect(type).toBe('object');
  });
});

describe('vram completion', () => {
  it.each(['bash', 'zsh', 'fish'])('%s knows commands and options', async (shell) => {
    const { out } = await inProcess(completion, [shell]);
    for (const word of ['plan', 'completion', 'tensor-parallel-size', 'from-command']) expect(out).toContain(word);
    if (shell === 'bash') expect(spawnSync('bash', ['-n'], { input: out }).status).toBe(0);
  });

  it('asks for names at completion time', async () => {
    expect((await inProcess(completion, ['--names', 'gpus'])).out.split('\n')).toContain('rtx4090');
  });
});
