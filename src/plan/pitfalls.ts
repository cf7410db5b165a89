// The well-known ways in which a deployment that starts still disappoints: each a diagnostic with a code and the figure behind
// it. Thresholds say when it is worth a line; the figures are those of the plan.
import { attentionSizes, parameterCount } from '../architecture/build.ts';
import type { Architecture } from '../architecture/types.ts';
import type { Diagnostic } from '../diagnostics.ts';
import type { ResolvedOptions } from '../engines/vllm/resolved.ts';
import { gib, mib, percent, smallGib, thousands } from '../numbers.ts';
import { GiB } from '../units.ts';
import type { QualityBook } from './quality/book.ts';
import { overQuantized } from './quality/over-quantized.ts';
import type { PlanRequest } from './request.ts';
import { type BudgetItem, type ItemId, nothingLoaded, type Plan } from './types.ts';

export interface PitfallFacts {
  request: PlanRequest;
  resolved: ResolvedOptions;
  architecture: Architecture;
  plan: Plan;
  quality: () => QualityBook;
}

type Check = (facts: PitfallFacts) => Diagnostic | undefined;

export function pitfalls(facts: PitfallFacts): Diagnostic[] {
  return checks.map((check) => check(facts)).filter((diagnostic) => diagnostic !== undefined);
}

const checks: readonly Check[] = [
  kvGrowth,
  thinHeadroom,
  activationSpike,
  cpuOffload,
  eager,
  quality,
  staticBatching,
  quantizedOnGpu,
  aboveLimit,
  tensorParallel,
  vocabulary,
  closeCall,
  withoutEffect,
  foreignDevice,
  idleGpus,
];

/** Sequences are admitted by their prompt; each output token grows the cache until something must be preempted. */
function kvGrowth({ plan, resolved }: PitfallFacts): Diagnostic | undefined {
  const { tokens, maxModelLen } = plan.kvCache;
  const perSequence = Math.floor(tokens / resolved.maxNumSeqs);
  if (!plan.verdict.fits || plan.kvCache.groups.length === 0) return undefined;
  if (perSequence >= maxModelLen || perSequence >= 2048) return undefined;
  return {
    severity: 'note',
    code: 'VRAM501',
    message: `a full batch of ${thousands(resolved.maxNumSeqs)} sequences has ${thousands(perSequence)} tokens of KV cache each (${thousands(tokens)} in all); longer ones grow into preemption`,
    hint: `lower --max-num-seqs to about ${Math.max(1, Math.floor(tokens / Math.min(maxModelLen, 4096)))}, or make room for KV (fp8 cache, more GPUs)`,
  };
}

/** What lies outside the budget has to hold the context, the graphs of releases that do not subtract them, and any other process. */
function thinHeadroom({ plan }: PitfallFacts): Diagnostic | undefined {
  const thin = plan.devices.find(
    (device) => device.totalBytes - device.budgetBytes - bytesOf(device.items, 'context') < 0.25 * GiB,
  );
  if (!thin) return undefined;
  const left = thin.totalBytes - thin.budgetBytes - bytesOf(thin.items, 'context');
  return {
    severity: 'warning',
    code: 'VRAM502',
    message: `--gpu-memory-utilization leaves ${gib(Math.max(0, left))} of GPU ${thin.rank} beside the CUDA context for graphs, NCCL and other processes`,
    hint: 'lower it by 0.02 to 0.05 if the start or the first long batch runs out of memory',
  };
}

