// One layer's part of a cache: two tensors, their sizes and what they take in a buffer. Law: src/llama-kv-cache.cpp (a tensor of
// rows x cells x streams for K and for V), ggml/src/ggml-alloc.c for the padding.
import { type GgmlType, ggmlTypes } from '../../spec/ggml-types.ts';
import { divCeil } from '../../units.ts';
import { allocatedBytes } from './allocation.ts';
import type { LlamaHparams } from './hparams.ts';
import type { LlamaRules } from './rules.ts';
import type { CacheSpec, ContextParams, Place, Placement } from './types.ts';

export interface CacheInput {
  hparams: LlamaHparams;
  context: ContextParams;
  placement: Pick<Placement, 'layers'>;
  rules: LlamaRules;
}

export interface SizedCache extends CacheSpec {
  layers: readonly SizedLayer[];
}

export interface SizedLayer {
  layer: number;
  place: Place;
  keyBytes: number;
  valueBytes: number;
  /** Both with the padding of their allocation. */
  allocatedBytes: number;
}

export interface CacheTensor {
  type: GgmlType;
  /** Values of one cell. */
  width: number;
  cells: number;
  streams: number;
  place: Place;
  /** One row holds all cells. */
  oneRow?: boolean;
}

/** Where a layer's cache lies: with the layer, or on the host with -nkvo. */
export function layerPlace(il: number, { context, placement }: CacheInput): Place {
  return context.offloadKqv ? (placement.layers[il] ?? 'cpu') : 'cpu';
}

export function sizedLayer(layer: number, [key, value]: readonly [CacheTensor, CacheTensor]): SizedLayer {
  const [keyBytes, valueBytes] = [tensorSize(key), tensorSize(value)];
  return {
    layer,
    place: key.place,
    keyBytes,
    valueBytes,
    allocatedBytes: allocated(key, keyBytes) + allocated(value, valueBytes),
  };
}

/** Rows that are not whole blocks are refused with the context; here a begun block counts. */
function tensorSize({ type, width, cells, streams }: CacheTensor): number {
  const { block, bytes } = ggmlTypes[type];
  return divCeil(width, block) * bytes * cells * streams;
}

function allocated({ type, width, cells, place, oneRow }: CacheTensor, bytes: number): number {
  const { block } = ggmlTypes[type];
  if (bytes === 0 || width % block !== 0) return bytes;
  return allocatedBytes({ type, rowLength: oneRow ? width * cells : width, bytes, place });
}
