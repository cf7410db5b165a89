// Nemotron-H, Nemotron Nano 2 and Nemotron 3: every layer is one mixer behind one norm, named by a letter of the pattern
// (M Mamba-2, * attention, - plain MLP, E mixture of experts). Attention has no positions; MLPs and experts are not gated;
// Nemotron 3 Super and Ultra run their experts in a smaller latent space.
// transformers/models/nemotron_h, vllm/model_executor/models/nemotron_h.py and nemotron_h_mtp.py.
import { assert } from '../../../assert.ts';
import type { ModelConfig, ModelSpec } from '../../../spec/model.ts';
import { attention, attentionSizes, embedding, linear, lmHead, norm } from '../../build.ts';
import type { Architecture, CacheLayout, ForwardShape, LayerCaches, TensorGroup } from '../../types.ts';
import { type Mamba2Sizes, mamba2Mixer, mamba2State } from './mixers/mamba2.ts';
import { plainMlp, relu2Experts } from './nemotron-moe.ts';
import { flagOf, layersOf, listOf, numberOf } from './text.ts';

type Letter = 'M' | '*' | '-' | 'E';

export function nemotronH({ config }: ModelSpec): Architecture {
  const { hiddenSize, vocabSize } = config;
  const pattern = lettersOf(config, 'hybridOverridePattern', 'layersBlockType');
  assert(pattern.length > 0, 'configuration lacks hybrid_override_pattern and layers_block_type');
  const tied = config.tieWordEmbeddings ?? false;
  const prefix = 'backbone.layers.{layer}';
  const draft = draftLayers(config);
  return {
    tensors: [
      embedding('backbone.embeddings', vocabSize, hiddenSize),
      ...mamba2Mixer(`${prefix}.mixer`, mixerSizes(config), { layers: layersOf(pattern, 'M') }),
      ...denseLayers(`${prefix}.mixer`, config, layersOf(pattern, '-')),
      ...attention(`${prefix}.mixer`, hiddenSize, attentionSizes(config), { layers: layersOf(pattern, '*') }),
      ...relu2Experts(`${prefix}.mixer`, config, { layers: layersOf(pattern, 'E') }),
      ...norm(`${prefix}.norm`, hiddenSize, { layers: pattern.map((_, layer) => layer) }),
      ...norm('backbone.norm_f', hiddenSize),
      ...(tied ? [] : lmHead(vocabSize, hiddenSize)),
      ...draft.tensors,
    ].filter((group) => group.layers?.length !== 0),
    caches: cachesFor(config, pattern),
    ...(draft.caches.length > 0 ? { draftCaches: draft.caches } : {}),
    forward: forwardOf(config, pattern),
    rotary: [],
    tied,
    attention: 'hybrid-mamba',
  };
}

/** The pattern as letters, whether the file states letters or the words of newer configs. */
function lettersOf(config: ModelConfig, letters: string, words: string): Letter[] {
  const pattern = config[letters];
  if (typeof pattern === 'string') return [...pattern] as Letter[];
  const names: Readonly<Record<string, Letter>> = { mamba: 'M', attention: '*', mlp: '-', moe: 'E' };
  return (listOf<string>(config, words) ?? []).map((word) => {
    const letter = names[word];
    assert(letter, `unknown layer kind ${word}`);
    return letter;
  });
}

/** Plain MLPs; some pruned members give one width per MLP layer. */
function denseLayers(prefix: string, config: ModelConfig, layers: number[]): TensorGroup[] {
  const widths = listOf<number>(config, 'intermediateSize');
  const bias = flagOf(config, 'mlpBias', false);
  const sizes = { hiddenSize: config.hiddenSize, bias };
  if (!widths || widths.length === 1) {
    const width = widths?.[0] ?? numberOf(config, 'intermediateSize', 21504);
    return plainMlp(prefix, { ...sizes, width }, { layers });
  }
  return layers.flatMap((layer, index) =>
    plainMlp(prefix, { ...sizes, width: widths[index] ?? 0 }, { layers: [layer] }),
  );
}