/** The cache is what estimated figures leave: a margin within their range may turn out the other way. */
function closeCall({ plan, request }: PitfallFacts): Diagnostic | undefined {
  const { verdict, workload, devices } = plan;
  if (request.options.maxModelLen === 'auto' || (!verdict.fits && verdict.capacityFits)) return undefined;
  const ranges = devices
    .map(({ items }) => items.find((item) => item.id === 'kv-cache')!)
    .filter(({ bytes }) => bytes > 0);
  if (ranges.length === 0) return undefined;
  const holds = verdict.fits && workload?.fits !== false;
  const spread = Math.max(
    ...ranges.map(({ bytes, lowBytes, highBytes }) => (holds ? bytes - lowBytes : highBytes - bytes)),
  );
  const margin = verdict.shortfallBytes ?? Math.abs(verdict.headroomBytes);
  if (margin >= spread) return undefined;
  return {
    severity: 'note',
    code: 'VRAM513',
    message: `a close call: ${smallGib(margin)} ${holds ? 'to spare' : 'short'}, while the KV cache may be ${gib(spread)} ${holds ? 'smaller' : 'larger'} than predicted`,
    hint: holds ? 'leave a margin: a shorter --max-model-len, or smaller batches' : 'it may start nevertheless',
  };
}

/** Read and passed on, but nothing of this deployment depends on them. */
function withoutEffect({ request, architecture }: PitfallFacts): Diagnostic | undefined {
  const { options } = request;
  const idle = [
    !options.enableLora && options.maxLoras !== undefined ? '--max-loras (without --enable-lora)' : '',
    !options.enableLora && options.maxLoraRank !== undefined ? '--max-lora-rank (without --enable-lora)' : '',
    options.limitMmPerPrompt !== undefined &&
    !architecture.tensors.some(({ part }) => part === 'vision' || part === 'audio')
      ? '--limit-mm-per-prompt (the model takes text only)'
      : '',
  ].filter((text) => text !== '');
  if (idle.length === 0) return undefined;
  return { severity: 'warning', code: 'VRAM515', message: `without effect on this plan: ${idle.join(', ')}` };
}

/** vLLM takes one GPU of a box unless its layout says more. */
function idleGpus({ request: { gpus }, resolved }: PitfallFacts): Diagnostic | undefined {
  const used = resolved.tensorParallelSize * resolved.pipelineParallelSize * resolved.dataParallelSize;
  if (gpus.length < 2 || used >= gpus.length) return undefined;
  return {
    severity: 'note',
    code: 'VRAM535',
    message: `this layout takes ${used} of the ${gpus.length} GPUs, the others stay idle`,
    hint: '--tensor-parallel-size or --pipeline-parallel-size take more; --auto-parallel plans every layout',
  };
}

/** Measured on CUDA and ROCm only. */
function foreignDevice({ request }: PitfallFacts): Diagnostic | undefined {
  const { name, vendor } = request.gpus[0]!;
  if (vendor === 'nvidia' || vendor === 'amd') return undefined;
  return {
    severity: 'warning',
    code: 'VRAM514',
    message: `${name} is planned by the rules of vLLM on CUDA: weights and the layout of the cache hold, the rest of the budget is a guess`,
    hint: 'vLLM serves such devices through plugins and builds of their own',
  };
}

/** The profile run reserves for the largest batch: lower limits turn activations into KV cache. */
function activationSpike({ plan, resolved }: PitfallFacts): Diagnostic | undefined {
  const device = plan.devices[0]!;
  const activations = bytesOf(device.items, 'activations');
  if (activations < 0.1 * device.budgetBytes || (resolved.maxNumBatchedTokens <= 2048 && resolved.maxNumSeqs <= 256))
    return undefined;
  return {
    severity: 'note',
    code: 'VRAM503',
    message: `activations take ${gib(activations)} (${percent(activations / device.budgetBytes)} of the budget) because a step may hold ${thousands(resolved.maxNumBatchedTokens)} tokens and ${thousands(resolved.maxNumSeqs)} sequences`,
    hint: 'smaller --max-num-batched-tokens and --max-num-seqs give this memory to the KV cache',
  };
}

