// Speeds that people published for llama.cpp, with the run that made them: the judges of the speed estimate. Only figures whose model,
// quantization, hardware and offload are stated; `host` where they also measured or named the memory.
import type { LlamaOptions } from '../../../src/engines/llamacpp/types.ts';

export interface SpeedFigure {
  model: string;
  mix: string;
  gpus: string[];
  /** Tokens per second. */
  decode?: number;
  prefill?: number;
  /** Tokens of context that the decoding saw on average; default 64 (tg128). */
  context?: number;
  promptTokens?: number;
  ubatch?: number;
  options?: LlamaOptions;
  build?: string;
  /** Bytes per second of host memory. */
  host?: number;
  source: string;
}

const tables = 'XiongjieDai/GPU-Benchmarks-on-LLM-Inference README (2024-05)';
/** Llama-3-8B and -70B, 1024 tokens generated, prompts of 1024. */
function table(gpus: string[], model: string, mix: string, speeds: { decode: number; prefill?: number }): SpeedFigure {
  return { model, mix, gpus, context: 700, promptTokens: 1024, build: 'b4753', ...speeds, source: tables };
}

const rig =
  'AlexsJones/llmfit pulls 755, 773, 774, 775, 778 (2026-07): RTX 2080, i9-10900X, quad-channel DDR4 measured 102 GB/s';
/** llama-server, Q4_K_M, context 4096, one request. */
function rtx2080(model: string, decode: number, options: LlamaOptions = {}, mix = 'Q4_K_M'): SpeedFigure {
  return { model, mix, gpus: ['rtx2080'], decode, options, context: 200, host: 102e9, build: 'v0.5.0', source: rig };
}

/** Not looked at when the likely values of speed.yaml were chosen (its slow value of FLOP/s was, afterwards). */
export const heldOut: readonly SpeedFigure[] = [
  table(['rtx3080ti'], 'llama-3-8b', 'Q4_K_M', { decode: 106.71, prefill: 3556.67 }),
  table(['rtx-4000-ada'], 'llama-3-8b', 'F16', { decode: 20.85, prefill: 2951.87 }),
  table(['rtx-5000-ada'], 'llama-3-8b', 'Q4_K_M', { decode: 89.87, prefill: 4467.46 }),
  table(['rtx-5000-ada'], 'llama-3-8b', 'F16', { decode: 32.67, prefill: 5835.41 }),
  table(['a40'], 'llama-3-8b', 'Q4_K_M', { decode: 88.95, prefill: 3240.95 }),
  table(['a40'], 'llama-3-8b', 'F16', { decode: 33.95, prefill: 4043.05 }),
  table(['a40'], 'llama-3-70b', 'Q4_K_M', { decode: 12.08, prefill: 239.92 }),
  table(['l40s'], 'llama-3-8b', 'Q4_K_M', { decode: 113.6, prefill: 5908.52 }),
  table(['l40s'], 'llama-3-70b', 'Q4_K_M', { decode: 15.31, prefill: 649.08 }),
  table(['rtx-6000-ada'], 'llama-3-70b', 'Q4_K_M', { decode: 18.36, prefill: 547.03 }),
  table(['a100-80gb-sxm'], 'llama-3-8b', 'Q4_K_M', { decode: 133.38, prefill: 5863.92 }),
  table(['a100-80gb-sxm'], 'llama-3-70b', 'Q4_K_M', { decode: 24.33, prefill: 796.81 }),
  table(Array(4).fill('rtx-a6000'), 'llama-3-70b', 'F16', { decode: 4.74, prefill: 792.23 }),
  table(Array(6).fill('rtx3090'), 'llama-3-70b', 'F16', { decode: 5.82, prefill: 927.23 }),
  rtx2080('gemma-2-2b', 140.3),
  rtx2080('qwen2.5-7b', 77),
  rtx2080('falcon3-7b', 75.8),
  rtx2080('gemma-2-9b', 23.7, { gpuLayers: 36 }),
];

