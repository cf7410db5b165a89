// YAML specs of models and GPUs that people write by hand: every fault has its line and column, and all are told at once.
import { describe, expect, it } from 'vitest';
import { expectCalm, expectRefused, put, vram, yamlSpec } from './run.ts';

const bomb = `a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n${Array.from({ length: 9 }, (_, i) => `a${i + 1}: &a${i + 1} [${Array(10).fill(`*a${i}`).join(',')}]`).join('\n')}\n`;

const models: readonly (readonly [what: string, text: string, says: readonly (RegExp | string)[]])[] = [
  ['a bad indent', 'id: mine\nconfig:\n  layers: 2\n heads: 3\n', [/\.yaml:4:\d+/]],
  ['an open quote', 'id: "mine\n', [/\.yaml:\d+:\d+/]],
  ['an open bracket', 'id: [mine\n', [/\.yaml:\d+:\d+/]],
  ['a tab as indent', 'id: mine\nconfig:\n\tlayers: 2\n', [/\.yaml:3:\d+/]],
  ['a key twice', 'id: mine\nid: yours\n', [/\.yaml:2:1/, /unique|twice|duplicate/i]],
  ['a nested key twice', yamlSpec({ config: '  layers: 2\n  layers: 3\n' }), [/\.yaml:6:3/]],
  ['aliases that multiply', bomb, [/alias/i, /\.yaml:\d+:\d+/]],
  ['an alias to nothing', 'id: *nothing\n', [/\.yaml:1:\d+/]],
  ['an alias to itself', 'id: &a [*a]\n', [/\.yaml:\d+:\d+/]],
  ['nesting a hundred thousand deep', `id: ${'['.repeat(100_000)}`, ['nested']],
  ['maps nested deep', `${Array.from({ length: 2000 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')}\n`, ['nested']],
  ['two documents', `${yamlSpec()}---\n${yamlSpec()}`, [/document/i]],
  ['nothing', '', [/\.yaml/]],
  ['only a comment', '# to do\n', [/\.yaml/]],
  ['a list', '- id: mine\n', [/expected object|expected a mapping/i]],
  ['a text', 'mine\n', [/expected object|expected a mapping/i]],
  [
    'an unknown key',
    `${yamlSpec()}  hidenSize: 4096\n`,
    [/hidenSize: unknown key/, 'did you mean hiddenSize?', /\.yaml:12:3/],
  ],
  ['an unknown key at the top', `idd: mine\n${yamlSpec()}`, [/idd: unknown key/, 'did you mean id?', /\.yaml:1:1/]],
  [
    'a number as text',
    yamlSpec({ config: '  hiddenSize: "2048"\n  vocabSize: 9\n' }),
    [/config\.hiddenSize: expected a number/, /\.yaml:5:\d+/],
  ],
  [
    'a size below zero',
    yamlSpec({ config: '  hiddenSize: -1\n  vocabSize: 9\n' }),
    [/config\.hiddenSize: must be at least 1/, /\.yaml:5:\d+/],
  ],
  [
    'not a number',
    yamlSpec({ config: '  hiddenSize: .nan\n  vocabSize: 9\n' }),
    [/config\.hiddenSize: expected a number/],
  ],
  ['infinity', yamlSpec({ config: '  hiddenSize: .inf\n  vocabSize: 9\n' }), [/config\.hiddenSize/]],
  ['no configuration', 'id: mine\narchitecture: LlamaForCausalLM\nmodelType: llama\n', [/config: is required/]],
  [
    'an id with capitals',
    yamlSpec({ head: 'id: Mine Own\narchitecture: A\nmodelType: llama\n' }),
    ['an id has lower-case letters', /\.yaml:1:5/],
  ],
  [
    'an id of shell words',
    yamlSpec({ head: 'id: "$(reboot)"\narchitecture: A\nmodelType: llama\n' }),
    ['an id has lower-case letters'],
  ],
  [
    'an escape in a name',
    yamlSpec({ head: 'id: mine\nname: "\\e[2J"\narchitecture: A\nmodelType: llama\n' }),
    ['contains control characters', /\.yaml:2:7/],
  ],
  [
    'a text that turns the reading direction',
    yamlSpec({ head: 'id: mine\nname: "a\\u202eb"\narchitecture: A\nmodelType: llama\n' }),
    ['contains control characters'],
  ],
  [
    'an unknown architecture',
    yamlSpec({ head: 'id: mine\narchitecture: FooForCausalLM\nmodelType: foo\n' }),
    ['FooForCausalLM', '--assume-architecture'],
  ],
  [
    'KV heads that do not divide',
    yamlSpec({
      config:
        '  hiddenSize: 2048\n  intermediateSize: 8192\n  layers: 16\n  heads: 32\n  kvHeads: 5\n  vocabSize: 99\n',
    }),
    ['32 heads', '5 KV heads'],
  ],
  [
    'layers left out',
    yamlSpec({ config: '  hiddenSize: 2048\n  intermediateSize: 8192\n  heads: 32\n  vocabSize: 99\n' }),
    ['layers'],
  ],
  ['bytes that are no text', '\u0000\u0001\u0002PNG', [/\.yaml/]],
];

