// Which shares of its data sheet a generation of devices reaches, where no card of its own was timed. Each value is of a kind of kernel
// on a kind of hardware, none of a model or a run. Sources: matrix products timed one by one (microsoft/vidur, casys-kaist/LLMServingSim:
// A100 .70, H100 .77, A40 .74, RTX PRO 6000 .79; vllm-project/vllm pulls 17126 H100, 20071 B200, 34424 RTX 5090: 8 bit beside 16 bit),
// and, for whole models that heat the card, half of the published runs in test/ground-truth/published-speed.yaml.
import type { GpuSpec } from '../../spec/gpu.ts';

export interface KernelShares {
  /** Large 16-bit matrix products, of the sheet's dense rate. */
  compute: number;
  /** What 8 and 4-bit products reach of their sheet's rate, beside what 16-bit ones reach of theirs: activations are quantized first. */
  quantized: number;
  /** Weights unpacked to 16 bit inside the product (Marlin), of the 16-bit rate; mma.sync does not fill Hopper's tensor cores. */
  unpacking: number;
  /** Fused kernels of routed experts, of large products. */
  experts: number;
  /** Of the bandwidth: products of few tokens, and attention while decoding. */
  weights: number;
  attention: number;
}

const sm75: KernelShares = {
  compute: 0.6,
  quantized: 0.9,
  unpacking: 0.7,
  experts: 0.5,
  weights: 0.85,
  attention: 0.7,
};
const sm80: KernelShares = {
  compute: 0.7,
  quantized: 0.9,
  unpacking: 0.9,
  experts: 0.67,
  weights: 0.8,
  attention: 0.85,
};
const sm86: KernelShares = { ...sm80, compute: 0.75, weights: 0.88 };
/** L4 and L40S: at their power limit in long products. */
const sm89: KernelShares = { ...sm86, compute: 0.65 };
/** A prompt of 4096 tokens through Qwen2.5-72B on two H100 at .59 of the sheet (tenstorrent/tt-inference-server issue 143). */
const sm90: KernelShares = {
  compute: 0.65,
  quantized: 0.75,
  unpacking: 0.55,
  experts: 0.55,
  weights: 0.8,
  attention: 0.85,
};
const sm100: KernelShares = { ...sm90, compute: 0.55 };
const sm120: KernelShares = {
  compute: 0.8,
  quantized: 0.9,
  unpacking: 0.8,
  experts: 0.67,
  weights: 0.88,
  attention: 0.85,
};
/** CDNA 3: runs of Llama 3.1 on MI300X that AMD (ROCm/vllm docs/dev-docker) and Oracle published; 16-bit products reach less than half of the sheet. */
const cdna: KernelShares = {
  compute: 0.45,
  quantized: 0.8,
  unpacking: 0.5,
  experts: 0.5,
  weights: 0.65,
  attention: 0.5,
};

export function kernelShares({ vendor, computeCapability = '' }: GpuSpec): KernelShares {
  if (vendor === 'amd') return cdna;
  if (/^[67]\./.test(computeCapability)) return sm75;
  if (computeCapability === '8.6') return sm86;
  if (computeCapability === '8.9') return sm89;
  if (computeCapability === '9.0') return sm90;
  if (/^10\./.test(computeCapability)) return sm100;
  if (/^1[12]\./.test(computeCapability)) return sm120;
  return sm80;
}
