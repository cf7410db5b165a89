// One tensor group of the checkpoint -> its GGUF tensors: names, dimensions with the row first, and the type that the converter
// writes. Law: conversion/base.py prepare_tensors, gguf-py/gguf/tensor_mapping.py (v0.5.0).
import { assert } from '../../assert.ts';
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { GgufTensor } from '../../spec/gguf.ts';
import type { ModelSpec } from '../../spec/model.ts';
import type { TensorGroup } from '../types.ts';
import { blockModules, blockNames, parseName, rootModules, rootNames, type Target } from './names.ts';
import type { Context, Conversion, Piece } from './types.ts';

/** All tensors of a group, block by block. */
export function convertGroup(group: TensorGroup, conversion: Conversion, context: Context): GgufTensor[] {
  const { inner, place } = parseName(group.name);
  if (conversion.dropped?.includes(inner)) return [];
  const pieces =
    conversion.transforms?.[inner]?.(group, context) ?? renamed(group, inner, place === 'root', conversion);
  const blocks = place === 'layers' ? (group.layers ?? []) : place === 'root' ? [undefined] : [place];
  return blocks.flatMap((block) =>
    pieces
      .map((piece) => ({ ...piece, type: piece.type ?? conversion.sourceType?.(group) }))
      .map((piece) => finish(piece, block === undefined ? '' : `blk.${block}.`, group, context)),
  );
}

/** The tensor under its GGUF name, or cut into equal parts. */
function renamed(group: TensorGroup, inner: string, root: boolean, conversion: Conversion): Piece[] {
  const targets = targetNames(inner, root, conversion);
  assert(targets !== undefined, `no GGUF name for ${group.name}`);
  const [out = 1, ...rest] = group.shape;
  const ne = [...rest].reverse().concat(out / targets.length);
  if (group.experts !== undefined) ne.push(group.experts);
  return targets.map((name) => ({ name, ne }));
}

function targetNames(inner: string, root: boolean, conversion: Conversion): string[] | undefined {
  const names = { ...(root ? rootNames : blockNames), ...conversion.names };
  const modules = { ...(root ? rootModules : blockModules), ...conversion.names };
  const list = (target: Target) => (typeof target === 'string' ? [target] : [...target]);
  const whole = names[inner];
  if (whole !== undefined) return list(whole);
  const match = /^(.+)\.(weight|bias)$/.exec(inner);
  const target = match?.[1] === undefined ? undefined : modules[match[1]];
  return target === undefined ? undefined : list(target).map((name) => `${name}.${match?.[2]}`);
}

/** Names that stay in 32 bits whatever their shape (conversion/base.py prepare_tensors). */
const alwaysF32 =
  /(?:_norm\.weight|(?:ffn_gate_inp|ffn_gate_inp_shexp|ssm_conv1d|ssm_conv1d_[qkv]|shortconv\.conv|indexer\.proj)\.weight|^(?:position_embd|token_types)\.weight)$/;

function finish(piece: Piece, prefix: string, group: TensorGroup, context: Context): GgufTensor {
  const ne = withoutTrailingOnes(piece.ne);
  return { name: `${prefix}${piece.name}`, ne, type: piece.type ?? sourceType(piece.name, ne, group, context) };
}

function withoutTrailingOnes(ne: readonly number[]): number[] {
  const last = ne.reduce((found, n, i) => (n > 1 ? i : found), 0);
  return ne.slice(0, last + 1);
}

function sourceType(name: string, ne: readonly number[], group: TensorGroup, { spec }: Context): GgmlType {
  if (ne.length < 2 || alwaysF32.test(name) || !name.endsWith('.weight')) return 'f32';
  if (group.role.startsWith('expert-') && mxfp4Experts(spec)) return 'mxfp4';
  return spec.config.dtype === 'float16' ? 'f16' : 'bf16';
}

/** Checkpoints whose expert matrices are MXFP4 blocks, which the converter only repacks. */
function mxfp4Experts(spec: ModelSpec): boolean {
  const { quantization } = spec;
  return (
    quantization?.method === 'mxfp4' ||
    quantization?.format === 'mxfp4-pack-quantized' ||
    spec.config.expertDtype === 'fp4'
  );
}
