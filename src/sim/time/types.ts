// The shapes of the step-time model: what it is told about a server, and what it answers.
import type { ForwardWork } from '../../accounting/work.ts';
import type { Architecture } from '../../architecture/types.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import type { Dtype, JsonObject, ModelSpec } from '../../spec/model.ts';
import type { NodeSpec } from '../../spec/node.ts';
import type { QuantizationScheme } from '../../spec/quantization.ts';
import type { StepWork } from '../types.ts';

export const stepBounds = ['compute', 'bandwidth', 'network', 'PCIe', 'overhead'] as const;
/** network: messages between ranks, whatever carries them; PCIe: between host and device. */
export type StepBound = (typeof stepBounds)[number];

export interface StepTime {
  /** Duration of one step; where ranks step together, of the slowest. */
  seconds(work: Readonly<StepWork>): number;
  /** What most of that time goes to. */
  bound(work: Readonly<StepWork>): StepBound;
  /** Seconds by cause; they sum to more than `total` where the host is slower than the device. */
  breakdown(work: Readonly<StepWork>): StepBreakdown;
  /** Data-parallel ranks that wait for each other in every step (mixtures of experts); 1 where they do not. */
  synchronizedRanks: number;
  estimate: 'roofline' | 'fitted';
  uncertainty: string;
  coefficients: Coefficients;
}

export interface StepBreakdown {
  dense: number;
  experts: number;
  attention: number;
  elementwise: number;
  head: number;
  communication: number;
  /** Proposing draft tokens. */
  draft: number;
  /** Blocks and offloaded weights that come from the host. */
  transfer: number;
  overhead: number;
  /** Of the total, what the device computes; meanwhile nobody else can. */
  device: number;
  total: number;
  bound: StepBound;
}

export interface StepTimeInput {
  spec: Pick<ModelSpec, 'config'>;
  architecture: Architecture;
  gpu: GpuSpec;
  /** The machine it is in, where that is known: how far NVLink reaches, what the network carries. */
  node?: NodeSpec | undefined;
  scheme?: QuantizationScheme | undefined;
  /** What forwardWork says of these inputs, where it is known already. */
  forward?: ForwardWork;
  /** The separate draft model of speculative decoding. */
  draft?: { spec: ModelSpec; scheme?: QuantizationScheme | undefined };
  /** Resolved options of the engine; every default filled in. */
  options: StepTimeOptions;
}

export interface StepTimeOptions {
  dtype: Dtype;
  kvCacheDtype: string;
  tensorParallelSize: number;
  pipelineParallelSize: number;
  dataParallelSize: number;
  enableExpertParallel: boolean;
  enforceEager: boolean;
  cudagraphMode: 'NONE' | 'PIECEWISE' | 'FULL_AND_PIECEWISE' | 'FULL' | 'FULL_DECODE_ONLY';
  captureSizes: readonly number[];
  asyncScheduling: boolean;
  /** Generation of the engine: V0 schedules and streams in one process. Absent: V1. */
  engine?: 'v0' | 'v1';
  /** Weights of each rank that stay on the host and are read over PCIe in every pass (--cpu-offload-gb). */
  cpuOffloadBytes?: number;
  /** Draft tokens per step and how they are made, as in --speculative-config. */
  speculativeTokens?: number;
  speculativeConfig?: JsonObject | undefined;
}

/** Seconds per message, and bytes per second each way. */
export interface LinkCoefficients {
  seconds: number;
  rate: number;
}

/** The law's coefficients for one device and server, with all defaults filled in. Bytes and FLOPs per second are effective rates. */
export interface Coefficients {
  /** Matrix products: memory rate, 16-bit and quantized-format compute rates. */
  weightRate: number;
  computeRate: number;
  quantizedComputeRate: number;
  expertShare: number;
  attentionRate: number;
  attentionComputeRate: number;
  elementwiseRate: number;
  /** Rows of the tile that a decoding query takes alone in a batch with prefill; 0 where such batches are split. */
  mixedTileRows: number;
  launchSeconds: number;
  /** Time of the host per sequence of a step that does not overlap with the device. */
  sequenceSeconds: number;
  layerSeconds: number;
  /** What routing, sorting and combining add where a layer has experts. */
  expertLayerSeconds: number;
  /** Time of the host to launch one layer kernel by kernel, and around captured pieces. */
  eagerLayerSeconds: number;
  piecewiseLayerSeconds: number;
  /** Between the ranks of a tensor-parallel group, between those that share experts, from stage to stage. */
  tensorLink: LinkCoefficients;
  expertLink: LinkCoefficients;
  stageLink: LinkCoefficients;
  /** Agreement of the data-parallel ranks on the shape of a step. */
  rankSyncSeconds: number;
  /** Between host and device. */
  hostRate: number;
}
