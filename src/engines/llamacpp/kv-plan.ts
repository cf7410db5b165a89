// The caches of a load in the plan's own words: tokens in all, for one sequence, bytes per token, one group per kind of cache.
import type { KvCachePlan, KvGroupPlan } from '../../plan/types.ts';
import { sum } from '../../units.ts';
import { cacheTotals, type SizedCache } from './kv.ts';
import type { LlamaLoad } from './load.ts';

const kinds: Readonly<Record<SizedCache['kind'], string>> = {
  full: 'full-attention',
  sliding: 'sliding-window',
  recurrent: 'mamba',
  indexer: 'indexer',
};

export function kvCachePlan({ caches, context, bytes }: LlamaLoad): KvCachePlan {
  const grows = caches.filter(({ kind }) => kind === 'full' || kind === 'indexer');
  const perToken = sum(grows.map((cache) => bytesOf(cache))) / Math.max(1, context.nCtx);
  const total = sum(Object.values(bytes.kv));
  return {
    bytes: total,
    blockSize: 1,
    numBlocks: caches.some(({ kind }) => kind !== 'recurrent') ? context.nCtx : 0,
    tokens: context.nCtx,
    maxConcurrency: context.nCtx / Math.max(1, context.nCtxSeq),
    maxModelLen: context.nCtxSeq,
    bytesPerBlock: Math.round(perToken),
    bytesPerToken: perToken,
    groups: caches.filter(({ layers }) => layers.length > 0).map(groupOf),
    figures: [
      {
        figure: 'tokens',
        formula: 'n_ctx: as asked, padded, divided among the slots unless they share one cache',
        source: 'src/llama-context.cpp',
        confidence: 'exact',
      },
    ],
  };
}

/** Cells stand where vLLM has a block: one cache is one block of that many tokens per stream. */
function groupOf(cache: SizedCache): KvGroupPlan {
  return {
    kind: kinds[cache.kind],
    layers: cache.layers.length,
    blockSize: cache.cells,
    pageBytes: bytesOf(cache),
    count: cache.streams,
  };
}

function bytesOf(cache: SizedCache): number {
  const { keyBytes, valueBytes } = cacheTotals(cache);
  return keyBytes + valueBytes;
}
