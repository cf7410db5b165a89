// The layers of one pipeline stage, or the release's refusal of a partition that does not add up.
import { type StageOptions, stageBounds } from '../pipeline.ts';
import { refuse } from './types.ts';

export function stageRange({ stage, ...options }: StageOptions & { stage: number }): { start: number; end: number } {
  const bounds = stageBounds(options);
  if ('error' in bounds) refuse(bounds.error);
  return { start: bounds[stage]!, end: bounds[stage + 1]! };
}
