// What a GPU is: the memory totals that the driver and CUDA report (not the number on the box), and what it can compute.

export const vendors = ['nvidia', 'amd', 'intel', 'apple', 'google', 'habana', 'other'] as const;
export type Vendor = (typeof vendors)[number];

export interface GpuSpec {
  id: string;
  name: string;
  aliases?: string[];
  /** Names that nvidia-smi, rocm-smi or the engine print for this device. */
  printedNames?: string[];
  vendor: Vendor;
  architecture?: string;
  /** CUDA compute capability as major.minor, e.g. "9.0"; absent on other vendors. */
  computeCapability?: string;
  /** Total memory as nvidia-smi prints it, in bytes (MiB precision). */
  driverTotalBytes: number;
  /** cudaDeviceProp.totalGlobalMem: what engines take as the total. */
  cudaTotalBytes: number;
  /** How well cudaTotalBytes is known: printed by a public log, derived from one, or estimated. */
  cudaTotalConfidence?: 'exact' | 'derived' | 'estimated';
  /** CUDA total under Windows/WSL, where it differs. */
  windowsTotalBytes?: number;
  /** CUDA total with ECC switched the other way, where the card allows it. */
  eccTotalBytes?: number;
  multiprocessors?: number;
  l2CacheBytes?: number;
  bandwidthBytesPerSecond?: number;
  /** Dense tensor throughput in FLOP/s by number format. */
  flops?: { fp16?: number; bf16?: number; fp8?: number; fp4?: number; int8?: number };
  formats?: { fp16?: boolean; bf16?: boolean; fp8?: boolean; int8?: boolean; fp4?: boolean };
  nvlinkBytesPerSecond?: number;
  /** GPUs that reach each other over it in usual machines: 2 where bridges join pairs; absent: all of a node. */
  nvlinkDomain?: number;
  pcie?: string;
  integrated?: boolean;
  maxGpusPerNode?: number;
  pricePerHour?: GpuPrice;
  /** For a MIG slice: the preset it is cut from. */
  sliceOf?: string;
  /** What steps of a forward pass were seen to cost on this device; what is absent follows from the data sheet. */
  stepTime?: StepTimeCoefficients;
  sources?: string[];
  notes?: string[];
}

/** US dollars for an hour of one GPU, on demand. */
export interface GpuPrice {
  /** The cheapest and the dearest that was seen, marketplaces included. */
  min: number;
  max: number;
  /** On-demand list prices by provider; where a node is rented whole, its price divided by its GPUs. */
  offers?: Record<string, number>;
  /** When the sources had them. */
  date?: string;
  source: string;
}

/** Coefficients of the step-time law, each one a property of the device or of its kernels. */
export interface StepTimeCoefficients {
  /** Chosen by looking at measured runs on this device, and not only at its kernels. */
  fitted: boolean;
  source: string;
  /** Part of every step in which the device waits for the host (scheduling, inputs, results). */
  launchSeconds?: number;
  /** Latency of one layer's kernels that no amount of work hides. */
  layerSeconds?: number;
  /** Share of the memory bandwidth that matrix products reach while they read weights. */
  bandwidthEfficiency?: number;
  /** Share of the stated dense throughput that large matrix products reach. */
  computeEfficiency?: number;
  /** Share of the memory bandwidth that attention reaches while decoding. */
  attentionBandwidthEfficiency?: number;
  /** Share of the throughput of large matrix products that attention reaches in prefill. */
  prefillAttentionEfficiency?: number;
  /** Share of that throughput that the fused kernels of routed experts reach. */
  expertEfficiency?: number;
  /** Share of what norms, rotary embeddings and activations touch that goes to memory and not to the cache. */
  elementwiseMemoryShare?: number;
}