/** Offloaded weights cross PCIe once a step, so they bound the steps per second. */
function cpuOffload({ request, plan, architecture, resolved }: PitfallFacts): Diagnostic | undefined {
  const budget = request.options.cpuOffloadBytes ?? 0;
  if (budget <= 0 || nothingLoaded(plan)) return undefined;
  const { tensorParallelSize: tp, pipelineParallelSize: pp } = request.options;
  const offloaded = Math.min(
    budget,
    weightBytes(architecture, request.scheme?.bits ?? (resolved.dtype === 'float32' ? 32 : 16)) / (tp * pp),
  );
  const link = pcieBytesPerSecond(request.gpus[0]!.pcie);
  const steps = link.bytesPerSecond / offloaded;
  return {
    severity: 'warning',
    code: 'VRAM504',
    message: `${gib(offloaded)} of weights a GPU cross ${link.name} at every step: at most ${steps.toFixed(1)} steps, so ${steps.toFixed(1)} tokens a second and sequence (estimate)`,
    hint: 'a quantized variant that fits is faster than offloading',
  };
}

/** All weights at so many bits, for the order of magnitude: no more than these can leave the GPU. */
function weightBytes({ tensors }: Architecture, bits: number): number {
  return (parameterCount(tensors) * bits) / 8;
}

function eager({ plan, resolved }: PitfallFacts): Diagnostic | undefined {
  const graphs = bytesOf(plan.devices[0]!.items, 'graphs');
  if (resolved.enforceEager) {
    return {
      severity: 'note',
      code: 'VRAM505',
      message:
        '--enforce-eager saves the memory of the CUDA graphs, but every decode step then pays the launch of each kernel',
      hint: 'to save memory and keep graphs, capture fewer sizes: --cudagraph-capture-sizes 1,2,4,8',
    };
  }
  if (graphs < 0.05 * plan.devices[0]!.budgetBytes) return undefined;
  return {
    severity: 'note',
    code: 'VRAM505',
    message: `${resolved.captureSizes.length} CUDA-graph sizes take about ${gib(graphs)}`,
    hint: 'fewer sizes (--cudagraph-capture-sizes) or --enforce-eager free most of it, at the price of slower decoding',
  };
}

function quality({ request, quality: book }: PitfallFacts): Diagnostic | undefined {
  return request.scheme && request.scheme.bits < 8 ? overQuantized(request.spec, request.scheme, book()) : undefined;
}

/** Longer requests than max_model_len are refused one by one, or cut. */
function aboveLimit({ request, resolved }: PitfallFacts): Diagnostic | undefined {
  const { context, spec } = request;
  if (context === undefined || context <= resolved.maxModelLen) return undefined;
  const trained = spec.config.maxPositionEmbeddings;
  const isModelLimit = trained !== undefined && context > trained;
  return {
    severity: 'warning',
    code: 'VRAM509',
    message: isModelLimit
      ? `a context of ${thousands(context)} tokens is above the ${thousands(trained)} positions of the model`
      : `a context of ${thousands(context)} tokens is above max_model_len ${thousands(resolved.maxModelLen)}`,
    hint: isModelLimit ? 'shorten it, or choose a model of longer context' : `--max-model-len ${context}`,
    path: '--context',
  };
}

/** Each rank takes an equal share of a vocabulary that is padded first (vllm/model_executor/layers/vocab_parallel_embedding.py). */
function vocabulary({ request, resolved }: PitfallFacts): Diagnostic | undefined {
  const { vocabSize, hiddenSize } = request.spec.config;
  const tp = resolved.tensorParallelSize;
  if (tp === 1 || vocabSize === undefined || hiddenSize === undefined || vocabSize % tp === 0) return undefined;
  const padded = Math.ceil(vocabSize / 64) * 64;
  if (padded % tp !== 0) return undefined;
  return {
    severity: 'note',
    code: 'VRAM512',
    message: `a vocabulary of ${thousands(vocabSize)} does not divide by ${tp}: padded to ${thousands(padded)}, ${mib(((padded - vocabSize) * hiddenSize * 2) / tp)} a GPU and table more`,
  };
}

