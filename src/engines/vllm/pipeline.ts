// Which decoder layers a pipeline stage owns. Law: vLLM distributed/utils.py get_pp_indices, 0.6 to 0.33;
// VLLM_PP_LAYER_PARTITION overrides it.
import { sum } from '../../units.ts';

/** The remainder goes whole to the last stage (up to 0.7), or one each to the stages before it, from the back (0.8 on). */
export type PipelineSplit = 'remainder-last' | 'remainder-before-last';

export interface StageOptions {
  layers: number;
  stages: number;
  split: PipelineSplit;
  /** VLLM_PP_LAYER_PARTITION: layers per stage, separated by commas. */
  partition?: string | undefined;
}

/** First layer of every stage, and the end: stage s holds [bounds[s], bounds[s + 1]). Or the engine's refusal. */
export function stageBounds(options: StageOptions): number[] | { error: string } {
  const { layers, stages, partition } = options;
  const sizes = partition === undefined ? evenly(options) : partition.split(',').map(Number);
  if (sizes.length !== stages || sum(sizes) !== layers || sizes.some((size) => !Number.isInteger(size) || size < 0)) {
    return { error: `ValueError: sum(partitions)=${sum(sizes)} does not match num_hidden_layers=${layers}.` };
  }
  const bounds = [0];
  for (const size of sizes) bounds.push(bounds.at(-1)! + size);
  return bounds;
}

function evenly({ layers, stages, split }: StageOptions): number[] {
  const sizes = new Array<number>(stages).fill(Math.floor(layers / stages));
  const rest = layers % stages;
  if (split === 'remainder-last') sizes[stages - 1]! += rest;
  else for (let i = 2; i < rest + 2; i++) sizes[stages - i]! += 1;
  return sizes;
}