/** The multi-token-prediction step: the layers of its own pattern, an input projection before and a norm after. */
function draftLayers(config: ModelConfig): { tensors: TensorGroup[]; caches: LayerCaches[] } {
  const { hiddenSize } = config;
  const pattern = numberOf(config, 'numNextnPredictLayers', 0) > 0 ? draftPattern(config) : [];
  const part = 'mtp' as const;
  const tensors = pattern.flatMap((letter, index) => {
    const prefix = `mtp.layers.${index}`;
    return [
      ...(letter === '*' ? attention(`${prefix}.mixer`, hiddenSize, attentionSizes(config), { part }) : []),
      ...(letter === 'E' ? relu2Experts(`${prefix}.mixer`, config, { part }) : []),
      ...norm(`${prefix}.norm`, hiddenSize, { part }),
      ...(index === 0 ? draftInput(prefix, hiddenSize) : []),
      ...(index === pattern.length - 1 ? norm(`${prefix}.final_layernorm`, hiddenSize, { part }) : []),
    ];
  });
  return { tensors, caches: cachesFor(config, pattern) };
}

function draftPattern(config: ModelConfig): Letter[] {
  return lettersOf(config, 'mtpHybridOverridePattern', 'mtpLayersBlockType');
}

function draftInput(prefix: string, hiddenSize: number): TensorGroup[] {
  const part = 'mtp' as const;
  return [
    ...norm(`${prefix}.enorm`, hiddenSize, { part }),
    ...norm(`${prefix}.hnorm`, hiddenSize, { part }),
    ...linear(`${prefix}.eh_proj`, [hiddenSize, 2 * hiddenSize], { part, role: 'mtp', shard: { by: 'column' } }),
  ];
}

function cachesFor(config: ModelConfig, pattern: readonly Letter[]): LayerCaches[] {
  const { kv, headDim } = attentionSizes(config);
  const byLetter: Readonly<Partial<Record<Letter, CacheLayout>>> = {
    M: { kind: 'state', state: mamba2State(mixerSizes(config)) },
    '*': { kind: 'full', kvHeads: kv, headDim },
  };
  return pattern.flatMap((letter, layer) => {
    const layout = byLetter[letter];
    return layout ? [{ layer, caches: [layout] }] : [];
  });
}

function forwardOf(config: ModelConfig, pattern: readonly Letter[]): ForwardShape {
  const { queryDim, kvDim, kv } = attentionSizes(config);
  const { hiddenSize, vocabSize } = config;
  const widths = listOf<number>(config, 'intermediateSize') ?? [numberOf(config, 'intermediateSize', 21504)];
  const moeLayers = layersOf(pattern, 'E').length;
  return {
    hiddenSize,
    queryDim,
    kvDim,
    kvHeads: kv,
    intermediateSize: pattern.includes('-') ? Math.max(...widths) : 0,
    gatedMlp: false,
    ...(moeLayers > 0
      ? {
          moe: {
            experts: config.experts ?? 0,
            topK: config.expertsPerToken ?? 1,
            intermediateSize: numberOf(config, 'moeIntermediateSize'),
            sharedIntermediateSize:
              numberOf(config, 'sharedExperts', 0) * numberOf(config, 'moeSharedExpertIntermediateSize', 0),
            layers: moeLayers,
          },
        }
      : {}),
    vocabSize,
  };
}

/** Defaults of NemotronHConfig. */
function mixerSizes(config: ModelConfig): Mamba2Sizes {
  const heads = numberOf(config, 'mambaNumHeads', 128);
  const headDim = numberOf(config, 'mambaHeadDim', 64);
  return {
    hiddenSize: config.hiddenSize,
    inner: heads * headDim,
    state: numberOf(config, 'ssmStateSize', 128),
    conv: numberOf(config, 'convKernel', 4),
    heads,
    headDim,
    groups: numberOf(config, 'nGroups', 8),
    convBias: flagOf(config, 'useConvBias', true),
    bias: flagOf(config, 'useBias', false),
    gatedNorm: true,
  };
}
