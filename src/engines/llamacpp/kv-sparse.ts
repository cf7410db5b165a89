// Caches of sparse attention: the keys of an indexer beside K and V (DeepSeek 3.2, GLM-5, MiniMax-M3), and DeepSeek-V4's compressed
// caches with their states. Law: src/llama-kv-cache-dsa.cpp, src/llama-kv-cache-msa.cpp, src/llama-kv-cache-dsv4.cpp; no case of
// these was measured: the sizes are derived from the source.
import { alignUp, divCeil } from '../../units.ts';
import { type CacheInput, layerPlace, type SizedCache, sizedLayer } from './cache-tensors.ts';

interface SparseRules {
  'kv.indexer': Readonly<Record<string, IndexedLayers>>;
}

/** All layers of the main cache; those with an indexer of their own; those with experts. */
type IndexedLayers = 'all' | 'full' | 'sparse';

/** Layers whose indexer keys are cached. */
export function indexerLayers({ hparams, rules }: CacheInput, own: readonly number[]): readonly number[] {
  const which = (rules as unknown as SparseRules)['kv.indexer'][hparams.architecture];
  const { indexer } = hparams;
  if (!which || !indexer) return [];
  switch (which) {
    case 'all':
      return own;
    case 'full':
      return own.filter((il) => il < hparams.layers - hparams.nextnLayers && indexer.full[il]);
    case 'sparse':
      return own.filter((il) => il >= (hparams.experts?.leadingDense ?? 0));
  }
}

/** One key head a token. Where the model has no latent attention, a V of one head comes along, unused. */
export function indexerCache(input: CacheInput, layers: readonly number[]): SizedCache {
  const { hparams, context } = input;
  const { typeK, typeV, nCtxSeq: cells, nStream: streams } = context;
  const keyOnly = hparams.mla !== undefined || hparams.architecture === 'qwen4exp';
  return {
    kind: 'indexer',
    cells,
    streams,
    layers: layers.map((il) => {
      const rows = { cells, streams, place: layerPlace(il, input) };
      return sizedLayer(il, [
        { ...rows, type: typeK, width: hparams.indexer?.keyLength ?? 0 },
        { ...rows, type: typeV, width: keyOnly ? 0 : (hparams.valueLength[il] ?? 0) },
      ]);
    }),
  };
}

/** Tokens of one cell: compressed sparse attention, and the heavily compressed one. */
const sparseRatio = 4;
const heavyRatio = 128;

/**
 * DeepSeek-V4 keeps K alone, a stream for every sequence whatever -kvu says: the last tokens of every layer as a sliding cache, cells
 * of 4 or 128 tokens by layer, indexer keys for the former, and float32 states of the compressors.
 */
export function compressedCaches(input: CacheInput, windowCells: number): SizedCache[] {
  const { hparams, context } = input;
  const { nCtxSeq, nSeqMax: streams, typeK } = context;
  const ratios = hparams.compressRatios ?? [];
  const all = hparams.heads.map((_, il) => il);
  const sparse = all.filter((il) => ratios[il] === sparseRatio);
  const heavy = all.filter((il) => ratios[il] === heavyRatio);
  const cellsOf = (ratio: number): number => alignUp(Math.max(1, divCeil(nCtxSeq, ratio)), 256);
  const width = (il: number): number => (hparams.keyLength[il] ?? 0) * (hparams.kvHeads[il] ?? 0);
  const indexWidth = hparams.indexer?.keyLength ?? 0;
  const keys = (kind: SizedCache['kind'], cells: number, layers: readonly number[], wide = width): SizedCache => ({
    kind,
    cells,
    streams,
    layers: layers.map((il) => {
      const rows = { cells, streams, place: layerPlace(il, input), type: typeK };
      return sizedLayer(il, [
        { ...rows, width: wide(il) },
        { ...rows, width: 0 },
      ]);
    }),
  });
  const states = (cells: number, layers: readonly number[], wide: (il: number) => number): SizedCache => ({
    kind: 'recurrent',
    cells,
    streams,
    layers: layers.map((il) => {
      const part = { cells, streams, place: layerPlace(il, input), type: 'f32', width: wide(il) } as const;
      return sizedLayer(il, [part, part]);
    }),
  });
  const head = (il: number): number => hparams.keyLength[il] ?? 0;
  return [
    keys('sliding', windowCells, all),
    keys('full', cellsOf(sparseRatio), sparse),
    keys('full', cellsOf(heavyRatio), heavy),
    keys('indexer', cellsOf(sparseRatio), sparse, () => indexWidth),
    states(2 * sparseRatio, sparse, (il) => 2 * head(il)),
    states(heavyRatio, heavy, head),
    states(2 * sparseRatio, sparse, () => 2 * indexWidth),
  ];
}
