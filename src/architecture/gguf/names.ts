// Checkpoint names -> GGUF names. Most modules mean the same in every model and stand in one table; the few that do not
// (post_attention_layernorm) are overridden by the conversion of the architecture. Law: gguf-py/gguf/tensor_mapping.py and
// gguf-py/gguf/constants.py TENSOR_NAMES (v0.5.0); experts of one layer are one stacked tensor there.

/** A GGUF name, or several: the matrix is then cut along its rows into equal parts. */
export type Target = string | readonly string[];
export type NameTable = Readonly<Record<string, Target>>;

function all(target: string, ...modules: string[]): [string, string][] {
  return modules.map((module) => [module, target]);
}

/** gate, up and down of one feed-forward part under the names of the two habits: Llama's and Mixtral's. */
function feedForward(prefix: string, suffix: string): [string, string][] {
  return [
    ...all(`ffn_gate${suffix}`, `${prefix}.gate_proj`, `${prefix}.w1`),
    ...all(`ffn_up${suffix}`, `${prefix}.up_proj`, `${prefix}.w3`),
    ...all(`ffn_down${suffix}`, `${prefix}.down_proj`, `${prefix}.w2`),
  ];
}

/** Outside of blocks, without .weight or .bias. */
export const rootModules: NameTable = Object.fromEntries([
  ...all(
    'token_embd',
    'embed_tokens',
    'wte',
    'word_embeddings',
    'embed_in',
    'tok_embeddings',
    'embeddings',
    'embeddings.word_embeddings',
    'embedding.word_embeddings',
    'embed',
  ),
  ...all('token_embd_norm', 'word_embeddings_layernorm', 'embeddings.LayerNorm', 'emb_ln', 'embedding_norm'),
  ...all('position_embd', 'wpe', 'embeddings.position_embeddings'),
  ...all('token_types', 'embeddings.token_type_embeddings'),
  ...all('output_norm', 'norm', 'ln_f', 'norm_f', 'final_layer_norm', 'final_layernorm'),
  ...all('output', 'lm_head', 'embed_out', 'output', 'output_layer', 'head'),
  ...all('cls', 'classifier.dense'),
  ...all('cls.output', 'classifier.out_proj'),
  ...all('per_layer_token_embd', 'embed_tokens_per_layer'),
  ...all('per_layer_model_proj', 'per_layer_model_projection'),
  ...all('per_layer_proj_norm', 'per_layer_projection_norm'),
]);

