import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type Diagnostic, InputError } from '../../../src/diagnostics.ts';
import { resolveModel } from '../../../src/load/model.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import { inTemporary, problemsOf } from './helpers.ts';

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 128,
  vocab_size: 256,
  max_position_embeddings: 128,
  torch_dtype: 'bfloat16',
};
const yaml = `id: tiny
architecture: LlamaForCausalLM
modelType: llama
config:
  hiddenSize: 64
  layers: 2
  heads: 4
  intermediateSize: 128
  vocabSize: 256
`;

describe('names', () => {
  it.each([
    ['llama-2-7b', 'llama-2-7b', undefined],
    ['META-LLAMA/llama-3.1-8b-INSTRUCT', 'llama-3.1-8b', undefined],
    ['llama-3.1-8b-instruct', 'llama-3.1-8b', undefined],
    ['qwen3-next', 'qwen3-next-80b-a3b', undefined],
    ['Qwen/Qwen3-32B-FP8', 'qwen3-32b-fp8', undefined],
    ['Qwen/Qwen3-8B-FP8', 'qwen3-8b', 'fp8-block'],
    ['RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w8a8', 'llama-3.1-8b', 'w8a8'],
    ['RedHatAI/Meta-Llama-3.1-8B-Instruct-quantized.w4a16', 'llama-3.1-8b', 'w4a16'],
    ['neuralmagic/Meta-Llama-3.1-70B-Instruct-FP8', 'llama-3.1-70b', 'fp8-static'],
    ['redhatai/llama-3.3-70b-instruct-fp8-dynamic', 'llama-3.3-70b', 'fp8-dynamic'],
    ['Qwen/Qwen2.5-14B-Instruct-AWQ', 'qwen2.5-14b', 'awq'],
    ['Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4', 'qwen2.5-72b', 'gptq'],
    ['Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8', 'qwen2.5-7b', 'gptq-int8'],
    ['nvidia/Llama-3.3-70B-Instruct-NVFP4', 'llama-3.3-70b', 'modelopt-nvfp4'],
    ['nvidia/Llama-3.1-8B-Instruct-FP8', 'llama-3.1-8b', 'modelopt-fp8'],
    ['unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit', 'llama-3.1-8b', 'bitsandbytes'],
    ['hugging-quants/Meta-Llama-3.1-70B-Instruct-AWQ-INT4', 'llama-3.1-70b', 'awq'],
    ['TheBloke/Llama-2-7B-AWQ', 'llama-2-7b', 'awq'],
    ['unsloth/gemma-3-27b-it', 'gemma-3-27b', undefined],
  ])('%s', async (ref, id, scheme) => {
    const model = await resolveModel(ref);
    expect([model.spec.id, model.scheme]).toEqual([id, scheme]);
    if (ref.includes('/')) expect(model.spec.hfId?.toLowerCase()).toBe(ref.toLowerCase());
  });

  it('says which model a short name was taken for', async () => {
    const { spec, diagnostics } = await resolveModel('LLaMA-7B');
    expect(spec.id).toBe('llama-2-7b');
    expect(diagnostics[0]).toMatchObject({ severity: 'note', message: expect.stringContaining('Llama-2-7b-hf') });
  });

  it('gives an instruct checkpoint its own context length', async () => {
    expect((await resolveModel('Qwen/Qwen2.5-14B')).spec.config.maxPositionEmbeddings).toBe(131072);
    expect((await resolveModel('Qwen/Qwen2.5-14B-Instruct')).spec.config.maxPositionEmbeddings).toBe(32768);
    expect((await resolveModel('Qwen/Qwen2.5-14B-Instruct-AWQ')).spec.config.maxPositionEmbeddings).toBe(32768);
  });

  it('answers a miss with near names', async () => {
    const [problem] = await problemsOf(resolveModel('lama-3.1-8b'));
    expect(problem).toMatchObject({ code: 'VRAM104', path: '--model' });
    expect(problem!.hint).toContain('llama-3.1-8b');
  });

  it('never prints control characters', async () => {
    const [problem] = await problemsOf(resolveModel('llama\u001b[31m\u202e; rm -rf $(x)'));
    expect(problem!.message).toContain('\\u001b[31m\\u202e');
  });

  it.each(['', '  '])('refuses %j', async (ref) => {
    expect((await problemsOf(resolveModel(ref)))[0]!.code).toBe('VRAM104');
  });
});

describe('every checkpoint of the published start-ups is known', () => {
  const { cases } = JSON.parse(readFileSync('test/ground-truth/vllm-startups.json', 'utf8')) as {
    cases: { id: string; modelSlug: string; args: string[]; argsById?: string[] }[];
  };
  it.each(cases.map((entry) => [entry.id, entry] as const))('%s', async (_, entry) => {
    for (const args of [entry.args, entry.argsById ?? entry.args]) {
      const model = await resolveModel(args[args.indexOf('--model') + 1]!);
      expect(model.spec.id).toBe(entry.modelSlug);
    }
  });
});

