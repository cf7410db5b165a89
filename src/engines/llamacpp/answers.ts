// What one asks of a llama.cpp plan beyond its buffers: does the requirement hold, how many sequences and how long, how many layers fit,
// how many experts have to stay with the CPU. Each answer is a search over loads.
import type { OffloadAnswers, WorkloadPlan } from '../../plan/types.ts';
import { expertsOnCpu, largestContext, type MemoryPerGpu, mostLayers } from './capacity.ts';
import { totalsOf } from './devices.ts';
import type { LlamaHparams } from './hparams.ts';
import { bytesAt, type LlamaLoad } from './load.ts';
import type { LlamaRequest } from './request.ts';
import type { LlamaOptions } from './types.ts';

export interface Measured {
  load(options: LlamaOptions): LlamaLoad;
  request: LlamaRequest;
  hparams: LlamaHparams;
  /** In effect. */
  options: LlamaOptions;
}

/** Bytes per GPU of a load, or undefined where it is refused; every load is made once. */
export function memoryPerGpu({ load, request }: Measured): MemoryPerGpu {
  const known = new Map<string, readonly number[] | undefined>();
  return (options) => {
    const key = JSON.stringify(options);
    if (!known.has(key)) {
      const made = load(options);
      known.set(key, made.refusal === undefined ? request.gpus.map((_, i) => bytesAt(made, `gpu${i}`)) : undefined);
    }
    return known.get(key);
  };
}

function capacityInput(measured: Measured, memory: MemoryPerGpu, options: LlamaOptions) {
  const freeBytes = totalsOf(measured.request).map(({ usableBytes }) => usableBytes);
  return { options, freeBytes, memory };
}

export function offloadAnswers(measured: Measured, memory: MemoryPerGpu): OffloadAnswers {
  const { hparams, options, load } = measured;
  const made = load(options);
  const fixed = { ...options, ctxSize: made.context.nCtx, fit: false };
  const streams = made.context.nStream;
  const layers = hparams.layers + 1;
  const longest = hparams.contextLength * made.context.nSeqMax;
  const input = capacityInput(measured, memory, fixed);
  const pinned = { ...fixed, gpuLayers: made.placement.gpuLayers };
  return {
    gpuLayers: Math.min(made.placement.gpuLayers, layers),
    layers,
    mostGpuLayers: mostLayers(input, hparams.layers)?.value ?? null,
    largestContext: largestContext(capacityInput(measured, memory, pinned), longest, streams)?.value ?? null,
    ...(hparams.experts ? { leastCpuMoeLayers: expertsOnCpu(input, hparams.layers)?.value ?? null } : {}),
  };
}

/** More slots than anybody serves from one process. */
const mostSlots = 256;

export function requirementOf(
  measured: Measured,
  load: LlamaLoad,
): { plan: WorkloadPlan; fits: boolean; reason: string } | undefined {
  const { request, options, hparams } = measured;
  if (request.context === undefined && request.concurrency === undefined) return undefined;
  const context = request.context ?? load.context.nCtxSeq;
  const concurrency = request.concurrency ?? 1;
  const { nCtx, nCtxSeq, nSeqMax } = load.context;
  const held = context <= nCtxSeq && concurrency <= nSeqMax && context * concurrency <= nCtx;
  const memory = memoryPerGpu(measured);
  const fixed = { ...options, fit: false };
  const fitsAll = memory(fixed)?.every((n, i) => n <= totalsOf(request)[i]!.usableBytes) === true;
  const slots = mostWhere(mostSlots, (n) => holds(measured, memory, { ...fixed, parallel: n, ctxSize: n * context }));
  const longest = largestContext(
    capacityInput(measured, memory, { ...fixed, parallel: concurrency }),
    hparams.contextLength * concurrency,
    concurrency,
  );
  return {
    plan: {
      context,
      concurrency,
      fits: held && fitsAll,
      maxConcurrencyAtContext: slots,
      maxContextAtConcurrency: Math.floor((longest?.value ?? 0) / concurrency),
    },
    fits: held && fitsAll,
    reason: `${concurrency} x ${context} tokens are more than ${nSeqMax} slots of ${nCtxSeq} tokens hold`,
  };
}

function holds({ request }: Measured, memory: MemoryPerGpu, options: LlamaOptions): boolean {
  const totals = totalsOf(request);
  return memory(options)?.every((n, i) => n <= totals[i]!.usableBytes) === true;
}

/** The largest n of 0..most that holds, where whatever holds for n holds for less. */
function mostWhere(most: number, fits: (n: number) => boolean): number {
  let [low, high] = [0, most];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle)) low = middle;
    else high = middle - 1;
  }
  return low;
}
