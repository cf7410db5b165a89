// A model's configuration -> the GGUF description that convert_hf_to_gguf.py would write: names, dimensions and 16-bit types of
// all tensors, and the metadata that sizes depend on. Towers are left out (they are files of their own, mmproj); checkpoints that
// are quantized count as 16-bit unless their blocks are GGUF's own (MXFP4 experts). Law: conversion/ and gguf-py (v0.5.0).
import { assert } from '../../assert.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import type { ModelSpec } from '../../spec/model.ts';
import type { Architecture, TensorGroup } from '../types.ts';
import { convertGroup } from './convert.ts';
import { denseConversions } from './dense.ts';
import { draftBlocks } from './drafts.ts';
import { commonMetadata } from './metadata.ts';
import { mixtureConversions } from './mixtures.ts';
import { stateConversions } from './state.ts';
import type { Context, Conversion } from './types.ts';

export interface ToGgufOptions {
  /** Blocks of multi-token prediction, where converters differ: true as the newest do. Default: as most published files. */
  drafts?: boolean;
}

/** The description of a 16-bit file; undefined: llama.cpp has no conversion for this class. */
export function toGguf(spec: ModelSpec, expanded: Architecture, options: ToGgufOptions = {}): GgufModel | undefined {
  const conversion = conversionOf(spec);
  if (!conversion) return undefined;
  const context: Context = { spec, config: spec.config, expanded };
  const keepDrafts = options.drafts === false ? false : conversion.drafts === 'kept' || options.drafts === true;
  const drafts = keepDrafts && conversion.drafts ? draftBlocks(context) : { groups: [], blocks: 0 };
  const tensors = [
    ...(conversion.extra?.(context) ?? []),
    ...[...textGroups(expanded), ...drafts.groups].flatMap((group) => convertGroup(group, conversion, context)),
  ];
  const embedding = tensors.find((tensor) => tensor.name === 'token_embd.weight');
  assert(embedding !== undefined, `${spec.id} has no token embedding`);
  const metadata = { ...commonMetadata(context), ...conversion.metadata?.(context) };
  return {
    architecture: conversion.architecture,
    metadata: drafts.blocks > 0 ? withDraftBlocks(metadata, drafts.blocks) : metadata,
    tensors,
    vocabSize: embedding.ne[1] ?? 0,
  };
}

/** The towers' tensors: what the mmproj file of the model holds. */
export function mmprojGroups(expanded: Architecture): readonly TensorGroup[] {
  return expanded.tensors.filter(({ part, derived }) => part !== 'text' && part !== 'mtp' && !derived);
}

function conversionOf(spec: ModelSpec): Conversion | undefined {
  const all: Readonly<Record<string, Conversion>> = { ...denseConversions, ...mixtureConversions, ...stateConversions };
  // InternVL names its text part only by model type; Nemotron-H's class has two architectures.
  const byTextType: Readonly<Record<string, string>> = { internlm2: 'InternLM2ForCausalLM', phi3: 'Phi3ForCausalLM' };
  let name = spec.architecture;
  if (name === 'InternVLChatModel') name = byTextType[spec.textModelType ?? ''] ?? name;
  if (name === 'NemotronHForCausalLM' && (spec.config.experts ?? 0) > 0) name = 'NemotronHForCausalLM_moe';
  return Object.hasOwn(all, name) ? all[name] : undefined;
}

function textGroups(expanded: Architecture): TensorGroup[] {
  return expanded.tensors.filter(({ part, derived, idleKv }) => part === 'text' && !derived && !idleKv);
}

/** Values per block that the converters do not write for drafting blocks (glm.py). */
const mainOnly: readonly string[] = ['attention.indexer.types'];

/** Values per block reach over the drafting blocks, which are like the last one. */
function withDraftBlocks(metadata: GgufModel['metadata'], blocks: number): GgufModel['metadata'] {
  const main = Number(metadata.block_count);
  const entries = Object.entries(metadata).map(([key, value]) => {
    if (!Array.isArray(value) || value.length !== main || mainOnly.includes(key)) return [key, value];
    const last = key === 'attention.recurrent_layers' ? false : (value.at(-1) ?? 0);
    return [key, [...value, ...Array.from({ length: blocks }, () => last)]];
  });
  return { ...Object.fromEntries(entries), block_count: main + blocks, nextn_predict_layers: blocks };
}