describe('files', () => {
  it('reads a config.json', () =>
    inTemporary({ 'some/tiny.json': JSON.stringify(config) }, async (cwd) => {
      const { spec, from } = await resolveModel('some/tiny.json', { cwd });
      expect(from).toBe('config');
      expect(spec).toMatchObject({ id: 'tiny', architecture: 'LlamaForCausalLM', modelType: 'llama' });
      expect(spec.config).toMatchObject({ hiddenSize: 64, kvHeads: 2, dtype: 'bfloat16' });
    }));

  it('reads a directory and standard input', () =>
    inTemporary({ 'tiny/config.json': JSON.stringify(config) }, async (cwd) => {
      expect((await resolveModel('./tiny', { cwd })).spec.id).toBe('tiny');
      expect((await resolveModel('tiny', { cwd })).spec.id).toBe('tiny');
      expect((await resolveModel('-', { stdin: () => JSON.stringify(config) })).spec.config.layers).toBe(2);
      expect((await resolveModel('-', { stdin: () => yaml })).spec.id).toBe('tiny');
    }));

  it('reads our own YAML, short forms included', () =>
    inTemporary({ 'tiny.yaml': `${yaml}  layerTypes: sliding_attention, 1x full_attention\n` }, async (cwd) => {
      const { spec, from } = await resolveModel('tiny.yaml', { cwd });
      expect(from).toBe('spec');
      expect(spec.config.layerTypes).toEqual(['sliding_attention', 'full_attention']);
    }));

  it('finds the architecture class by model_type', () =>
    inTemporary({ 'x.json': JSON.stringify({ ...config, architectures: undefined }) }, async (cwd) => {
      const { spec, diagnostics } = await resolveModel('x.json', { cwd });
      expect(spec.architecture).toBe('LlamaForCausalLM');
      expect(diagnostics[0]!.code).toBe('VRAM115');
    }));

  it('reads hf_quant_config.json', () =>
    inTemporary(
      {
        'm/config.json': JSON.stringify(config),
        'm/hf_quant_config.json':
          '{"quantization":{"quant_algo":"NVFP4","group_size":16,"exclude_modules":["lm_head"]}}',
      },
      async (cwd) => {
        const { spec } = await resolveModel('m/config.json', { cwd });
        expect(spec.quantization).toEqual({
          method: 'modelopt',
          quantAlgo: 'NVFP4',
          groupSize: 16,
          excludeModules: ['lm_head'],
        });
      },
    ));

  it('is a preset again when its full form is written out', async () => {
    const { stringify } = await import('yaml');
    for (const model of loadPresets('models').slice(0, 40)) {
      expect((await resolveModel('-', { stdin: () => stringify(model) })).spec).toEqual(model);
    }
  });
});

