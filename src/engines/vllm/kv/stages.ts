// Which decoder layers a pipeline stage holds. Source: vllm/distributed/utils.py get_pp_indices, 0.6 to 0.33.
import { inputError } from '../../../diagnostics.ts';

export interface StageOptions {
  layers: number;
  pipelineParallelSize: number;
  /** The remainder goes one each to the stages before the last, or whole to the last stage (up to 0.7). */
  remainder: 'beforeLast' | 'last';
  /** VLLM_PP_LAYER_PARTITION: layers per stage, separated by commas. */
  partition?: string | undefined;
}

/** First layer of every stage, and the end: stage s holds [bounds[s], bounds[s + 1]). */
export function stageBounds(options: StageOptions): number[] {
  const { layers, pipelineParallelSize: stages } = options;
  const sizes = options.partition === undefined ? evenly(options) : parsePartition(options.partition, layers, stages);
  const bounds = [0];
  for (const size of sizes) bounds.push(bounds[bounds.length - 1]! + size);
  return bounds;
}

function evenly({ layers, pipelineParallelSize: stages, remainder }: StageOptions): number[] {
  const sizes = new Array<number>(stages).fill(Math.floor(layers / stages));
  const rest = layers % stages;
  if (remainder === 'last') sizes[stages - 1]! += rest;
  else for (let i = 2; i < rest + 2; i++) sizes[(2 * stages - i) % stages]! += 1;
  return sizes;
}

function parsePartition(text: string, layers: number, stages: number): number[] {
  const sizes = text.split(',').map((part) => Number(part.trim()));
  if (sizes.some((size) => !Number.isInteger(size) || size < 0)) {
    throw inputError('VRAM402', `VLLM_PP_LAYER_PARTITION is not a list of layer counts: ${text}`);
  }
  const total = sizes.reduce((a, b) => a + b, 0);
  if (sizes.length !== stages || total !== layers) {
    throw inputError(
      'VRAM402',
      `VLLM_PP_LAYER_PARTITION=${text} does not split ${layers} layers into ${stages} stages`,
    );
  }
  return sizes;
}
