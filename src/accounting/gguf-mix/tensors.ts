// Which tensors llama-quantize touches at all, what kind they are, and in which order it visits them.
// Law: src/llama-quant.cpp tensor_allows_quantization, tensor_get_category; llama-model-loader.h weight_name_comparer.
import type { GgufTensor } from '../../spec/gguf.ts';
import type { Kind } from './mixes.ts';

/** Parts of names that keep the source's type: norms, routers, small recurrent and multimodal tensors. */
const untouched: readonly string[] = [
  '_norm.weight',
  'ffn_gate_inp.weight',
  'ffn_gate_tid2eid.weight',
  'altup',
  'laurel',
  'per_layer_model_proj',
  'ssm_conv1d',
  'shortconv.conv.weight',
  'indexer.k_proj.weight',
  'indexer.q_proj.weight',
  'time_mix_first.weight',
  'time_mix_w0.weight',
  'time_mix_w1.weight',
  'time_mix_w2.weight',
  'time_mix_v0.weight',
  'time_mix_v1.weight',
  'time_mix_v2.weight',
  'time_mix_a0.weight',
  'time_mix_a1.weight',
  'time_mix_a2.weight',
  'time_mix_g1.weight',
  'time_mix_g2.weight',
  'time_mix_decay_w1.weight',
  'time_mix_decay_w2.weight',
  'time_mix_lerp_fused.weight',
  'attn_rel_b.weight',
  '.position_embd',
  'sam.pos_embd',
  'sam.neck.',
  'sam.net_',
  '.rel_pos',
  '.patch_embd',
  '.patch_merger',
  'a.rvq.codebook',
  'mm.a.code_embd',
];
const untouchedNames: readonly string[] = ['position_embd.weight', 'token_types.weight'];

/** Matrices and stacks of matrices whose name ends in weight, but for the list above. */
export function isQuantizable(tensor: GgufTensor): boolean {
  const dimensions = tensor.ne.reduce((last, n, i) => (n > 1 ? i + 1 : last), 1);
  if (dimensions < 2 || !tensor.name.endsWith('weight') || untouchedNames.includes(tensor.name)) return false;
  return !untouched.some((part) => tensor.name.includes(part));
}

export type TensorKind = Kind | 'output' | 'attnKvB' | 'other';

const kindByPart: readonly (readonly [string, TensorKind])[] = [
  ['attn_qkv.weight', 'attnQkv'],
  ['attn_kv_b.weight', 'attnKvB'],
  ['attn_v.weight', 'attnV'],
  ['attn_k.weight', 'attnK'],
  ['attn_q.weight', 'attnQ'],
  ['attn_output.weight', 'attnOutput'],
  ['ffn_up', 'ffnUp'],
  ['ffn_gate', 'ffnGate'],
  ['ffn_down', 'ffnDown'],
];

export function tensorKind(name: string): TensorKind {
  if (name === 'output.weight') return 'output';
  if (name === 'token_embd.weight' || name === 'per_layer_token_embd.weight') return 'tokenEmbd';
  return kindByPart.find(([part]) => name.includes(part))?.[1] ?? 'other';
}

/** Number of the block, -1 outside of blocks. */
export function blockOf(name: string): number {
  const match = /^blk\.(\d+)\./.exec(name);
  return match ? Number(match[1]) : -1;
}

/** By block, then by name. */
export function inVisitingOrder(tensors: readonly GgufTensor[]): GgufTensor[] {
  const keyed = tensors.map((tensor) => ({ tensor, block: blockOf(tensor.name) }));
  keyed.sort((a, b) => a.block - b.block || (a.tensor.name < b.tensor.name ? -1 : 1));
  return keyed.map(({ tensor }) => tensor);
}