export const figures: readonly SpeedFigure[] = [
  table(['rtx3070'], 'llama-3-8b', 'Q4_K_M', { decode: 70.94, prefill: 2283.62 }),
  table(['rtx3080-10gb'], 'llama-3-8b', 'Q4_K_M', { decode: 106.4, prefill: 3557.02 }),
  table(['rtx4070ti'], 'llama-3-8b', 'Q4_K_M', { decode: 82.21, prefill: 3653.07 }),
  table(['rtx4080'], 'llama-3-8b', 'Q4_K_M', { decode: 106.22, prefill: 5064.99 }),
  table(['rtx3090'], 'llama-3-8b', 'Q4_K_M', { decode: 111.74, prefill: 3865.39 }),
  table(['rtx4090'], 'llama-3-8b', 'Q4_K_M', { decode: 127.74, prefill: 6898.71 }),
  table(['rtx-a6000'], 'llama-3-8b', 'Q4_K_M', { decode: 102.22, prefill: 3621.81 }),
  table(['a100-80gb-pcie'], 'llama-3-8b', 'Q4_K_M', { decode: 138.31, prefill: 5800.48 }),
  table(['h100-pcie'], 'llama-3-8b', 'Q4_K_M', { decode: 144.49, prefill: 7760.16 }),
  table(['m1-max-64gb'], 'llama-3-8b', 'Q4_K_M', { decode: 34.49, prefill: 355.45 }),
  table(['m2-ultra-192gb'], 'llama-3-8b', 'Q4_K_M', { decode: 76.28, prefill: 1023.89 }),
  table(['m3-max-64gb'], 'llama-3-8b', 'Q4_K_M', { decode: 50.74, prefill: 678.04 }),
  table(['rtx4080'], 'llama-3-8b', 'F16', { decode: 40.29, prefill: 6758.9 }),
  table(['rtx3090'], 'llama-3-8b', 'F16', { decode: 46.51, prefill: 4239.64 }),
  table(['rtx4090'], 'llama-3-8b', 'F16', { decode: 54.34, prefill: 9056.26 }),
  table(['a100-80gb-pcie'], 'llama-3-8b', 'F16', { decode: 54.56, prefill: 7504.24 }),
  table(['h100-pcie'], 'llama-3-8b', 'F16', { decode: 67.79, prefill: 10342.63 }),
  table(['m2-ultra-192gb'], 'llama-3-8b', 'F16', { decode: 36.25, prefill: 1202.74 }),
  table(['rtx-a6000'], 'llama-3-70b', 'Q4_K_M', { decode: 14.58, prefill: 466.82 }),
  table(['a100-80gb-pcie'], 'llama-3-70b', 'Q4_K_M', { decode: 22.11, prefill: 726.65 }),
  table(['h100-pcie'], 'llama-3-70b', 'Q4_K_M', { decode: 25.01, prefill: 984.06 }),
  table(['m2-ultra-192gb'], 'llama-3-70b', 'Q4_K_M', { decode: 12.13, prefill: 117.76 }),
  table(['rtx3090', 'rtx3090'], 'llama-3-70b', 'Q4_K_M', { decode: 16.29, prefill: 393.89 }),
  table(['rtx4090', 'rtx4090'], 'llama-3-70b', 'Q4_K_M', { decode: 19.06, prefill: 905.38 }),
  rtx2080('llama-3.2-1b', 304.3),
  rtx2080('llama-3.2-3b', 140.3),
  rtx2080('qwen3-4b', 110.6),
  rtx2080('mistral-7b-v0.3', 77.8),
  rtx2080('llama-3.1-8b', 71.9),
  rtx2080('qwen3-8b', 69.3),
  rtx2080('gemma-3-12b', 26.1, { gpuLayers: 44 }),
  rtx2080('qwen3-14b', 16.9, { gpuLayers: 32 }),
  rtx2080('phi-4', 16.7, { gpuLayers: 32 }),
  rtx2080('qwen2.5-14b', 20.8, { gpuLayers: 42 }),
  rtx2080('mistral-small-24b', 5.2, { gpuLayers: 16 }),
  rtx2080('gpt-oss-20b', 36.4, { cpuMoeLayers: 12 }, 'MXFP4_MOE'),
  rtx2080('qwen3-30b-a3b', 36.7, { cpuMoeLayers: 36 }),
  rtx2080('deepseek-v2-lite', 49.6, { cpuMoeLayers: 16 }),
  {
    model: 'llama-3-8b',
    mix: 'Q4_0',
    gpus: ['rtx4090'],
    prefill: 10358.75,
    build: 'b4753',
    source: 'ggml-org/llama.cpp pull 7676 (2024-06), pp512 with int8 tensor cores',
  },
  {
    model: 'llama-3-8b',
    mix: 'Q6_K',
    gpus: ['rtx3090'],
    prefill: 3491.2,
    promptTokens: 2048,
    build: 'b4753',
    source: 'ggml-org/llama.cpp pull 7860 (2024-06), pp2048 in batches of 512',
  },
  {
    model: 'llama-3.2-3b',
    mix: 'F16',
    gpus: ['m2-ultra-192gb'],
    decode: 73.29,
    prefill: 3282.55,
    build: 'b4753',
    source: 'ggml-org/llama.cpp pull 10238 (2024-11)',
  },
  {
    model: 'llama-3.1-8b',
    mix: 'Q4_K_M',
    gpus: ['rx7900xtx'],
    decode: 105.81,
    prefill: 3226.54,
    promptTokens: 2048,
    source: 'ggml-org/llama.cpp pull 26284 (2026), tg64 and pp2048 in batches of 512',
  },
  {
    model: 'llama-3.1-8b',
    mix: 'Q4_K_M',
    gpus: ['rx7900xtx'],
    decode: 98.54,
    context: 4128,
    source: 'ggml-org/llama.cpp pull 26284 (2026), tg64 at depth 4096',
  },
  {
    model: 'llama-3-8b',
    mix: 'Q4_0',
    gpus: ['rtx4090'],
    decode: 102.76,
    context: 33024,
    source: 'ggml-org/llama.cpp pull 17505 (2025-11), batches of 1 at depth 32768 (no logits)',
  },
  {
    model: 'llama-3.1-8b',
    mix: 'Q4_K_M',
    gpus: ['m1-max-64gb'],
    decode: 46.2,
    prefill: 499.58,
    source: 'brand-o/normiebench issue 40 (2026-03)',
  },
  {
    model: 'llama-3.1-8b',
    mix: 'Q4_K_M',
    gpus: ['m4-16gb'],
    decode: 20.87,
    prefill: 224.81,
    source: 'brand-o/normiebench issue 3 (2026-03)',
  },
  {
    model: 'llama-3.1-8b',
    mix: 'Q4_K_M',
    gpus: ['rtx3080-10gb'],
    decode: 111.95,
    prefill: 3806.89,
    build: 'b4753',
    source: 'dmatora/LLM-inference-speed-benchmarks issue 12 (b3622)',
  },
  {
    model: 'qwen3-8b',
    mix: 'Q4_K_M',
    gpus: ['rtx5090'],
    decode: 221.7,
    source: 'CambrianTech/continuum pull 1627 (2026-06)',
  },
  {
    model: 'llama-2-7b',
    mix: 'Q4_0',
    gpus: [],
    decode: 18.27,
    host: 102.4e9,
    build: 'b4753',
    source: 'ggml-org/llama.cpp issue 34, comment of 2023-08-12: 13900K, DDR5-6400, 8 threads',
  },
  {
    model: 'mixtral-8x7b',
    mix: 'Q3_K_L',
    gpus: ['rtx3090ti'],
    prefill: 241.84,
    promptTokens: 1024,
    ubatch: 1024,
    options: { gpuLayers: 0 },
    build: 'b4753',
    source: 'ggml-org/llama.cpp pull 6083 (2024-03), -ngl 0; the card of its author in pull 4812',
  },
];
