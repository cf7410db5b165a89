// Which blocks have K and V, and which a recurrent state. Law: src/llama-model.cpp create_memory (the layer filters of its caches),
// src/llama-hparams.cpp has_kv.
import type { LlamaHparams } from './hparams.ts';
import type { LlamaRules } from './rules.ts';

interface LayerRules {
  'kv.none': readonly string[];
  'kv.draftLayersLeftOut': 'all' | readonly string[];
}

/** Architectures whose every block has attention and a state side by side. */
const bothInOne: readonly string[] = ['falcon-h1'];
const withoutAttention: readonly string[] = ['mamba', 'mamba2', 'rwkv6', 'rwkv6qwen2', 'rwkv7', 'arwkv7'];
/** Blocks that are a feed-forward part alone have neither. */
const feedForwardBlocks: readonly string[] = ['nemotron_h', 'nemotron_h_moe'];

export type MemoryKind = 'none' | 'attention' | 'recurrent' | 'hybrid';

/** What kind of memory a build makes for a model. */
export function memoryKind(hparams: LlamaHparams, rules: LlamaRules): MemoryKind {
  const { architecture, recurrent } = hparams;
  if ((rules as unknown as LayerRules)['kv.none'].includes(architecture)) return 'none';
  if (withoutAttention.includes(architecture)) return 'recurrent';
  return recurrent.some(Boolean) ? 'hybrid' : 'attention';
}

/** Blocks that attend, whether or not they own a cache. */
export function attentionLayers(hparams: LlamaHparams, rules: LlamaRules): number[] {
  if (withoutAttention.includes(hparams.architecture)) return [];
  const both = bothInOne.includes(hparams.architecture);
  const last = hparams.layers - (draftLeftOut(hparams, rules) ? hparams.nextnLayers : 0);
  return blocks(last).filter((il) => (both || !hparams.recurrent[il]) && !isFeedForward(il, hparams));
}

/** Blocks with K and V of their own. */
export function cacheLayers(hparams: LlamaHparams, rules: LlamaRules): number[] {
  if (memoryKind(hparams, rules) === 'none') return [];
  return attentionLayers(hparams, rules).filter((il) => il < hparams.kvFromStart);
}

/** Blocks with a recurrent state. */
export function recurrentLayers(hparams: LlamaHparams): number[] {
  return blocks(hparams.layers - hparams.nextnLayers).filter((il) => hparams.recurrent[il]);
}

function draftLeftOut(hparams: LlamaHparams, rules: LlamaRules): boolean {
  const law = (rules as unknown as LayerRules)['kv.draftLayersLeftOut'];
  return law === 'all' || law.includes(hparams.architecture);
}

function isFeedForward(il: number, hparams: LlamaHparams): boolean {
  return feedForwardBlocks.includes(hparams.architecture) && (hparams.feedForward[il] ?? 0) > 0;
}

function blocks(count: number): number[] {
  return Array.from({ length: count }, (_, il) => il);
}
