// From what is known of a GPU to the coefficients of the step-time law. Without measurements they follow from the data sheet with
// shares of its generation. Single kernels come out within about 15 % (test/unit/time/kernels.test.ts), whole published runs within 30 %
// mostly (test/ground-truth/speed.test.ts).

import { groupLink, hostCopyShare, pcieBytesPerSecond } from '../../accounting/link.ts';
import type { GpuSpec } from '../../spec/gpu.ts';
import type { NodeSpec } from '../../spec/node.ts';
import type { QuantizationScheme } from '../../spec/quantization.ts';
import { type KernelShares, kernelShares } from './shares.ts';
import type { Coefficients, LinkCoefficients, StepTimeOptions } from './types.ts';

/**
 * Undefined where the device's bandwidth is not known. What a preset does not state comes from its generation (shares.ts) and from timed
 * kernels: prefill attention .5 to .8 of large products; two thirds of what elementwise kernels touch misses the cache; 10 us for the
 * small kernels of a layer and 10 us for its attention; 40 us for routing, sorting and combining where a layer has experts (decoding
 * alone, Qwen3-30B-A3B, GLM-4.6 and DeepSeek-V3 take 40 to 160 us a layer more than their bytes). The gap between steps is 0.3 ms on the RTX
 * 4090 run, taken as 1 ms elsewhere; what does not overlap with the device comes on top (hostSeconds).
 */
export function coefficientsOf(
  gpu: GpuSpec,
  options: StepTimeOptions,
  scheme: QuantizationScheme | undefined,
  node?: NodeSpec,
): Coefficients | undefined {
  const bandwidth = gpu.bandwidthBytesPerSecond;
  const dense = denseFlops(gpu, options);
  if (bandwidth === undefined || dense === undefined) return undefined;
  const known = gpu.stepTime;
  const shares = kernelShares(gpu);
  const computeRate = dense * (known?.computeEfficiency ?? shares.compute);
  const host = hostSeconds(options);
  return {
    weightRate: bandwidth * (known?.bandwidthEfficiency ?? shares.weights),
    computeRate,
    quantizedComputeRate: quantizedRate({ gpu, scheme, dense, computeRate, shares }),
    expertShare: known?.expertEfficiency ?? shares.experts,
    attentionRate: bandwidth * (known?.attentionBandwidthEfficiency ?? shares.attention),
    attentionComputeRate: computeRate * (known?.prefillAttentionEfficiency ?? 0.65),
    elementwiseRate: bandwidth / (known?.elementwiseMemoryShare ?? 0.65),
    mixedTileRows: mixedTileRows(gpu),
    launchSeconds: (known?.launchSeconds ?? 0.001) + host.step,
    sequenceSeconds: host.sequence,
    layerSeconds: known?.layerSeconds ?? 0.00002,
    expertLayerSeconds: 0.00004,
    eagerLayerSeconds: 0.0001,
    piecewiseLayerSeconds: 0.00005,
    ...linksOf(gpu, options, node),
    rankSyncSeconds: 0.0003,
    hostRate: hostCopyShare * pcieBytesPerSecond(gpu),
  };
}

/**
 * What the host does between two steps while the device waits. Scheduling, inputs and outputs take time per sequence: without
 * overlap 0.3 ms and 10 us a sequence in V1 (async scheduling gains 12 to 16 % on gpt-oss-20b with up to 1000 sequences, gpustack
 * performance lab); V0 did it all in one process with the API server, 2 ms and 0.1 ms a sequence (blog.vllm.ai 2024-09-05: 62 % of the
 * time of Llama-3-8B on an H100; LambdaLabsML/vllm-benchmark).
 */
function hostSeconds({ engine, asyncScheduling }: StepTimeOptions): { step: number; sequence: number } {
  if (engine === 'v0') return { step: 0.002, sequence: 0.0001 };
  return asyncScheduling ? { step: 0, sequence: 0 } : { step: 0.0003, sequence: 0.00001 };
}

interface QuantizedRateInput {
  gpu: GpuSpec;
  scheme: QuantizationScheme | undefined;
  dense: number;
  computeRate: number;
  shares: KernelShares;
}