const attention: [string, string][] = [
  ...all(
    'attn_norm',
    'input_layernorm',
    'ln_1',
    'norm_1',
    'ln_mlp',
    'attention_norm',
    'norm',
    'norm_attn_norm.norm_1',
    'operator_norm',
    'attn_norm',
  ),
  ...all('attn_norm_2', 'ln_attn', 'self_attn.norm'),
  ...all(
    'attn_qkv',
    'attention.query_key_value',
    'attn.c_attn',
    'attn.Wqkv',
    'norm_attn_norm.attn.Wqkv',
    'self_attention.query_key_value',
    'self_attn.qkv_proj',
    'linear_attn.in_proj_qkv',
  ),
  ...all('attn_q', 'self_attn.q_proj', 'attention.self.query', 'attn.attention.q_proj', 'mixer.q_proj'),
  ...all('attn_k', 'self_attn.k_proj', 'attention.self.key', 'attn.attention.k_proj', 'mixer.k_proj'),
  ...all('attn_v', 'self_attn.v_proj', 'attention.self.value', 'attn.attention.v_proj', 'mixer.v_proj'),
  ...all(
    'attn_output',
    'self_attn.o_proj',
    'self_attn.out_proj',
    'self_attn.dense',
    'attention.dense',
    'attn.c_proj',
    'attn.out_proj',
    'self_attention.dense',
    'attention.output.dense',
    'norm_attn_norm.attn.out_proj',
    'attention.wo',
    'attn.attention.out_proj',
    'mixer.o_proj',
  ),
  ...all('attn_output_norm', 'attention.output.LayerNorm', 'norm1', 'norm_attn_norm.norm_2'),
  ...all('attn_q_norm', 'self_attn.q_norm', 'self_attn.q_layernorm', 'self_attn.query_layernorm'),
  ...all('attn_k_norm', 'self_attn.k_norm', 'self_attn.k_layernorm', 'self_attn.key_layernorm'),
  ...all('attn_gate', 'linear_attn.in_proj_z', 'self_attn.output_gate'),
  ...all('attn_q_a', 'self_attn.q_a_proj', 'attn.wq_a'),
  ...all('attn_q_b', 'self_attn.q_b_proj', 'attn.wq_b'),
  ...all('attn_q_a_norm', 'self_attn.q_a_layernorm', 'attn.q_norm'),
  ...all('attn_kv_a_mqa', 'self_attn.kv_a_proj_with_mqa'),
  ...all('attn_kv_a_norm', 'self_attn.kv_a_layernorm', 'attn.kv_norm'),
  ...all('attn_kv_b', 'self_attn.kv_b_proj'),
  ...all('attn_kv', 'attn.wkv'),
  ...all('attn_output_a', 'attn.wo_a'),
  ...all('attn_output_b', 'attn.wo_b'),
  ...all('indexer.attn_q_b', 'self_attn.indexer.wq_b', 'attn.indexer.wq_b'),
  ...all('indexer.attn_k', 'self_attn.indexer.wk'),
  ...all('indexer.proj', 'self_attn.indexer.weights_proj', 'attn.indexer.weights_proj'),
  ...all('indexer.k_norm', 'self_attn.indexer.k_norm', 'self_attn.index_k_norm'),
  ...all('indexer.q_norm', 'self_attn.index_q_norm'),
  ...all('indexer.q_proj', 'self_attn.index_q_proj'),
  ...all('indexer.k_proj', 'self_attn.index_k_proj'),
  ...all('indexer_compressor_kv', 'attn.indexer.compressor.wkv'),
  ...all('indexer_compressor_gate', 'attn.indexer.compressor.wgate'),
  ...all('indexer_compressor_norm', 'attn.indexer.compressor.norm'),
  ...all('attn_compressor_kv', 'attn.compressor.wkv'),
  ...all('attn_compressor_gate', 'attn.compressor.wgate'),
  ...all('attn_compressor_norm', 'attn.compressor.norm'),
];

const mlp: [string, string][] = [
  ...all(
    'ffn_norm',
    'post_attention_layernorm',
    'ln_2',
    'norm_2',
    'ffn_norm',
    'pre_ff_layernorm',
    'pre_feedforward_layernorm',
  ),
  ...all('post_attention_norm', 'post_self_attn_layernorm'),
  ...all('post_ffw_norm', 'post_feedforward_layernorm', 'post_mlp_layernorm'),
  ...all('pre_ffw_norm_2', 'pre_feedforward_layernorm_2'),
  ...all('post_ffw_norm_1', 'post_feedforward_layernorm_1'),
  ...all('post_ffw_norm_2', 'post_feedforward_layernorm_2'),
  ...all('layer_output_norm', 'output.LayerNorm', 'norm2'),
  ...feedForward('mlp', ''),
  ...feedForward('feed_forward', ''),
  ...all(
    'ffn_up',
    'mlp.dense_h_to_4h',
    'mlp.c_fc',
    'ffn.up_proj',
    'intermediate.dense',
    'mlp.fc1',
    'mlp.gate_up_proj',
    'mlp.fc11',
    'mlp.c_fc_1',
    'mixer.up_proj',
  ),
  ...all('ffn_gate', 'mlp.fc12', 'mlp.c_fc_0'),
  ...all('ffn_down', 'mlp.dense_4h_to_h', 'mlp.c_proj', 'ffn.down_proj', 'output.dense', 'mlp.fc2', 'mixer.down_proj'),
  ...all(
    'ffn_gate_inp',
    'block_sparse_moe.gate',
    'block_sparse_moe.router.layer',
    'mlp.gate',
    'mlp.gate.wg',
    'mlp.router',
    'ffn.router.layer',
    'ffn.gate',
    'feed_forward.router',
    'feed_forward.gate',
    'mixer.gate',
    'router.proj',
  ),
  ...all('ffn_gate_inp_shexp', 'mlp.shared_expert_gate'),
  ...feedForward('block_sparse_moe.experts.{expert}', '_exps'),
  ...feedForward('mlp.experts.{expert}', '_exps'),
  ...feedForward('feed_forward.experts.{expert}', '_exps'),
  ...feedForward('mixer.experts.{expert}', '_exps'),
  ...feedForward('ffn.experts.{expert}', '_exps'),
  ...feedForward('block_sparse_moe.shared_experts', '_shexp'),
  ...feedForward('mlp.shared_experts', '_shexp'),
  ...feedForward('mlp.shared_expert', '_shexp'),
  ...feedForward('mlp.shared_mlp', '_shexp'),
  ...feedForward('feed_forward.shared_expert', '_shexp'),
  ...feedForward('mixer.shared_experts', '_shexp'),
  ...feedForward('ffn.shared_experts', '_shexp'),
  ...all('ffn_down_exps', 'block_sparse_moe.output_linear'),
  ...all('ffn_down_shexp', 'shared_mlp.output_linear'),
  ...all('ffn_latent_down', 'mixer.fc1_latent_proj'),
  ...all('ffn_latent_up', 'mixer.fc2_latent_proj'),
  ...all('ffn_routed_down', 'block_sparse_moe.routed_expert_down_proj'),
  ...all('ffn_routed_up', 'block_sparse_moe.routed_expert_up_proj'),
  ...all('ffn_routed_norm', 'block_sparse_moe.routed_expert_norm'),
  ...all('inp_gate', 'per_layer_input_gate'),
  ...all('proj', 'per_layer_projection'),
  ...all('post_norm', 'post_per_layer_input_norm'),
];

