// Caches of K and V and of recurrent state: which a model gets, how many cells, what a row takes, where each layer's part lies.
// Law: src/llama-kv-cache.cpp, src/llama-kv-cache-iswa.cpp, src/llama-memory-recurrent.cpp, src/llama-memory-hybrid.cpp; the sizes
// are exact, the padding of an allocation (128 bytes a tensor on CUDA, whole rows of 512 for quantized types) included.
import { alignUp, sum } from '../../units.ts';
import { type CacheInput, layerPlace, type SizedCache, sizedLayer } from './cache-tensors.ts';
import type { LlamaHparams } from './hparams.ts';
import { compressedCaches, indexerCache, indexerLayers } from './kv-sparse.ts';
import { cacheLayers, memoryKind, recurrentLayers } from './layers.ts';
import type { LlamaRules } from './rules.ts';
import type { Place } from './types.ts';

interface KvRules {
  'context.padding': { flash: number; plain: number };
  'kv.sliding': 'none' | 'padded' | 'padded256';
  'kv.widestV': boolean;
  'kv.mlaV': boolean;
  'kv.oneRow': boolean;
  'kv.recurrentIsKv': boolean;
}

export type { CacheInput, SizedCache, SizedLayer } from './cache-tensors.ts';

/** Every cache of a run, in the order in which the build makes them. Bytes are over all streams. */
export function cacheSpecs(input: CacheInput): SizedCache[] {
  const { hparams, context, rules } = input;
  const law = rules as unknown as KvRules;
  const own = cacheLayers(hparams, rules);
  const caches: SizedCache[] = [];
  if (own.length > 0 && hparams.compressRatios) {
    caches.push(...compressedCaches(input, slidingCells(input, false)));
  } else if (own.length > 0) {
    const slides = (il: number): boolean => law['kv.sliding'] !== 'none' && hparams.sliding[il] === true;
    const sliding = own.filter(slides);
    const full = own.filter((il) => !slides(il));
    caches.push(plainCache(input, { kind: 'full', cells: context.nCtxSeq, layers: full }));
    if (sliding.length > 0) {
      caches.push(plainCache(input, { kind: 'sliding', cells: slidingCells(input), layers: sliding }));
    }
    const indexed = indexerLayers(input, full);
    if (indexed.length > 0) caches.push(indexerCache(input, indexed));
  }
  if (memoryKind(hparams, rules) !== 'none' && recurrentLayers(hparams).length > 0) caches.push(recurrentCache(input));
  return caches;
}

/** The cache of the drafting blocks' own context: K and V of these blocks alone. */
export function draftingCaches(input: CacheInput, layers: readonly number[]): SizedCache[] {
  return [plainCache(input, { kind: 'full', cells: input.context.nCtxSeq, layers })];
}

/** min(cells of the others, window x sequences that share the cache + n_ubatch), padded; all cells with --swa-full. */
function slidingCells({ hparams, context, rules }: CacheInput, shared = context.kvUnified): number {
  const law = rules as unknown as KvRules;
  const { nCtxSeq, nUbatch, nSeqMax, swaFull, transposedV } = context;
  if (swaFull) return nCtxSeq;
  const wanted = hparams.window * (shared ? nSeqMax : 1) + nUbatch;
  if (law['kv.sliding'] === 'padded256') return alignUp(Math.min(nCtxSeq, wanted), 256);
  return Math.min(nCtxSeq, alignUp(wanted, law['context.padding'][transposedV ? 'plain' : 'flash']));
}

interface PlainInput {
  kind: 'full' | 'sliding';
  cells: number;
  layers: readonly number[];
}

