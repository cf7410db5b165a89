// The tensors of a GGUF file as they are shown: blocks whose tensor has one shape and one type share a row, and a summary by type.
import { type GgmlType, tensorBytes } from '../spec/ggml-types.ts';
import type { GgufTensor } from '../spec/gguf.ts';
import { indexPattern } from './listing.ts';
import type { TensorRole } from './types.ts';

export interface GgufRow {
  /** e.g. blk.{0..3,6,9}.attn_v.weight */
  name: string;
  /** As ggml orders them: the row length first. */
  shape: readonly number[];
  count: number;
  role: TensorRole;
  type: GgmlType;
  /** Of all of them. */
  bytes: number;
}

export interface TypeSum {
  type: string;
  tensors: number;
  bytes: number;
}

/** In the order of the file. */
export function ggufRows(tensors: readonly GgufTensor[]): GgufRow[] {
  const groups = new Map<string, { tensor: GgufTensor; blocks: number[] }>();
  for (const tensor of tensors) {
    const [, block] = /^blk\.(\d{1,6})\./.exec(tensor.name) ?? [];
    const key = `${patternOf(tensor.name)} ${tensor.type} ${tensor.ne}`;
    const group = groups.get(key);
    if (group) group.blocks.push(Number(block));
    else groups.set(key, { tensor, blocks: block === undefined ? [] : [Number(block)] });
  }
  return [...groups.values()].map(({ tensor, blocks }) => {
    const count = Math.max(1, blocks.length);
    return {
      name: patternOf(tensor.name).replace('{block}', indexPattern(blocks.sort((a, b) => a - b))),
      shape: tensor.ne,
      count,
      role: roleOf(tensor.name),
      type: tensor.type,
      bytes: count * tensorBytes(tensor.type, tensor.ne),
    };
  });
}

/** By type, the largest first. */
export function ggufTypes(tensors: readonly GgufTensor[]): TypeSum[] {
  return typeSums(tensors.map(({ type, ne }) => ({ type, bytes: tensorBytes(type, ne) })));
}

/** Sums over tensors by type, the largest first. */
export function typeSums(tensors: Iterable<{ type: string; bytes: number }>): TypeSum[] {
  const sums = new Map<string, TypeSum>();
  for (const { type, bytes } of tensors) {
    const found = sums.get(type) ?? { type, tensors: 0, bytes: 0 };
    sums.set(type, { type, tensors: found.tensors + 1, bytes: found.bytes + bytes });
  }
  return [...sums.values()].sort((a, b) => b.bytes - a.bytes || (a.type < b.type ? -1 : 1));
}

function patternOf(name: string): string {
  return name.replace(/^blk\.\d{1,6}\./, 'blk.{block}.');
}

/** Names of gguf-py/gguf/constants.py, without block and suffix. */
const roles: Readonly<Record<string, TensorRole>> = {
  token_embd: 'embedding',
  position_embd: 'position-embedding',
  output: 'lm-head',
  attn_q: 'q',
  attn_k: 'k',
  attn_v: 'v',
  attn_qkv: 'qkv',
  attn_output: 'o',
  attn_q_a: 'q-a',
  attn_q_b: 'q-b',
  attn_kv_a_mqa: 'kv-a',
  attn_kv_b: 'kv-b',
  attn_k_b: 'kv-b',
  attn_v_b: 'kv-b',
  ffn_gate: 'gate',
  ffn_up: 'up',
  ffn_down: 'down',
  ffn_gate_inp: 'router',
  ffn_gate_exps: 'expert-gate',
  ffn_up_exps: 'expert-up',
  ffn_gate_up_exps: 'expert-gate-up',
  ffn_down_exps: 'expert-down',
  ffn_gate_shexp: 'shared-gate',
  ffn_up_shexp: 'shared-up',
  ffn_down_shexp: 'shared-down',
  ffn_gate_inp_shexp: 'shared-router',
  ssm_in: 'state-in',
  ssm_out: 'state-out',
};

function roleOf(name: string): TensorRole {
  const part = name.replace(/^blk\.\d+\./, '').replace(/\.(weight|bias)$/, '');
  if (Object.hasOwn(roles, part)) return roles[part]!;
  if (part.endsWith('_norm')) return 'norm';
  if (part.startsWith('ssm_') || part.startsWith('shortconv')) return 'state-other';
  if (part.startsWith('indexer.')) return 'indexer';
  return part.startsWith('nextn.') ? 'mtp' : 'other';
}
