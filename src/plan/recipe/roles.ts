// What a GGUF tensor is for, in the words of a report: by the part of its name after the block.

const rolesBySuffix: readonly (readonly [RegExp, string])[] = [
  [/^attn_q$/, 'attention q'],
  [/^attn_k$/, 'attention k'],
  [/^attn_v$/, 'attention v'],
  [/^attn_qkv$/, 'attention qkv'],
  [/^attn_output$/, 'attention output'],
  [/^attn_gate$/, 'attention gate'],
  [/^attn_(q_a|q_b|kv_a_mqa|kv_b|k_b|v_b)$/, 'attention latent'],
  [/^ffn_(gate|up|down|gate_up)_(ch)?exps$/, 'experts'],
  [/^ffn_(gate|up|down)_shexp$/, 'shared expert'],
  [/^ffn_gate_inp/, 'router'],
  [/^ffn_(gate|up|down)$/, 'MLP'],
  [/^(ssm_|shortconv|time_mix|channel_mix)/, 'state'],
  [/norm/, 'norms'],
];

/** e.g. attention v, experts down, MLP gate, embedding, output, norms, other. */
export function ggufRole(name: string): string {
  if (name === 'token_embd.weight') return 'embedding';
  if (name === 'per_layer_token_embd.weight') return 'embedding per layer';
  if (name === 'output.weight') return 'output';
  if (name.endsWith('.bias') && !name.includes('norm')) return 'biases';
  const suffix = suffixOf(name);
  const role = rolesBySuffix.find(([pattern]) => pattern.test(suffix))?.[1] ?? 'other';
  const part = /^ffn_(gate_up|gate|up|down)/.exec(suffix)?.[1];
  return part && role !== 'router' && role !== 'norms' && role !== 'other' ? `${role} ${part.replace('_', '/')}` : role;
}

/** blk.3.attn_v.weight -> attn_v; names outside of blocks without their ending. */
export function suffixOf(name: string): string {
  return name.replace(/^blk\.\d+\./, '').replace(/\.(weight|bias)$/, '');
}
