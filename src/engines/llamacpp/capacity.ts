// What one is asked when a model does not fit as it stands: the largest context, the most layers on GPUs, the fewest blocks whose
// experts stay with the CPU. Each asks the same measurement that a plan is made of, at a handful of points.
import type { LlamaOptions } from './types.ts';

/** Bytes that every GPU takes with certain options; undefined where llama.cpp refuses them. */
export type MemoryPerGpu = (options: LlamaOptions) => readonly number[] | undefined;

export interface CapacityInput {
  options: LlamaOptions;
  /** Bytes that each GPU may hold, any margin already taken off. */
  freeBytes: readonly number[];
  memory: MemoryPerGpu;
}

export interface Capacity {
  value: number;
  /** Options with that value. */
  options: LlamaOptions;
  /** Bytes per GPU. */
  bytes: readonly number[];
}

/** Caches are padded to this many cells (llama-context.cpp, GGML_PAD(n_ctx, 256)). */
const contextStep = 256;

function attempt(input: CapacityInput, value: number, change: LlamaOptions): Capacity | undefined {
  const options = { ...input.options, ...change };
  const bytes = input.memory(options);
  if (!bytes?.every((taken, id) => taken <= (input.freeBytes[id] ?? 0))) return undefined;
  return { value, options, bytes };
}

/** The largest of first..last that fits, where whatever fits at a number fits at every smaller one. */
function largest(first: number, last: number, fitting: (value: number) => Capacity | undefined): Capacity | undefined {
  let [low, high] = [first, last];
  let best: Capacity | undefined;
  while (low <= high) {
    const middle = low + Math.ceil((high - low) / 2);
    const found = fitting(middle);
    if (found) {
      best = found;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  return best;
}

/** Largest -c at the options' own offload, a multiple of 256 per stream, no longer than `longest` (tokens in total). */
export function largestContext(input: CapacityInput, longest: number, streams = 1): Capacity | undefined {
  const step = contextStep * streams;
  const fitting = (count: number): Capacity | undefined => attempt(input, count * step, { ctxSize: count * step });
  const last = Math.floor(longest / step);
  return last < 1 ? undefined : (fitting(last) ?? largest(1, last - 1, fitting));
}

/**
 * Most -ngl at the options' own context; `blocks` of the file, the output layer is one more. All of them are asked first: with
 * nothing left on the CPU no weights pass through GPU buffers, so that all layers may fit where one layer less does not.
 */
export function mostLayers(input: CapacityInput, blocks: number): Capacity | undefined {
  const fitting = (gpuLayers: number): Capacity | undefined => attempt(input, gpuLayers, { gpuLayers });
  return fitting(blocks + 1) ?? largest(0, blocks, fitting);
}

/** Smallest --n-cpu-moe with everything else on GPUs; undefined where not even all experts on the CPU are enough. */
export function expertsOnCpu(input: CapacityInput, blocks: number): Capacity | undefined {
  const fitting = (cpuMoeLayers: number): Capacity | undefined =>
    attempt(input, cpuMoeLayers, { gpuLayers: 'all', cpuMoe: false, cpuMoeLayers });
  const fromBack = (gpuBlocks: number): Capacity | undefined => fitting(blocks - gpuBlocks);
  return fitting(0) ?? largest(0, blocks - 1, fromBack);
}