/** 8 or 4-bit products where the device and the scheme have them; else weights are unpacked on the way. */
function quantizedRate({ gpu, scheme, dense, computeRate, shares }: QuantizedRateInput): number {
  if (!scheme || scheme.format === 'none') return computeRate;
  const small = quantizedFlops(gpu, scheme);
  if (small !== undefined) return computeRate * (small / dense) * shares.quantized;
  // Machete, for checkpoints of compressed-tensors, is written for Hopper.
  const isMachete = gpu.computeCapability === '9.0' && scheme.method === 'compressed-tensors';
  return computeRate * (isMachete ? Math.max(0.8, shares.unpacking) : shares.unpacking);
}

/** Tensor throughput in the type that activations have. GPUs without bfloat16 compute in float16. */
function denseFlops(gpu: GpuSpec, { dtype }: StepTimeOptions): number | undefined {
  const { fp16, bf16 } = gpu.flops ?? {};
  const half = (dtype === 'float16' ? (fp16 ?? bf16) : (bf16 ?? fp16)) ?? inferredFlops(gpu);
  return dtype === 'float32' && half !== undefined ? half / 8 : half;
}

/** Is the throughput of 16-bit matrix products stated? Otherwise it is inferred. */
export function isThroughputKnown({ flops }: GpuSpec): boolean {
  return flops?.fp16 !== undefined || flops?.bf16 !== undefined;
}

/**
 * Data sheets of small and mobile cards leave the 16-bit figure out: half of INT8, an eighth of FP4, or multiprocessors times what one of
 * the generation does on the cards whose sheets have it; else 100 FLOPs per byte of bandwidth, the middle of what GPUs have.
 */
function inferredFlops({
  flops,
  multiprocessors,
  computeCapability,
  bandwidthBytesPerSecond,
}: GpuSpec): number | undefined {
  if (flops?.int8) return flops.int8 / 2;
  if (flops?.fp4) return flops.fp4 / 8;
  const perMultiprocessor: Readonly<Record<string, number>> = {
    '6.1': 0.4e12,
    '7.5': 0.25e12,
    '8.6': 0.8e12,
    '8.9': 1.2e12,
    '12.0': 1.2e12,
  };
  const rate = perMultiprocessor[computeCapability ?? ''];
  if (rate !== undefined && multiprocessors !== undefined) return rate * multiprocessors;
  return bandwidthBytesPerSecond === undefined ? undefined : 100 * bandwidthBytesPerSecond;
}

/** Schemes that quantize activations too compute in the small format where the device has it; the others in 16 bit. */
function quantizedFlops({ flops, formats }: GpuSpec, scheme: QuantizationScheme | undefined): number | undefined {
  if (!scheme || !flops || !formats) return undefined;
  switch (scheme.format) {
    case 'fp8-tensor':
    case 'fp8-channel':
    case 'fp8-block':
    case 'fp8-online':
    case 'mxfp8':
      return formats.fp8 ? flops.fp8 : undefined;
    case 'int8-channel':
      return formats.int8 ? flops.int8 : undefined;
    case 'nvfp4':
    case 'mxfp4':
      return formats.fp4 ? flops.fp4 : undefined;
    default:
      return undefined;
  }
}

/**
 * FlashAttention 2 (capabilities 8.x and 12.x) packs the query heads of a group into one tile only where every sequence of the batch has
 * one query; else each query head of a decoding sequence fills a tile of 64 rows by itself. FlashAttention 3 packs always and
 * FlashInfer (10.x) runs decodes apart. Timed on RTX 4090 and RTX PRO 6000: 32 sequences of 1024 take 1.3 to 2.6 times as long
 * beside prefill, and groups of 8 heads twice as long as groups of 4.
 */
function mixedTileRows({ computeCapability, vendor }: GpuSpec): number {
  return vendor === 'nvidia' && /^(8|12)\./.test(computeCapability ?? '') ? 64 : 0;
}

/** What carries the messages of the layout: tensor-parallel groups side by side, then data-parallel ones, then stages. */
function linksOf(
  gpu: GpuSpec,
  { tensorParallelSize: tp, pipelineParallelSize: pp, dataParallelSize: dp }: StepTimeOptions,
  node: NodeSpec | undefined,
): Pick<Coefficients, 'tensorLink' | 'expertLink' | 'stageLink'> {
  const of = (ranks: number): LinkCoefficients => {
    const { latencySeconds, bytesPerSecond } = groupLink({ gpu, node, ranks });
    return { seconds: latencySeconds, rate: bytesPerSecond };
  };
  return { tensorLink: of(tp), expertLink: of(tp * dp), stageLink: of(tp * pp) };
}
