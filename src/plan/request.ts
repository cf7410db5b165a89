// What a plan is asked for, with every reference resolved: pure data in, pure data out.
import type { Profile } from '../engines/vllm/profile.ts';
import type { GpuSpec } from '../spec/gpu.ts';
import type { ModelSpec } from '../spec/model.ts';
import type { NodeSpec } from '../spec/node.ts';
import type { EngineOptions } from '../spec/options.ts';
import type { QuantizationScheme } from '../spec/quantization.ts';

export interface PlanRequest {
  spec: ModelSpec;
  /** How the weights are stored or loaded; undefined for 16 bit. */
  scheme?: QuantizationScheme;
  /** The devices, in rank order; a single one stands for as many as the layout needs. */
  gpus: readonly GpuSpec[];
  /** The machines that they are in, where named: links between ranks and the price follow from them. */
  nodes?: readonly NodeSpec[];
  /** As asked for, and the release whose rules apply. */
  version: string;
  release: string;
  profile: Profile;
  options: EngineOptions;
  /** Memory free on each GPU before the engine starts; default: all that CUDA reports, less the context. */
  freeMemoryBytes?: readonly number[];
  /** The requirement: so many sequences of so many tokens at once. */
  context?: number;
  concurrency?: number;
  /** Figures rest on an assumed architecture: every one counts as estimated. */
  assumedArchitecture?: string;
  /** The separate draft model of --speculative-config, resolved; estimated: made up from the target's sizes. */
  draft?: { spec: ModelSpec; scheme?: QuantizationScheme; estimated?: boolean };
}