/** A contiguous allocator would reserve max_model_len for every sequence of a batch. */
function staticBatching({ plan, request }: PitfallFacts): Diagnostic | undefined {
  const { context } = request;
  const { maxModelLen, tokens } = plan.kvCache;
  if (context === undefined || context * 2 > maxModelLen || !plan.verdict.fits || tokens < maxModelLen)
    return undefined;
  const paged = Math.floor(tokens / context);
  const contiguous = Math.floor(tokens / maxModelLen);
  return {
    severity: 'note',
    code: 'VRAM507',
    message: `static batching with contiguous caches would hold ${thousands(contiguous)} sequences of ${thousands(maxModelLen)} reserved tokens where paging holds about ${thousands(paged)} of ${thousands(context)}: ${percent(1 - context / maxModelLen, 0)} of the cache would be reserved and unused`,
  };
}

function tensorParallel({ request, resolved, plan }: PitfallFacts): Diagnostic | undefined {
  const tp = resolved.tensorParallelSize;
  const latent = plan.kvCache.groups.some((group) => group.kind === 'mla');
  if (tp === 1 || resolved.decodeContextParallelSize > 1) return undefined;
  const { kv } = attentionSizes(request.spec.config);
  if (latent) {
    return {
      severity: 'note',
      code: 'VRAM510',
      message: `every one of the ${tp} tensor-parallel ranks stores the whole latent KV cache (MLA is not split by heads)`,
      hint: '--decode-context-parallel-size splits it by sequence',
    };
  }
  if (kv >= tp) return undefined;
  return {
    severity: 'note',
    code: 'VRAM510',
    message: `tensor parallel ${tp} stores each of the ${kv} KV heads ${tp / kv} times: the KV cache shrinks by ${kv}, not by ${tp}`,
    hint: `--tensor-parallel-size ${kv}, or --decode-context-parallel-size ${tp / kv}`,
  };
}

/** A scheme below the card's native formats runs through weight-only kernels: smaller, not faster in prefill. */
function quantizedOnGpu({ request }: PitfallFacts): Diagnostic | undefined {
  const { scheme } = request;
  const gpu = request.gpus[0]!;
  if (!scheme || scheme.bits >= 16 || !gpu.formats) return undefined;
  const format = scheme.format.startsWith('fp8')
    ? 'fp8'
    : scheme.format === 'nvfp4' || scheme.format === 'mxfp4'
      ? 'fp4'
      : undefined;
  if (!format || gpu.formats[format] !== false) return undefined;
  return {
    severity: 'note',
    code: 'VRAM508',
    message: `${gpu.name} has no ${format.toUpperCase()} tensor cores: ${scheme.id} runs weight-only or emulated there; it saves memory but not arithmetic`,
    hint:
      format === 'fp8'
        ? 'w8a8 is as small and computes in INT8; w4a16, awq and gptq are smaller'
        : 'w4a16, awq and gptq are as small and made for such GPUs',
  };
}

function bytesOf(items: readonly BudgetItem[], id: ItemId): number {
  return items.find((item) => item.id === id)?.bytes ?? 0;
}

/** Achievable host-to-device rate of a full link: about 80 % of the raw rate of its generation (16 GT/s x 16 / 8 = 32 GB/s for Gen4 x16). */
function pcieBytesPerSecond(link: string | undefined): { name: string; bytesPerSecond: number } {
  const match = /gen\s*(\d)(?:\s*x\s*(\d+))?/i.exec(link ?? '');
  const generation = match ? Number(match[1]) : 4;
  const lanes = match?.[2] ? Number(match[2]) : 16;
  const perLane = 2 ** (generation - 3) * 0.985e9;
  return { name: `PCIe ${generation}.0 x${lanes}`, bytesPerSecond: perLane * lanes * 0.8 };
}
