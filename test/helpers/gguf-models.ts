// Small models of a dozen architectures as GGUF descriptions, complete enough for llama.cpp to load: a few blocks, a few hundred
// channels, matrices in Q8_0. Which tensors an architecture has: src/models/*.cpp of llama.cpp, load_tensors.
import type { GgmlType } from '../../src/spec/ggml-types.ts';
import type { GgufModel, GgufTensor, GgufValue } from '../../src/spec/gguf.ts';

const vocab = 512;
const embd = 256;
const matrix: GgmlType = 'q8_0';

type Named = readonly [name: string, ne: readonly number[], type?: GgmlType];

/** name.weight of type Q8_0 where it has two dimensions, else F32; "name." stands for a name without suffix. */
function tensor([name, ne, type = ne.length > 1 ? matrix : 'f32']: Named): GgufTensor {
  return { name: name.endsWith('.') ? name.slice(0, -1) : name.endsWith('.bias') ? name : `${name}.weight`, ne, type };
}

interface Parts {
  blocks: number;
  metadata: Record<string, GgufValue>;
  block: (index: number) => readonly Named[];
  /** output.weight is missing: the embedding serves. */
  tied?: boolean;
  outside?: readonly Named[];
}

function model(architecture: string, { blocks, metadata, block, tied, outside }: Parts): GgufModel {
  const ends: Named[] = [['token_embd', [embd, vocab]], ...(tied ? [] : [['output', [embd, vocab]] as const])];
  const inner = Array.from({ length: blocks }, (_, i) =>
    block(i).map(([name, ...rest]): Named => [`blk.${i}.${name}`, ...rest]),
  );
  return {
    architecture,
    vocabSize: vocab,
    metadata: {
      block_count: blocks,
      context_length: 8192,
      embedding_length: embd,
      'attention.layer_norm_rms_epsilon': 1e-5,
      ...metadata,
    },
    tensors: [...ends, ...(outside ?? [['output_norm', [embd]]]), ...inner.flat()].map(tensor),
  };
}

interface Heads {
  heads: number;
  kv: number;
  dim: number;
}

const attentionKeys = ({ heads, kv, dim }: Heads) => ({
  'attention.head_count': heads,
  'attention.head_count_kv': kv,
  'attention.key_length': dim,
  'attention.value_length': dim,
  'rope.dimension_count': dim,
  'rope.freq_base': 10_000,
});

const attention = ({ heads, kv, dim }: Heads): Named[] => [
  ['attn_q', [embd, heads * dim]],
  ['attn_k', [embd, kv * dim]],
  ['attn_v', [embd, kv * dim]],
  ['attn_output', [heads * dim, embd]],
];
const gated = (width: number): Named[] => [
  ['ffn_gate', [embd, width]],
  ['ffn_up', [embd, width]],
  ['ffn_down', [width, embd]],
];
const experts = (count: number, width: number): Named[] => [
  ['ffn_gate_inp', [embd, count], 'f32'],
  ['ffn_gate_exps', [embd, width, count]],
  ['ffn_up_exps', [embd, width, count]],
  ['ffn_down_exps', [width, embd, count]],
];
const norms: Named[] = [
  ['attn_norm', [embd]],
  ['ffn_norm', [embd]],
];
const headNorms = (dim: number): Named[] => [
  ['attn_q_norm', [dim]],
  ['attn_k_norm', [dim]],
];

const grouped: Heads = { heads: 8, kv: 2, dim: 32 };
const dense = { ...attentionKeys(grouped), feed_forward_length: 768 };

const llama = (): GgufModel =>
  model('llama', { blocks: 3, metadata: dense, block: () => [...norms, ...attention(grouped), ...gated(768)] });

const mixtral = (): GgufModel =>
  model('llama', {
    blocks: 2,
    metadata: { ...dense, expert_count: 4, expert_used_count: 2 },
    block: () => [...norms, ...attention(grouped), ...experts(4, 768)],
  });

const qwen2 = (): GgufModel =>
  model('qwen2', {
    blocks: 3,
    metadata: dense,
    tied: true,
    block: () => [
      ...norms,
      ...attention(grouped),
      ['attn_q.bias', [256]],
      ['attn_k.bias', [64]],
      ['attn_v.bias', [64]],
      ...gated(768),
    ],
  });