const gpus: readonly (readonly [what: string, text: string, says: readonly (RegExp | string)[]])[] = [
  [
    'no memory',
    'id: mine\nname: Mine\nvendor: nvidia\n',
    [/driverTotalBytes: is required/, /cudaTotalBytes: is required/],
  ],
  [
    'memory of zero',
    'id: mine\nname: Mine\nvendor: nvidia\ndriverTotalBytes: 0\ncudaTotalBytes: 0\n',
    [/driverTotalBytes: must be at least 1/, /\.yaml:4:\d+/],
  ],
  [
    'memory beyond reason',
    'id: mine\nname: Mine\nvendor: nvidia\ndriverTotalBytes: 1e18\ncudaTotalBytes: 1e9\n',
    [/larger than anything plausible/],
  ],
  [
    'an unknown vendor',
    'id: mine\nname: Mine\nvendor: acme\ndriverTotalBytes: 100\ncudaTotalBytes: 100\n',
    [/vendor/, 'nvidia'],
  ],
  [
    'an unknown key',
    'id: mine\nname: Mine\nvendor: nvidia\nmemory: 24GiB\ndriverTotalBytes: 100\ncudaTotalBytes: 100\n',
    [/memory: unknown key/, /\.yaml:4:1/],
  ],
];

describe.concurrent('a YAML spec', () => {
  it.each(models)('of a model with %s', async (_what, text, says) => {
    const file = put(`${Math.random().toString(36).slice(2)}.yaml`, text);
    expectRefused(await vram(['plan', '-m', file, '-g', 'rtx4090']), 2, says);
  });

  it.each(gpus)('of a GPU with %s', async (_what, text, says) => {
    const file = put(`${Math.random().toString(36).slice(2)}.yaml`, text);
    expectRefused(await vram(['plan', '-m', 'llama-3.1-8b', '-g', file]), 2, says);
  });

  it('of a GPU whose file is named like several GPUs is read', async () => {
    const file = put('2x-mine.yaml', 'id: mine\nname: Mine\nvendor: nvidia\n');
    expectRefused(await vram(['plan', '-m', 'llama-3.1-8b', '-g', file]), 2, [
      '2x-mine.yaml',
      /driverTotalBytes: is required/,
    ]);
  });

  it('tells all faults at once', async () => {
    const file = put('many.yaml', yamlSpec({ config: '  hiddenSize: 0\n  vocabSize: 0\n  laiers: 3\n' }));
    const ran = await vram(['plan', '-m', file, '-g', 'rtx4090']);
    expectRefused(ran, 2, ['many.yaml:5:15', 'many.yaml:6:14', 'many.yaml:7:3']);
    expect(ran.err.match(/^error: /gm)).toHaveLength(3);
  });

  it('is planned when it is right, from a file and from standard input', async () => {
    const file = put('right.yaml', yamlSpec());
    const [fromFile, fromStdin] = await Promise.all([
      vram(['plan', '-m', file, '-g', 'rtx4090', '--format', 'flags']),
      vram(['plan', '-m', '-', '-g', 'rtx4090', '--format', 'flags'], { stdin: yamlSpec() }),
    ]);
    for (const ran of [fromFile, fromStdin]) {
      expectCalm(ran);
      expect(ran.code).toBe(0);
      expect(ran.out).toContain('--max-model-len 8192');
    }
    expect(fromStdin.out).toBe(fromFile.out);
  });
});
