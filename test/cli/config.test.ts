// A config.json that is broken, absurd or contradicts itself is refused with its place; what an engine would load is planned.
import { describe, it } from 'vitest';
import { expectRefused, llama, modelFolder, vram } from './run.ts';

const refused: readonly (readonly [what: string, config: unknown, says: readonly (RegExp | string)[]])[] = [
  ['empty', '', [/config\.json is not JSON: the file is empty/]],
  ['blank', ' \n\n', ['the file is empty']],
  ['cut off', '{"model_type": "llama",\n "hidden_size": 40', [/ends too early/, /config\.json:2:\d+/]],
  ['a stray word', '{"model_type": "llama",\n  hidden_size: 4096}', [/config\.json:2:3/]],
  ['a trailing comma', '{"model_type": "llama",\n}', [/config\.json:2:1/]],
  ['an array', '[]', ['expected a JSON object']],
  ['a text', '"llama"', ['expected a JSON object']],
  ['null', 'null', ['expected a JSON object']],
  ['NaN', '{"model_type": "llama", "hidden_size": NaN}', [/unexpected "NaN/, /config\.json:1:\d+/]],
  ['of another program', '{"name": "left-pad", "version": "1.0.0"}', [/no model configuration/, 'model_type']],
  [
    'an infinite size',
    JSON.stringify(llama({ hidden_size: 0 })).replace('"hidden_size":0', '"hidden_size":1e999'),
    ['hiddenSize', 'expected a number'],
  ],
  ['no heads', llama({ num_attention_heads: 0 }), ['heads: must be at least 1']],
  ['negative heads', llama({ num_attention_heads: -32 }), ['heads: must be at least 1']],
  ['half a head', llama({ num_attention_heads: 31.5 }), ['heads: expected an integer']],
  ['heads as text', llama({ num_attention_heads: '32' }), ['heads: expected a number']],
  ['heads as a list', llama({ num_attention_heads: [32] }), ['heads: expected a number']],
  ['no KV heads', llama({ num_key_value_heads: 0 }), ['kvHeads: must be at least 1']],
  ['KV heads that do not divide the heads', llama({ num_key_value_heads: 5 }), ['32 heads', '5 KV heads']],
  ['more KV heads than heads', llama({ num_key_value_heads: 64 }), ['32 heads', '64 KV heads']],
  ['no layers', llama({ num_hidden_layers: 0 }), ['layers: must be at least 1']],
  ['a thousand million layers', llama({ num_hidden_layers: 1e9 }), ['layers: is larger than anything plausible']],
  ['a million million words', llama({ vocab_size: 1e12 }), ['vocabSize: is larger than anything plausible']],
  ['no vocabulary', llama({ vocab_size: 0 }), ['vocabSize: must be at least 1']],
  ['a negative width', llama({ hidden_size: -1 }), ['hiddenSize: must be at least 1']],
  ['a context of nothing', llama({ max_position_embeddings: 0 }), ['maxPositionEmbeddings: must be at least 1']],
  ['a width missing', llama({ hidden_size: undefined }), ['hiddenSize: is required']],
  ['a vocabulary missing', llama({ vocab_size: undefined }), ['vocabSize: is required']],
  ['layers missing', llama({ num_hidden_layers: undefined }), ['layers', 'num_hidden_layers']],
  ['heads missing', llama({ num_attention_heads: undefined }), ['heads', 'num_attention_heads']],
  ['an MLP width missing', llama({ intermediate_size: undefined }), ['intermediateSize', 'intermediate_size']],
  ['an MLP width as text', llama({ intermediate_size: 'wide' }), ['intermediateSize']],
  [
    'a rope that is a list',
    llama({ rope_scaling: { rope_type: 'yarn', factor: 'four' } }),
    ['rope.factor', 'expected number'],
  ],
  ['a negative rope factor', llama({ rope_scaling: { rope_type: 'yarn', factor: -4 } }), ['rope.factor']],
  [
    'more experts per token than experts',
    llama({
      architectures: ['MixtralForCausalLM'],
      model_type: 'mixtral',
      num_local_experts: 4,
      num_experts_per_tok: 8,
    }),
    ['expertsPerToken', '8 of 4 experts'],
  ],
  [
    'a negative number of experts',
    llama({
      architectures: ['MixtralForCausalLM'],
      model_type: 'mixtral',
      num_local_experts: -1,
      num_experts_per_tok: 2,
    }),
    ['experts: must be at least 0'],
  ],
  [
    'a quantization without a method',
    llama({ quantization_config: { bits: 4 } }),
    ['quantization_config', 'quant_method'],
  ],
  ['a quantization of an unknown method', llama({ quantization_config: { quant_method: 'zip', bits: 4 } }), ['zip']],
  [
    'objects nested a hundred thousand deep',
    `{"model_type":"llama","x":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`,
    ['nested'],
  ],
  [
    'lists nested a hundred thousand deep',
    `{"model_type":"llama","x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`,
    ['nested'],
  ],
  [
    'a tower without sizes',
    llama({
      architectures: ['LlavaForConditionalGeneration'],
      model_type: 'llava',
      text_config: llama(),
      vision_config: { model_type: 'clip_vision_model' },
    }),
    ['cannot be read as LlavaForConditionalGeneration'],
  ],
  ['layer types that are no texts', llama({ layer_types: [1, 2] }), ['layerTypes']],
  ['a head of no size', llama({ head_dim: 0 }), ['headDim: must be at least 1']],
  [
    'sizes that no machine could hold',
    llama({ num_attention_heads: 100_000, num_key_value_heads: 100_000, head_dim: 100_000, hidden_size: 1_000_000 }),
    ['elements'],
  ],
];

describe.concurrent('config.json', () => {
  it.each(refused)('%s', async (_what, config, says) => {
    const folder = modelFolder(config);
    expectRefused(await vram(['plan', '-m', folder, '-g', 'rtx4090']), 2, ['config.json', ...says]);
  });
});