const recurrent: [string, string][] = [
  ...all('ssm_in', 'mamba.in_proj', 'mixer.in_proj'),
  ...all('ssm_conv1d', 'mamba.conv1d', 'mixer.conv1d', 'linear_attn.conv1d'),
  ...all('ssm_x', 'mamba.x_proj', 'mixer.x_proj'),
  ...all('ssm_dt', 'mamba.dt_proj', 'mixer.dt_proj'),
  ...all('ssm_dt_norm', 'mamba.dt_layernorm'),
  ...all('ssm_b_norm', 'mamba.b_layernorm'),
  ...all('ssm_c_norm', 'mamba.c_layernorm'),
  ...all('ssm_norm', 'mamba.norm', 'mixer.norm', 'linear_attn.norm', 'self_attn.o_norm'),
  ...all('ssm_out', 'mamba.out_proj', 'mixer.out_proj', 'linear_attn.out_proj'),
  ...all('ssm_ba', 'linear_attn.in_proj_ba'),
  ...all('ssm_alpha', 'linear_attn.in_proj_a'),
  ...all('ssm_beta', 'linear_attn.in_proj_b', 'self_attn.b_proj'),
  ...all('ssm_conv1d_q', 'self_attn.q_conv1d'),
  ...all('ssm_conv1d_k', 'self_attn.k_conv1d'),
  ...all('ssm_conv1d_v', 'self_attn.v_conv1d'),
  ...all('ssm_f_a', 'self_attn.f_a_proj'),
  ...all('ssm_f_b', 'self_attn.f_b_proj'),
  ...all('ssm_g_a', 'self_attn.g_a_proj'),
  ...all('ssm_g_b', 'self_attn.g_b_proj'),
  ...all('shortconv.conv', 'conv.conv'),
  ...all('shortconv.in_proj', 'conv.in_proj'),
  ...all('shortconv.out_proj', 'conv.out_proj'),
];

/** Blocks that only draft. */
const nextn: [string, string][] = [
  ...all('nextn.eh_proj', 'eh_proj'),
  ...all('nextn.enorm', 'enorm'),
  ...all('nextn.hnorm', 'hnorm'),
  ...all('nextn.shared_head_norm', 'shared_head.norm'),
];