describe('bad files', () => {
  const bad: readonly [string, Record<string, string>, string, Partial<Diagnostic>][] = [
    ['a missing file', {}, 'no.json', { code: 'VRAM111', message: 'no.json: no such file or directory' }],
    ['a directory without config.json', { 'd/x': '' }, './d', { code: 'VRAM111' }],
    ['an empty file', { 'a.json': '' }, 'a.json', { code: 'VRAM103', message: expect.stringContaining('empty') }],
    ['cut-off JSON', { 'a.json': '{\n  "model_type": ' }, 'a.json', { code: 'VRAM103', path: 'a.json:2:17' }],
    ['a JSON syntax error', { 'a.json': '{\n  "a": tru }' }, 'a.json', { code: 'VRAM103', path: 'a.json:2:8' }],
    ['a JSON list', { 'a.json': '[]' }, 'a.json', { code: 'VRAM103' }],
    ['some other JSON', { 'a.json': '{"name":"x"}' }, 'a.json', { code: 'VRAM113' }],
    ['GGUF', { 'a.gguf': 'GGUF' }, 'a.gguf', { code: 'VRAM123' }],
    [
      'a YAML syntax error',
      { 'a.yaml': 'id: [\n  x' },
      'a.yaml',
      { code: 'VRAM102', path: expect.stringMatching(/^a\.yaml:2/) },
    ],
    ['a doubled key', { 'a.yaml': 'id: a\nid: b\n' }, 'a.yaml', { code: 'VRAM102', path: 'a.yaml:2:1' }],
    [
      'an unknown key',
      { 'a.yaml': `${yaml}  hiddenSizes: 3\n` },
      'a.yaml',
      { path: 'a.yaml:10:3', hint: 'did you mean hiddenSize?', message: 'config.hiddenSizes: unknown key' },
    ],
    ['zero heads', { 'a.yaml': yaml.replace('heads: 4', 'heads: 0') }, 'a.yaml', { path: 'a.yaml:7:10' }],
    ['1e99 layers', { 'a.yaml': yaml.replace('layers: 2', 'layers: 1e99') }, 'a.yaml', { path: 'a.yaml:6:11' }],
    ['NaN', { 'a.yaml': yaml.replace('layers: 2', 'layers: .nan') }, 'a.yaml', { path: 'a.yaml:6:11' }],
    ['a negative size', { 'a.yaml': yaml.replace('64', '-64') }, 'a.yaml', { path: 'a.yaml:5:15' }],
    [
      'a fraction',
      { 'a.yaml': yaml.replace('heads: 4', 'heads: 4.5') },
      'a.yaml',
      { message: expect.stringContaining('integer') },
    ],
    [
      'a text for a number',
      { 'a.yaml': yaml.replace('heads: 4', 'heads: many') },
      'a.yaml',
      { message: 'config.heads: expected a number' },
    ],
    [
      'no vocabulary',
      { 'a.yaml': yaml.replace('  vocabSize: 256\n', '') },
      'a.yaml',
      { message: expect.stringContaining('config.vocabSize') },
    ],
    [
      'control characters in the name',
      { 'a.yaml': `name: "x\\u001b[2J"\n${yaml}` },
      'a.yaml',
      { message: 'name: contains control characters' },
    ],
    [
      'an alias bomb',
      {
        'a.yaml': `a: &a [x,x,x,x,x,x,x,x,x]\n${'bcdefgh'
          .split('')
          .map((c, i) => `${c}: &${c} [${Array(9).fill(`*${'abcdefg'[i]}`)}]\n`)
          .join('')}`,
      },
      'a.yaml',
      { code: 'VRAM102', message: expect.stringContaining('alias') },
    ],
    [
      'several documents',
      { 'a.yaml': `${yaml}---\n${yaml}` },
      'a.yaml',
      { code: 'VRAM102', message: expect.stringContaining('several documents') },
    ],
    [
      'a hostile depth of YAML',
      { 'a.yaml': `a: ${'['.repeat(200_000)}` },
      'a.yaml',
      { code: 'VRAM102', message: 'the file is nested too deeply' },
    ],
    [
      'a hostile depth of JSON',
      { 'a.json': `{"model_type":"llama","x":${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}}` },
      'a.json',
      { code: 'VRAM103', message: 'a.json is nested more than 64 deep' },
    ],
    ['a YAML text', { 'a.yaml': 'just words' }, 'a.yaml', { message: 'expected a mapping of keys to values' }],
    [
      'no layers in a config.json',
      { 'a.json': JSON.stringify({ ...config, num_hidden_layers: undefined }) },
      'a.json',
      { message: 'config.layers (num_hidden_layers) is required for model_type llama' },
    ],
    [
      'KV heads that do not divide',
      { 'a.json': JSON.stringify({ ...config, num_key_value_heads: 3 }) },
      'a.json',
      { message: '3 KV heads do not divide 4 heads' },
    ],
    [
      'control characters in the class',
      { 'a.json': JSON.stringify({ ...config, architectures: ['Llama\u001b[2J'] }) },
      'a.json',
      { code: 'VRAM121' },
    ],
    [
      'zero layers in a config.json',
      { 'a.json': JSON.stringify({ ...config, num_hidden_layers: 0 }) },
      'a.json',
      { message: 'layers: must be at least 1' },
    ],
    [
      'huge numbers in a config.json',
      { 'a.json': JSON.stringify({ ...config, vocab_size: 1e40 }) },
      'a.json',
      { message: expect.stringContaining('vocabSize') },
    ],
    [
      'a config.json without hidden_size',
      { 'a.json': JSON.stringify({ ...config, hidden_size: undefined }) },
      'a.json',
      { message: expect.stringContaining('hiddenSize') },
    ],
  ];
  it.each(bad)('%s', (_, files, ref, expected) =>
    inTemporary(files, async (cwd) => {
      expect((await problemsOf(resolveModel(ref, { cwd })))[0]).toMatchObject(expected);
    }),
  );

  it('collects the problems of a file', () =>
    inTemporary({ 'a.yaml': yaml.replace('heads: 4', 'heads: 0').replace('layers: 2', 'layers: -1') }, async (cwd) => {
      expect(await problemsOf(resolveModel('a.yaml', { cwd }))).toHaveLength(2);
    }));

  it('refuses a file larger than any spec', () =>
    inTemporary({ 'a.json': ' '.repeat(17 * 2 ** 20) }, async (cwd) => {
      expect((await problemsOf(resolveModel('a.json', { cwd })))[0]!.code).toBe('VRAM112');
    }));

  it('throws InputError, not something else', async () => {
    await expect(resolveModel('./nowhere/x')).rejects.toBeInstanceOf(InputError);
    await expect(resolveModel(`${'a/'.repeat(4000)}x.json`)).rejects.toBeInstanceOf(InputError);
    await expect(resolveModel('a\0b.json')).rejects.toBeInstanceOf(InputError);
  });
});
