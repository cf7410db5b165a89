// What would fit with a cache of 8 bits, and answers better than what fits as it is: one scheme per engine, planned before it is named.
import { planVllm } from '../../engines/vllm/plan.ts';
import { mixedModel, slotsQuestion } from './llama-rows.ts';
import { best, costOf, orderOf, type RecommendInput, withinLimit } from './recommend.ts';
import type { RowsInput } from './rows.ts';
import type { EngineName, QuantizeRow } from './types.ts';
import { withScheme } from './vllm-rows.ts';

export interface NearMiss {
  row: QuantizeRow;
  reason: string;
}

/** The 8-bit cache of each engine, and how it is asked for. */
const smallCaches = {
  vllm: { type: 'fp8', option: '--kv-cache-dtype fp8' },
  'llama.cpp': { type: 'q8_0', option: '-ctk q8_0 -ctv q8_0' },
} as const;

/** Candidates tried per engine. */
const tries = 4;

export function nearMisses(input: RowsInput, choosing: RecommendInput, chosen: QuantizeRow | undefined): NearMiss[] {
  return (['vllm', 'llama.cpp'] as const).flatMap((engine) => {
    let pool = choosing.rows.filter((row) => row.engine === engine && isCandidate(row, choosing, chosen));
    for (let i = 0; i < tries && pool.length > 0; i++) {
      const row = best(pool, choosing)!;
      if (fitsWithSmallCache(input, row, engine))
        return [
          { row, reason: `fits with an 8-bit KV cache (${smallCaches[engine].option}): ${costOf(row, choosing)}` },
        ];
      pool = pool.filter((other) => other !== row);
    }
    return [];
  });
}

/** Short of memory, run by the GPU, with a known loss, and better than what is recommended. */
function isCandidate(row: QuantizeRow, choosing: RecommendInput, chosen: QuantizeRow | undefined): boolean {
  if (row.state !== 'short' || row.scheme === 'fp32' || row.scheme === 'gguf-f32' || !withinLimit(row, choosing))
    return false;
  if (row.hardware.level !== 'native' && row.hardware.level !== 'weight-only') return false;
  const known = row.published || choosing.bitsOf(row) >= 16 || typeof row.quality?.relativeLoss === 'number';
  return known && (chosen === undefined || orderOf(row, chosen, choosing) < 0);
}

function fitsWithSmallCache(input: RowsInput, row: QuantizeRow, engine: EngineName): boolean {
  const scheme = input.schemes.find(({ id }) => id === row.scheme);
  if (!scheme || row.published) return false;
  if (engine === 'llama.cpp') {
    const side = input.llama!;
    const model = mixedModel(input.ggufSource, scheme);
    if (!model || side.request.options.cacheTypeK !== undefined) return false;
    return slotsQuestion(side, model, scheme.id, smallCaches['llama.cpp'].type).plan(side.concurrency).verdict.fits;
  }
  const request = withScheme(input.vllm!, scheme);
  if (request.options.kvCacheDtype !== undefined) return false;
  const { plan } = planVllm(
    { ...request, options: { ...request.options, kvCacheDtype: smallCaches.vllm.type } },
    input.vllm!.registry,
  );
  return plan.verdict.fits && plan.workload?.fits !== false;
}