/** Inside of blocks, without .weight or .bias. */
export const blockModules: NameTable = {
  ...Object.fromEntries([...attention, ...mlp, ...recurrent, ...nextn]),
  'block_sparse_moe.input_linear': ['ffn_gate_exps', 'ffn_up_exps'],
  'shared_mlp.input_linear': ['ffn_gate_shexp', 'ffn_up_shexp'],
};

/** Inside of blocks, by the whole name: what has neither .weight nor .bias, or changes it. */
export const blockNames: NameTable = {
  ...Object.fromEntries([
    ...all('ssm_a', 'mamba.A_log', 'mixer.A_log', 'linear_attn.A_log', 'self_attn.A_log'),
    ...all('ssm_d', 'mamba.D', 'mixer.D'),
    ...all('ssm_dt.bias', 'mamba.dt_bias', 'mixer.dt_bias', 'linear_attn.dt_bias', 'self_attn.dt_bias'),
    ...all('attn_sinks.weight', 'self_attn.sinks', 'self_attn.attention_sink_bias', 'attn.attn_sink'),
    ...all(
      'exp_probs_b.bias',
      'mlp.gate.e_score_correction_bias',
      'mlp.moe_statics.e_score_correction_bias',
      'block_sparse_moe.e_score_correction_bias',
      'block_sparse_moe.gate.e_score_correction_bias',
      'mixer.gate.e_score_correction_bias',
      'feed_forward.expert_bias',
      'ffn.gate.bias',
    ),
    ...all('ffn_gate_tid2eid.weight', 'ffn.gate.tid2eid'),
    ...all('layer_output_scale.weight', 'layer_scalar'),
    ...all('ffn_gate_inp.scale', 'router.scale'),
    ...all('ffn_down_exps.scale', 'router.per_expert_scale'),
    ...all('ffn_gate_up_exps.weight', 'experts.gate_up_proj'),
    ...all('ffn_gate_exps.weight', 'ffn.experts.mlp.w1'),
    ...all('ffn_up_exps.weight', 'ffn.experts.mlp.v1'),
    ...all(
      'ffn_down_exps.weight',
      'ffn.experts.mlp.w2',
      'mlp.experts.down_proj',
      'feed_forward.experts.down_proj',
      'experts.down_proj',
    ),
    ...all('ffn_down_exps.bias', 'mlp.experts.down_proj_bias'),
    ...all('indexer_compressor_ape.weight', 'attn.indexer.compressor.ape'),
    ...all('attn_compressor_ape.weight', 'attn.compressor.ape'),
    ...['hc_attn_fn', 'hc_attn_base', 'hc_attn_scale', 'hc_ffn_fn', 'hc_ffn_base', 'hc_ffn_scale'].map(
      (name): [string, string] => [name, `${name}.weight`],
    ),
  ]),
  'mlp.experts.gate_up_proj': ['ffn_gate_exps.weight', 'ffn_up_exps.weight'],
  'mlp.experts.gate_up_proj_bias': ['ffn_gate_exps.bias', 'ffn_up_exps.bias'],
  'feed_forward.experts.gate_up_proj': ['ffn_gate_exps.weight', 'ffn_up_exps.weight'],
};

/** Outside of blocks, by the whole name. */
export const rootNames: NameTable = {
  hc_head_fn: 'output_hc_fn.weight',
  hc_head_base: 'output_hc_base.weight',
  hc_head_scale: 'output_hc_scale.weight',
};

const wrappers = /^(?:model|transformer|backbone|gpt_neox|language_model|roberta|encoder|decoder)\./;
const block = /(?:^|\.)(?:layers|mtp_layers|h|blocks|layer|mtp)\.(\{layer\}|\d+)\.(.+)$/;

export interface ParsedName {
  /** Name inside its block, or without the wrappers of the model. */
  inner: string;
  /** Numbered by the group's layers, by a number of its own, or outside of blocks. */
  place: 'layers' | 'root' | number;
}

export function parseName(name: string): ParsedName {
  const match = block.exec(name);
  if (match) return { inner: match[2] ?? '', place: match[1] === '{layer}' ? 'layers' : Number(match[1]) };
  let inner = name;
  while (wrappers.test(inner)) inner = inner.replace(wrappers, '');
  return { inner, place: 'root' };
}
