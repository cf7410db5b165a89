// Blocks of multi-token prediction: the converter appends them behind the others, whatever the checkpoint calls them.
// Law: _QwenMtpMixin in conversion/qwen.py, Exaone4_5_TextModel, NemotronHModel, Glm4MoeModel (v0.5.0).
import type { TensorGroup } from '../types.ts';
import type { Context } from './types.ts';

/** Tensors under `mtp.` without a block of their own. */
const mtpRoot: Readonly<Record<string, string>> = {
  'mtp.fc': 'eh_proj',
  'mtp.pre_fc_norm_embedding': 'enorm',
  'mtp.pre_fc_norm_hidden': 'hnorm',
  'mtp.norm': 'shared_head.norm',
};

/** The groups with their blocks numbered behind the main ones; Nemotron's two sub-layers are one block. */
export function draftBlocks(context: Context): { groups: TensorGroup[]; blocks: number } {
  const main = context.config.layers;
  const groups = context.expanded.tensors
    .filter(({ part, derived }) => part === 'mtp' && !derived)
    .map((group) => renumbered(group, main, context));
  return { groups, blocks: groups.length > 0 ? 1 : 0 };
}

function renumbered(group: TensorGroup, main: number, { spec }: Context): TensorGroup {
  const dot = group.name.lastIndexOf('.');
  const root = mtpRoot[group.name.slice(0, dot)];
  const at = { ...group, layers: [main] };
  if (root !== undefined) {
    return { ...at, name: `model.layers.{layer}.${root}${group.name.slice(dot)}` };
  }
  const inner = /^mtp\.layers\.(?:\{layer\}|(\d+))\.(.+)$/.exec(group.name);
  if (!inner) return at;
  const nemotron = spec.architecture === 'NemotronHForCausalLM';
  const rest = inner[2] ?? '';
  if (nemotron && inner[1] === '1' && rest === 'norm.weight') {
    return { ...at, name: 'model.layers.{layer}.post_self_attn_layernorm.weight' };
  }
  if (nemotron && rest === 'final_layernorm.weight') {
    return { ...at, name: 'model.layers.{layer}.shared_head.norm.weight' };
  }
  return { ...at, name: `model.layers.{layer}.${rest}` };
}
