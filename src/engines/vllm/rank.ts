// One GPU of a start: its place, what it loads, and its memory budget.
import type { GpuSpec } from '../../spec/gpu.ts';
import type { MemoryBudget } from './memory/index.ts';
import type { RankWeights } from './weights/types.ts';

export interface Rank {
  rank: number;
  stage: number;
  gpu: GpuSpec;
  weights: RankWeights;
  budget: MemoryBudget;
}