function plainCache(input: CacheInput, { kind, cells, layers }: PlainInput): SizedCache {
  const { hparams, context, rules } = input;
  const law = rules as unknown as KvRules;
  const { typeK, typeV, nStream, transposedV } = context;
  const keyWidth = (il: number): number => (hparams.keyLength[il] ?? 0) * (hparams.kvHeads[il] ?? 0);
  const valueWidth = (il: number): number => (hparams.valueLength[il] ?? 0) * (hparams.kvHeads[il] ?? 0);
  const widest = Math.max(...hparams.kvHeads.map((_, il) => valueWidth(il)));
  const hasV = !hparams.mla || law['kv.mlaV'];
  return {
    kind,
    cells,
    streams: nStream,
    layers: layers.map((il) => {
      const wide = transposedV && law['kv.widestV'] ? widest : valueWidth(il);
      const rows = { cells, streams: nStream, place: layerPlace(il, input), oneRow: law['kv.oneRow'] };
      return sizedLayer(il, [
        { ...rows, type: typeK, width: keyWidth(il) },
        { ...rows, type: typeV, width: hasV ? wide : 0 },
      ]);
    }),
  };
}

/** Float32 rows, one for each sequence (and each state to go back to): R = the convolution's tail, S = the state. */
function recurrentCache(input: CacheInput): SizedCache {
  const { hparams, context, rules } = input;
  const rows = Math.max(1, context.nSeqMax);
  const streams = 1 + (context.nRsSeq ?? 0);
  const { conv, state } = recurrentWidths(hparams);
  return {
    kind: 'recurrent',
    cells: rows,
    streams,
    layers: recurrentLayers(hparams).map((il) => {
      const part = {
        type: 'f32',
        cells: rows,
        streams,
        place: layerPlace(il, input),
        oneRow: (rules as unknown as KvRules)['kv.oneRow'],
      } as const;
      return sizedLayer(il, [
        { ...part, width: conv },
        { ...part, width: state },
      ]);
    }),
  };
}

/** n_embd_r and n_embd_s of one layer and sequence, in values (llama-hparams.cpp). */
export function recurrentWidths(hparams: LlamaHparams): { conv: number; state: number } {
  const { embd, wkv, shortConv, kda, ssm, linearAttention } = hparams;
  const heads = hparams.heads[0] ?? 0;
  if (wkv) return { conv: wkv.tokenShiftCount * embd, state: embd * wkv.headSize };
  if (shortConv) return { conv: embd * (shortConv - 1), state: 0 };
  if (kda) {
    const tail = ssm && ssm.conv > 0 ? ssm.conv - 1 : 3;
    return { conv: 3 * tail * heads * kda.headDim, state: kda.headDim ** 2 * heads };
  }
  if (linearAttention) return { conv: 0, state: linearAttention.headDim ** 2 * heads };
  if (!ssm) return { conv: 0, state: 0 };
  const tail = ssm.conv > 0 ? ssm.conv - 1 : 0;
  return { conv: tail * (ssm.inner + 2 * ssm.groups * ssm.state), state: ssm.state * ssm.inner };
}

export interface CacheBuffers {
  /** Bytes per place that the build prints as KV buffers, and as RS buffers. */
  kv: Map<Place, number>;
  rs: Map<Place, number>;
}

/** Buffers of the caches by place, as the build names them. */
export function cacheBytes(caches: readonly SizedCache[], rules: LlamaRules): CacheBuffers {
  const buffers: CacheBuffers = { kv: new Map(), rs: new Map() };
  for (const { kind, layers } of caches) {
    const isState = kind === 'recurrent' && !(rules as unknown as KvRules)['kv.recurrentIsKv'];
    const into = isState ? buffers.rs : buffers.kv;
    for (const { place, allocatedBytes: bytes } of layers) into.set(place, (into.get(place) ?? 0) + bytes);
  }
  return buffers;
}

/** Bytes of K and of V (R and S) of one cache, as its line prints them. */
export function cacheTotals({ layers }: SizedCache): { keyBytes: number; valueBytes: number } {
  return {
    keyBytes: sum(layers.map(({ keyBytes }) => keyBytes)),
    valueBytes: sum(layers.map(({ valueBytes }) => valueBytes)),
  };
}