/** Heads wider than the embedding divided by their number. */
const wide: Heads = { heads: 8, kv: 4, dim: 64 };

const qwen3 = (): GgufModel =>
  model('qwen3', {
    blocks: 3,
    metadata: { ...attentionKeys(wide), feed_forward_length: 1024 },
    block: () => [...norms, ...attention(wide), ...headNorms(64), ...gated(1024)],
  });

const qwen3moe = (): GgufModel =>
  model('qwen3moe', {
    blocks: 2,
    metadata: {
      ...attentionKeys(wide),
      feed_forward_length: 1024,
      expert_count: 8,
      expert_used_count: 2,
      expert_feed_forward_length: 128,
    },
    block: () => [...norms, ...attention(wide), ...headNorms(64), ...experts(8, 128)],
  });

/** Six blocks: five with a window of 512, then one that sees all. */
const gemma3 = (): GgufModel =>
  model('gemma3', {
    blocks: 6,
    metadata: { ...attentionKeys(wide), feed_forward_length: 512, 'attention.sliding_window': 512 },
    tied: true,
    block: () => [
      ...norms,
      ['post_attention_norm', [embd]],
      ['post_ffw_norm', [embd]],
      ...attention(wide),
      ...headNorms(64),
      ...gated(512),
    ],
  });

/** Q, K and V in one matrix, gate and up in one. */
const phi3 = (): GgufModel =>
  model('phi3', {
    blocks: 3,
    metadata: { ...dense, 'attention.sliding_window': 0, 'rope.scaling.original_context_length': 8192 },
    block: () => [
      ...norms,
      ['attn_qkv', [embd, 256 + 2 * 64]],
      ['attn_output', [256, embd]],
      ['ffn_up', [embd, 2 * 768]],
      ['ffn_down', [768, embd]],
    ],
  });

/** Latent attention; a dense block first, then routed and shared experts. */
const deepseek2 = (): GgufModel =>
  model('deepseek2', {
    blocks: 3,
    metadata: {
      feed_forward_length: 768,
      'attention.head_count': 4,
      'attention.head_count_kv': 1,
      'attention.key_length': 128 + 32,
      'attention.value_length': 128,
      'attention.key_length_mla': 64 + 32,
      'attention.value_length_mla': 64,
      'attention.kv_lora_rank': 128,
      'attention.q_lora_rank': 192,
      'rope.dimension_count': 32,
      'rope.freq_base': 10_000,
      expert_count: 8,
      expert_used_count: 2,
      expert_feed_forward_length: 128,
      expert_shared_count: 1,
      expert_weights_scale: 1,
      leading_dense_block_count: 1,
    },
    block: (index) => [
      ...norms,
      ['attn_kv_a_norm', [128]],
      ['attn_q_a_norm', [192]],
      ['attn_q_a', [embd, 192]],
      ['attn_q_b', [192, 4 * 96]],
      ['attn_kv_a_mqa', [embd, 160]],
      ['attn_k_b', [64, 128, 4]],
      ['attn_v_b', [128, 64, 4]],
      ['attn_output', [4 * 64, embd]],
      ...(index === 0
        ? gated(768)
        : [
            ...experts(8, 128),
            ['ffn_gate_shexp', [embd, 128]] as const,
            ['ffn_up_shexp', [embd, 128]] as const,
            ['ffn_down_shexp', [128, embd]] as const,
          ]),
    ],
  });

const mamba = (): GgufModel =>
  model('mamba', {
    blocks: 3,
    metadata: {
      feed_forward_length: 0,
      'attention.head_count': 0,
      'ssm.conv_kernel': 4,
      'ssm.inner_size': 512,
      'ssm.state_size': 16,
      'ssm.time_step_rank': 32,
    },
    tied: true,
    block: () => [
      ['attn_norm', [embd]],
      ['ssm_in', [embd, 1024]],
      ['ssm_conv1d', [4, 512], 'f32'],
      ['ssm_conv1d.bias', [512]],
      ['ssm_x', [512, 32 + 2 * 16]],
      ['ssm_dt', [32, 512]],
      ['ssm_dt.bias', [512]],
      ['ssm_a.', [16, 512], 'f32'],
      ['ssm_d.', [512]],
      ['ssm_out', [512, embd]],
    ],
  });

