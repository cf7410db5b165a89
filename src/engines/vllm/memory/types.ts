// What a memory budget is made of, and the items a plan shows of it.
import type { Architecture } from '../../../architecture/types.ts';
import type { BudgetItem, Figure } from '../../../plan/types.ts';
import type { GpuSpec } from '../../../spec/gpu.ts';
import type { ModelSpec } from '../../../spec/model.ts';
import type { Profile } from '../profile.ts';
import type { ResolvedOptions } from '../resolved.ts';
import type { MemoryRules } from './rules.ts';

/** An amount with its range and where it comes from. */
export type Amount = Figure;
/** A leaf of one GPU's memory. */
export type MemoryItem = BudgetItem;

export interface Place {
  tensorRank: number;
  stage: number;
}

export interface MemoryInput {
  spec: ModelSpec;
  architecture: Architecture;
  options: ResolvedOptions;
  gpu: GpuSpec;
  profile: Profile<MemoryRules>;
  place: Place;
  /** What this rank loads, as the weights rules have it. */
  weights: { tensorBytes: number; loadedBytes: number; confidence?: Amount['confidence'] };
  /** Total that CUDA reports, where the user states it. */
  totalBytes?: number;
  /** Memory free when the engine starts, where the user states it. */
  freeBytes?: number;
}

/** The terms of the activation peak of the profile run, bytes. */
export interface PeakTerms {
  sampler: number;
  forward: number;
  /** What stays allocated after the run: cuBLAS workspace, expert workspace, sampler scratch. */
  cublas: number;
  workspace: number;
  scratch: number;
  encoder: number;
  total: number;
  kept: number;
}

export interface MemoryBudget {
  totalBytes: number;
  /** What the engine allows itself: total x utilization. */
  requestedBytes: number;
  /** Free memory at start: given, or the total less context and communication. */
  initialFreeBytes: number;
  /** loadedBytes with the adapter slots, as the engine prints it. */
  weights: { tensorBytes: number; loadedBytes: number; loraBytes: number; confidence?: Amount['confidence'] };
  peak: PeakTerms;
  activations: Amount;
  nonTorch: Amount;
  context: Amount;
  communication: Amount;
  buffers: Amount;
  /** The real pool of captured graphs. */
  graphs: Amount;
  /** What the release subtracts for graphs before sizing the KV cache, 0 where it subtracts nothing. */
  graphEstimateBytes: number;
  /** The estimate itself, and whether the start-up log shows it. */
  graphEstimate: number;
  graphEstimateLogged: boolean;
  /** Room for the KV cache as the engine computes it; negative when nothing is left. */
  availableBytes: number;
  availableLowBytes: number;
  availableHighBytes: number;
  /** The figures that the engine prints as weight, peak activation, non-torch or consumed memory. */
  printed: { activationBytes: number; nonTorchBytes: number; consumedBytes?: number };
  /** The start is refused before anything is sized. */
  freeShortfallBytes: number;
}
