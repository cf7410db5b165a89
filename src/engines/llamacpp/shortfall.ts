// What is left on the GPUs after everything was loaded, and which allocation is the first that does not fit.
import { bufferKinds } from '../../plan/types.ts';
import { GiB, MiB } from '../../units.ts';
import { totalsOf } from './devices.ts';
import { bytesAt, type LlamaLoad } from './load.ts';
import type { LlamaRequest } from './request.ts';

/** Least that is left on a GPU after every buffer and the context. */
export function headroom(request: LlamaRequest, load: LlamaLoad): number {
  const left = totalsOf(request).map(({ usableBytes }, i) => usableBytes - bytesAt(load, `gpu${i}`));
  return left.length > 0 ? Math.min(...left) : 0;
}

export interface Shortfall {
  bytes: number;
  reason: string;
  error: string;
}

const names = {
  model: 'the model',
  kv: 'the KV cache',
  rs: 'the recurrent state',
  compute: 'the compute buffer',
  output: 'the output buffer',
} as const;

/** Allocations in the order in which they are made, with what they are called. */
function allocations(load: LlamaLoad, of = ''): { name: string; at: (place: string) => number }[] {
  const own = bufferKinds.map((kind) => ({
    name: `${names[kind]}${of}`,
    at: (place: string) => load.bytes[kind][place] ?? 0,
  }));
  const { draft, projector } = load;
  return [
    ...own,
    ...(draft ? allocations(draft, ' of the draft') : []),
    ...(projector
      ? [
          { name: 'the projector', at: (place: string) => (place === projector.place ? projector.modelBytes : 0) },
          {
            name: "the projector's compute buffer",
            at: (place: string) => (place === projector.place ? projector.computeBytes : 0),
          },
        ]
      : []),
  ];
}

/** The allocation that fails first: the model on one GPU after the other, then the caches, then the compute buffers, then the rest. */
export function shortfall(request: LlamaRequest, load: LlamaLoad): Shortfall | undefined {
  const left = totalsOf(request).map(({ usableBytes }) => usableBytes);
  const bytes = Math.max(0, -headroom(request, load));
  if (bytes === 0) return undefined;
  for (const { name, at } of allocations(load)) {
    for (const [i] of left.entries()) {
      const need = at(`gpu${i}`);
      left[i]! -= need;
      if (left[i]! >= 0) continue;
      return {
        bytes,
        reason: `${name} does not fit on GPU ${i} (${(need / GiB).toFixed(2)} GiB)`,
        error: `ggml_backend_cuda_buffer_type_alloc_buffer: allocating ${(need / MiB).toFixed(2)} MiB on device ${i}: cudaMalloc failed: out of memory`,
      };
    }
  }
  return undefined;
}