const mamba2Keys = {
  'ssm.conv_kernel': 4,
  'ssm.inner_size': 512,
  'ssm.state_size': 64,
  'ssm.time_step_rank': 16,
  'ssm.group_count': 1,
};
const mamba2: Named[] = [
  ['ssm_in', [embd, 2 * 512 + 2 * 64 + 16]],
  ['ssm_conv1d', [4, 512 + 2 * 64], 'f32'],
  ['ssm_conv1d.bias', [512 + 2 * 64]],
  ['ssm_dt.bias', [16]],
  ['ssm_a.', [1, 16], 'f32'],
  ['ssm_d.', [1, 16], 'f32'],
  ['ssm_out', [512, embd]],
];

/** Every block has attention and a state. */
const falconH1 = (): GgufModel =>
  model('falcon-h1', {
    blocks: 3,
    metadata: { ...dense, ...mamba2Keys },
    block: () => [['attn_norm', [embd]], ['ffn_norm.', [embd]], ...mamba2, ...attention(grouped), ...gated(768)],
  });

/** Attention in the third of four blocks, experts in all. */
const granitehybrid = (): GgufModel =>
  model('granitehybrid', {
    blocks: 4,
    metadata: {
      ...attentionKeys(grouped),
      ...mamba2Keys,
      'attention.head_count_kv': [0, 0, 2, 0],
      feed_forward_length: 128,
      expert_count: 8,
      expert_used_count: 2,
      expert_shared_feed_forward_length: 256,
      'rope.scaling.finetuned': false,
      logit_scale: 16,
      residual_scale: 0.22,
      embedding_scale: 12,
      'attention.scale': 0.0078125,
    },
    tied: true,
    block: (index) => [
      ...norms,
      ...(index === 2 ? attention(grouped) : [...mamba2, ['ssm_norm', [512, 1], 'f32'] as const]),
      ...experts(8, 128),
      ['ffn_gate_shexp', [embd, 256]],
      ['ffn_up_shexp', [embd, 256]],
      ['ffn_down_shexp', [256, embd]],
    ],
  });

/** Short convolutions, attention in every third block. */
const lfm2 = (): GgufModel =>
  model('lfm2', {
    blocks: 3,
    metadata: { ...dense, 'attention.head_count_kv': [0, 0, 2], 'shortconv.l_cache': 3 },
    tied: true,
    outside: [['token_embd_norm', [embd]]],
    block: (index) => [
      ...norms,
      ...(index === 2
        ? [...attention(grouped), ...headNorms(32)]
        : [
            ['shortconv.conv', [3, embd], 'f32'] as const,
            ['shortconv.in_proj', [embd, 3 * embd]] as const,
            ['shortconv.out_proj', [embd, embd]] as const,
          ]),
      ...gated(768),
    ],
  });

/** Sinks, biases everywhere, a window of 128 in every other block. */
const gptOss = (): GgufModel =>
  model('gpt-oss', {
    blocks: 4,
    metadata: {
      ...attentionKeys(wide),
      feed_forward_length: 128,
      expert_count: 8,
      expert_used_count: 2,
      expert_feed_forward_length: 128,
      'attention.sliding_window': 128,
    },
    block: () => [
      ['attn_norm', [embd]],
      ['post_attention_norm', [embd]],
      ...attention(wide),
      ['attn_q.bias', [512]],
      ['attn_k.bias', [256]],
      ['attn_v.bias', [256]],
      ['attn_output.bias', [embd]],
      ['attn_sinks', [8]],
      ...experts(8, 128),
      ['ffn_gate_inp.bias', [8]],
      ['ffn_gate_exps.bias', [128, 8], 'f32'],
      ['ffn_up_exps.bias', [128, 8], 'f32'],
      ['ffn_down_exps.bias', [embd, 8], 'f32'],
    ],
  });

export const smallModels: Readonly<Record<string, GgufModel>> = {
  llama: llama(),
  mixtral: mixtral(),
  qwen2: qwen2(),
  qwen3: qwen3(),
  qwen3moe: qwen3moe(),
  gemma3: gemma3(),
  phi3: phi3(),
  deepseek2: deepseek2(),
  mamba: mamba(),
  'falcon-h1': falconH1(),
  granitehybrid: granitehybrid(),
  lfm2: lfm2(),
  'gpt-oss': gptOss(),
};
