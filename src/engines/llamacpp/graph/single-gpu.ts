// --split-mode none: the scheduler knows one GPU, whatever its number among those of the machine. Law: src/llama.cpp (main_gpu).
import type { ComputeBuffers, GraphInput, Place } from '../types.ts';

/** The run as its scheduler sees it: the only GPU is its first. */
export function withOnlyGpu(input: GraphInput): GraphInput {
  const { placement, caches } = input;
  if (!placement.only) return input;
  const near = <P extends Place | undefined>(place: P) => (typeof place === 'number' ? 0 : place);
  return {
    ...input,
    placement: {
      ...placement,
      layers: placement.layers.map(near) as Place[],
      tensorPlace: (tensor) => near(placement.tensorPlace(tensor)) as Place,
      tiedOutput: near(placement.tiedOutput),
    },
    caches: caches.map((cache) => ({
      ...cache,
      layers: cache.layers.map((layer) => ({ ...layer, place: near(layer.place) as Place })),
    })),
  };
}

/** Its buffers by the machine's numbers: nothing on the GPUs before it. */
export function amongGpus(buffers: ComputeBuffers, { placement }: GraphInput): ComputeBuffers {
  if (!placement.only) return buffers;
  return { ...buffers, gpus: [...Array.from({ length: placement.only }, () => 0), ...buffers.gpus] };
}
