// Slots for LoRA adapters, allocated for every adapted linear while the model loads. vLLM lora/layers/base_linear.py,
// column_parallel_linear.py, row_parallel_linear.py create_lora_weights.
import { tensorCount } from '../../../architecture/build.ts';
import type { TensorGroup } from '../../../architecture/types.ts';
import { alignUp, divCeil } from '../../../units.ts';
import { dtypeBytes } from '../resolved.ts';
import { stageRange } from '../weights/pipeline.ts';
import type { WeightRules } from '../weights/rules.ts';
import type { MemoryInput } from './types.ts';

export interface LoraRules {
  'lora.ranks': { choices: number[]; text: string };
  /** Largest vocabulary whose output head takes adapters. */
  'lora.vocabulary': { most: number; text: string };
  /** Tokens that adapters may add to the vocabulary, and the multiple that the slots of the head are padded to. */
  'lora.extraTokens': { tokens: number; headMultiple: number };
  /** Routed experts have slots. */
  'lora.experts': boolean;
  /** Classes whose embedding and output head have slots. */
  'lora.embeddings': string[];
  /** Classes without adapters. */
  'lora.refused': string[];
}

/**
 * max_loras x rank x (inputs + outputs) x dtype per linear: A holds all inputs of a column-parallel layer and this rank's of a
 * row-parallel one, B this rank's outputs or all of them. Routers are linears as well; towers have no slots.
 */
export function loraSlotBytes(input: MemoryInput): number {
  const { architecture, options, profile } = input;
  if (!options.enableLora) return 0;
  const slots = (options.maxLoras ?? 1) * (options.maxLoraRank ?? 16) * dtypeBytes[options.dtype];
  const experts = (profile as Partial<LoraRules>)['lora.experts'] ?? true;
  let bytes = vocabularySlots(input);
  for (const group of architecture.tensors) {
    const isLinear = group.linear === true || group.role === 'router';
    if (group.part !== 'text' || group.role === 'lm-head' || !isLinear || group.shape.length !== 2) continue;
    if (!experts && group.experts !== undefined) continue;
    const [outputs, inputs] = group.shape as [number, number];
    const { a, b } = slices(group, inputs, outputs, options.tensorParallelSize);
    bytes += slots * (a + b) * countOnRank(group, input);
  }
  return bytes;
}

/**
 * Embedding and head, whole on every rank: A and B over the vocabulary, the rows that adapters may add, and the index of the
 * padded vocabulary under tensor parallelism. Up to 0.11 the tables themselves grow by those rows. lora/layers/
 * vocal_parallel_embedding.py, logits_processor.py.
 */
function vocabularySlots({ spec, options, place, profile }: MemoryInput): number {
  const rules = profile as Partial<LoraRules>;
  if (!rules['lora.embeddings']?.includes(spec.architecture)) return 0;
  const { vocabSize, hiddenSize } = spec.config;
  const { tokens: extra, headMultiple } = rules['lora.extraTokens'] ?? { tokens: 0, headMultiple: 1 };
  const { maxLoras = 1, maxLoraRank: rank = 16, tensorParallelSize: tp } = options;
  const bytes = dtypeBytes[options.dtype];
  const added = extra * hiddenSize;
  const grown = (multiple: number): number =>
    extra === 0 ? 0 : ((alignUp(alignUp(vocabSize, 64) + extra, multiple) - alignUp(vocabSize, 64)) / tp) * hiddenSize;
  const embedding = maxLoras * ((vocabSize + extra + hiddenSize) * rank + added) + grown(64);
  const head = maxLoras * ((alignUp(vocabSize + extra, headMultiple) + hiddenSize) * rank + added) + grown(256);
  const index = tp > 1 ? 8 * alignUp(vocabSize + extra, 64) : 0;
  const isFirst = place.stage === 0;
  const isLast = place.stage === options.pipelineParallelSize - 1;
  return (isFirst ? embedding * bytes : 0) + (isLast ? head * bytes + index : 0);
}

function slices(group: TensorGroup, inputs: number, outputs: number, tp: number): { a: number; b: number } {
  const shard = group.shard.by === 'expert' ? group.shard.inner : group.shard;
  switch (shard.by) {
    case 'row':
      return { a: divCeil(inputs, tp), b: outputs };
    case 'replicated':
      return { a: inputs, b: outputs };
    case 'kv-heads':
      return { a: inputs, b: divCeil(outputs, Math.min(tp, shard.heads)) };
    default:
      return { a: inputs, b: divCeil(outputs, tp) };
  }
}

/** Layers of this stage and experts of this rank. */
function countOnRank(group: TensorGroup, { architecture, options, place, profile }: MemoryInput): number {
  const { layers } = group;
  if (!layers) return tensorCount(group);
  const rules = profile as Partial<WeightRules>;
  const partition = options.env?.VLLM_PP_LAYER_PARTITION;
  const { start, end } = stageRange({
    layers: architecture.caches.length,
    stages: options.pipelineParallelSize,
    stage: place.stage,
    split: rules['weights.pipelineSplit'] ?? 'remainder-before-last',
    ...(partition ? { partition } : {}),
  });
  const here = layers.filter((layer) => layer >= start && layer < end).length;
  const ranks = options.enableExpertParallel ? options.tensorParallelSize * options.dataParallelSize : 1;
  return here * divCeil(group.experts ?? 1, ranks);
}
