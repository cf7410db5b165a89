// Simulated runs made by hand, for the tests of what is printed about them.
import type { NamedRun, SimulateInputEcho, SimulateOutput, SingleRun } from '../../../src/plan/simulate-output.ts';
import { simulateOutput } from '../../../src/plan/simulate-output.ts';
import type { TimelinePoint } from '../../../src/sim/result.ts';

export const input: SimulateInputEcho = {
  model: {
    id: 'llama-3.1-8b',
    name: 'llama-3.1-8b',
    hfId: 'meta-llama/Llama-3.1-8B',
    served: 'meta-llama/Llama-3.1-8B',
    architecture: 'LlamaForCausalLM',
    parameters: 8_030_261_248,
    activeParameters: 8_030_261_248,
    scheme: 'bfloat16',
    source: null,
  },
  gpu: {
    id: 'a100-80gb',
    name: 'NVIDIA A100 80GB',
    vendor: 'nvidia',
    count: 1,
    driverTotalBytes: 85_899_345_920,
    cudaTotalBytes: 85_094_236_160,
    computeCapability: '8.0',
  },
  engine: { id: 'vllm', name: 'vLLM', version: '0.33.0', release: '0.33.0', options: {} },
  parallel: { tp: 1, pp: 1, dp: 1, ep: 1 },
  workload: {
    ref: 'traces/azure-conv.csv',
    name: 'Azure LLM inference trace',
    format: 'azure',
    requests: 19_366,
    promptTokens: 22_361_870,
    outputTokens: 4_088_665,
    maxPromptTokens: 14_050,
    maxOutputTokens: 1000,
    spanSeconds: 1750,
    concurrency: null,
    rate: '2x',
    requestsPerSecond: 11.07,
    rows: 19_366,
    rejectedRows: 0,
  },
  poolSource: 'plan',
  seed: 0,
};

function timeline(): TimelinePoint[] {
  return Array.from({ length: 200 }, (_, i): TimelinePoint => {
    const load = Math.max(0, Math.min(1, (i / 60) * (i < 150 ? 1 : (200 - i) / 50)));
    const usedBlocks = Math.round(3000 * load);
    const tokenStates = (usedBlocks / 4095) * 0.97;
    return {
      t: i * 10,
      running: Math.round(180 * load),
      waiting: i > 60 && i < 150 ? Math.round(40 * Math.sin((i - 60) / 30) ** 2) : 0,
      swapped: 0,
      usedBlocks,
      cachedBlocks: Math.min(4095 - usedBlocks, i * 12),
      tokenStates,
      reserved: 0,
      internalFragmentation: usedBlocks / 4095 - tokenStates,
      externalFragmentation: 0,
      preemptions: i > 80 && i < 120 && i % 7 === 0 ? 3 : 0,
    };
  });
}

export function run(changes: Partial<NamedRun> = {}): NamedRun {
  return {
    policy: 'paged',
    eviction: 'lru',
    settings: {},
    requests: {
      total: 19_366,
      finished: 19_354,
      rejected: 12,
      cut: 0,
      rejections: [{ reason: 'longer than max_model_len (8,192 tokens)', count: 12, first: 'r17' }],
    },
    steps: 28_112,
    scheduledTokens: 26_450_535,
    makespanSeconds: 1990,
    perRequestCrc32: null,
    pool: { numBlocks: 4096, blockSize: 16, bytesPerBlock: 2_097_152 },
    memory: {
      meanUtilization: 0.52,
      peakUtilization: 0.9987,
      shares: { tokenStates: 0.5, reserved: 0, internalFragmentation: 0.02, externalFragmentation: 0, free: 0.48 },
    },
    prefixCache: {
      queriedTokens: 22_361_870,
      hitTokens: 1_234_560,
      hitRate: 0.0552,
      queriedBlocks: 1_397_617,
      hitBlocks: 77_160,
      blockHitRate: 0.0552,
      evictions: 1_320_457,
    },
    preemptions: { recompute: 18, swap: 0, recomputedTokens: 20_123, swappedBlocks: 0 },
    copyOnWrite: { copies: 0, sharedBlocksPeak: 0, savedBlocksShare: 0 },
    latency: {
      ttftSeconds: { mean: 1.234, p50: 0.456, p90: 3.21, p99: 12.3 },
      tpotSeconds: { mean: 0.0324, p50: 0.031, p90: 0.045, p99: 0.0812 },
      e2eSeconds: { mean: 8.12, p50: 6.5, p90: 17.4, p99: 44.1 },
      estimate: 'roofline',
      uncertainty: 'roofline estimate, +-25 %',
    },
    throughput: { requestsPerSecond: 9.73, outputTokensPerSecond: 2054, meanBatch: 84.2 },
    timeline: timeline(),
    ...changes,
  };
}

export function single(changes: Partial<SingleRun> = {}): SimulateOutput<SingleRun> {
  const advice: SingleRun['advice'] = [
    {
      change: '--max-num-seqs 128',
      flags: [{ flag: '--max-num-seqs', value: '128' }],
      figure: 'preemptions.recompute',
      before: 18,
      after: 2,
      effect: 'preemptions 18 -> 2, TTFT p99 12.3 s -> 9.87 s',
    },
  ];
  return simulateOutput(input, { ...run(), advice, ...changes }, []) as SimulateOutput<SingleRun>;
}
