// What is known of one combination once it was planned: the words that name it and what the plan, the price list, the speed estimate
// and the quality tables say. Columns read it; it computes nothing.
import type { DeploymentSpeed } from '../speed/types.ts';
import type { KvCachePlan, Verdict, WorkloadPlan } from '../types.ts';

export interface CompareSubject {
  model: string;
  gpu: string;
  /** Devices that the layout takes, over all replicas. */
  gpus: number;
  /** With its version: vllm@0.33.0. */
  engine: string;
  /** Scheme id; none: as published, in 16 bit. */
  quantization: string;
  kvCacheDtype: string;
  parallel: { tp: number; pp: number; dp: number; ep: number };
  /** Of the fullest GPU; null where nothing was planned. */
  memory: MemoryFigures | null;
  verdict: Verdict;
  kvCache: KvCachePlan | null;
  workload: WorkloadPlan | null;
  price: PriceFigures | null;
  speed: DeploymentSpeed | null;
  quality: QualityFigures | null;
}

export interface MemoryFigures {
  tensorBytes: number;
  loadedBytes: number;
  activationBytes: number;
  graphBytes: number;
  budgetBytes: number;
}

export interface PriceFigures {
  /** USD an hour for all GPUs of the row. */
  perHour: number;
  lowPerHour: number;
  highPerHour: number;
}

export interface QualityFigures {
  /** Share of the 16-bit figure that is lost; null where the metric has no such share. */
  relativeLoss: number | null;
  /** none: nothing was quantized. */
  relation: 'model' | 'family' | 'other' | 'none';
  metric: string | null;
}
