// Words shared by the weight rules of vLLM: what a rank is asked for, the modules that vLLM builds from the checkpoint's
// tensors, and the tensors that end up on the device. Sizes here are already those of one rank.
import type { Architecture, TensorRole } from '../../../architecture/types.ts';
import type { GpuSpec } from '../../../spec/gpu.ts';
import type { ModelSpec } from '../../../spec/model.ts';
import type { QuantizationScheme } from '../../../spec/quantization.ts';
import type { Profile } from '../profile.ts';
import type { ResolvedOptions } from '../resolved.ts';
import type { WeightRules } from './rules.ts';

export interface WeightsInput {
  spec: ModelSpec;
  architecture: Architecture;
  /** The scheme the weights are stored or loaded in; undefined or id "none" for 16 bit. */
  scheme?: QuantizationScheme;
  profile: Profile<WeightRules> | Profile;
  gpu: Pick<GpuSpec, 'computeCapability' | 'multiprocessors' | 'vendor' | 'architecture'>;
  options: ResolvedOptions;
  place: { tensorRank: number; stage: number };
  /** The drafter's own model, for speculation with a checkpoint of its own. */
  draft?: { spec: ModelSpec; architecture: Architecture; scheme?: QuantizationScheme; estimated?: boolean };
}

export interface RankWeights {
  /** Bytes of every tensor the rank holds after the weights were processed, buffers included. */
  tensorBytes: number;
  /** What "Model loading took" prints: blocks of torch's caching allocator, workspaces included. */
  loadedBytes: number;
  /** tensorBytes by part of the model. */
  parts: Record<string, number>;
  confidence: 'exact' | 'derived' | 'estimated';
}

/** A tensor on the device. `loaded` tensors that post-processing replaces do not appear. */
export interface DeviceTensor {
  name: string;
  bytes: number;
  part: string;
  /** Decoder layer it belongs to. */
  layer?: number;
  /** Every tensor-parallel rank of the stage holds all of it. */
  whole?: boolean;
  /** Made while the checkpoint is read and kept by the loader's own objects: printed, but not a tensor of the model. */
  loaderState?: boolean;
}

export type Parallel = 'column' | 'row' | 'replicated';

/** One checkpoint matrix inside a linear module. */
export interface Member {
  /** Checkpoint name without ".weight". */
  name: string;
  role: TensorRole;
  /** Output rows on this rank, and in the checkpoint. */
  rows: number;
  fullRows: number;
}

/** A linear layer as vLLM builds it: one weight of inputs x outputs, made of one or several checkpoint matrices. */
export interface LinearModule {
  kind: 'linear';
  name: string;
  part: string;
  members: readonly Member[];
  inputs: number;
  fullInputs: number;
  outputs: number;
  parallel: Parallel;
  /** Elements of the bias on this rank. */
  bias: number;
  /** May a scheme quantize it at all (its role is one of a linear layer)? */
  quantizable: boolean;
  /** Bytes of an element when not in the model's dtype. */
  elementBytes?: number;
  layer?: number;
}

/** The routed experts of one layer. */
export interface ExpertsModule {
  kind: 'experts';
  name: string;
  part: string;
  members: readonly Member[];
  experts: number;
  fullExperts: number;
  hidden: number;
  /** Intermediate size on this rank, and of the model. */
  inner: number;
  fullInner: number;
  gated: boolean;
  bias: boolean;
  layer?: number;
}

/** Anything that no scheme touches: norms, embeddings, convolutions, parameters of their own. */
export interface PlainModule {
  kind: 'plain';
  name: string;
  part: string;
  role: TensorRole;
  elements: number;
  elementBytes: number;
  /** Every tensor-parallel rank holds all of it. */
  whole: boolean;
  layer?: number;
}

export type Module = LinearModule | ExpertsModule | PlainModule;

export class Refusal extends Error {
  override name = 'Refusal';
}

/** Stops planning with the release's own text; rankWeights turns it into `{ error }`. */
export function refuse(message: string): never {
  throw new Refusal(message);
}
