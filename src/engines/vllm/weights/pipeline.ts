// Which decoder layers a pipeline stage owns. Law: vLLM distributed/utils.py get_pp_indices; VLLM_PP_LAYER_PARTITION
// overrides it.
import { sum } from '../../../units.ts';
import { refuse } from './types.ts';

/**
 * First layer and end of a stage. Layers are divided evenly; the remainder goes to the last stage (up to 0.7) or one each to
 * the stages before the last, from the back (0.8 on), so that the stage with the head never gets more.
 */
export function stageRange(options: {
  layers: number;
  stages: number;
  stage: number;
  split: 'remainder-last' | 'remainder-before-last';
  partition?: string;
}): { start: number; end: number } {
  const sizes = stageSizes(options);
  const start = sum(sizes.slice(0, options.stage));
  return { start, end: start + sizes[options.stage]! };
}

function stageSizes(options: Parameters<typeof stageRange>[0]): number[] {
  const { layers, stages, split, partition } = options;
  if (partition) {
    const sizes = partition.split(',').map(Number);
    if (sizes.length !== stages || sum(sizes) !== layers) {
      refuse(`ValueError: sum(partitions)=${sum(sizes)} does not match num_hidden_layers=${layers}.`);
    }
    return sizes;
  }
  const base = Math.floor(layers / stages);
  const sizes = Array.from({ length: stages }, () => base);
  const rest = layers - base * stages;
  if (split === 'remainder-last') sizes[stages - 1]! += rest;
  else for (let i = 2; i <= rest + 1; i++) sizes[stages - i]! += 1;
  return sizes;
}
