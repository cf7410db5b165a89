// Slots for LoRA adapters, allocated for every adapted linear while the model loads. vLLM lora/layers/base_linear.py,
// column_parallel_linear.py, row_parallel_linear.py create_lora_weights.
import { tensorCount } from '../../../architecture/build.ts';
import type { TensorGroup } from '../../../architecture/types.ts';
import { divCeil } from '../../../units.ts';
import { dtypeBytes } from '../resolved.ts';
import { stageRange } from '../weights/pipeline.ts';
import type { WeightRules } from '../weights/rules.ts';
import type { MemoryInput } from './types.ts';

/**
 * max_loras x rank x (inputs + outputs) x dtype per linear: A holds all inputs of a column-parallel layer and this rank's of a
 * row-parallel one, B this rank's outputs or all of them. Routers, embeddings and towers have no slots here.
 */
export function loraSlotBytes(input: MemoryInput): number {
  const { architecture, options } = input;
  if (!options.enableLora) return 0;
  const slots = (options.maxLoras ?? 1) * (options.maxLoraRank ?? 16) * dtypeBytes[options.dtype];
  let bytes = 0;
  for (const group of architecture.tensors) {
    if (group.part !== 'text' || group.role === 'lm-head' || !group.linear || group.shape.length !== 2) continue;
    const [outputs, inputs] = group.shape as [number, number];
    const { a, b } = slices(group, inputs, outputs, options.tensorParallelSize);
    bytes += slots * (a + b) * countOnRank(group, input);
  }
  return bytes;
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
