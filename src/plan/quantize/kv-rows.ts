// KV cache schemes, each planned with the weights that are recommended (or come nearest) under its engine.
import { planVllm } from '../../engines/vllm/plan.ts';
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { QuantizationScheme } from '../../spec/quantization.ts';
import { type KvCacheScheme, kvHardware } from './kv-schemes.ts';
import { mixedModel, slotsOutcome, slotsQuestion } from './llama-rows.ts';
import { type Outcome, refusedOutcome } from './outcome.ts';
import { cacheQuality } from './quality.ts';
import type { RowsInput } from './rows.ts';
import type { KvRow } from './types.ts';
import { outcomeOf, type VllmSide, withScheme } from './vllm-rows.ts';

/** The weights that each engine's caches are planned with. */
export interface CacheWeights {
  vllm?: QuantizationScheme | undefined;
  'llama.cpp'?: QuantizationScheme | undefined;
}

export function kvRows(input: RowsInput, schemes: readonly KvCacheScheme[], weights: CacheWeights): KvRow[] {
  return schemes.flatMap((scheme) => {
    const side = scheme.engine === 'vllm' ? input.vllm : input.llama;
    const stored = weights[scheme.engine];
    if (!side || !stored || (scheme.since !== undefined && !side.engine.atLeast(scheme.since))) return [];
    const { outcome, bytesPerToken } =
      scheme.engine === 'vllm' ? vllmCache(input.vllm!, stored, scheme.id) : llamaCache(input, stored, scheme.id);
    return [rowOf(scheme, stored, { outcome, bytesPerToken, input })];
  });
}

function rowOf(
  scheme: KvCacheScheme,
  stored: QuantizationScheme,
  { outcome, bytesPerToken, input }: { outcome: Outcome; bytesPerToken: number | null; input: RowsInput },
): KvRow {
  const { kv, state, fits, reason } = outcome;
  return {
    engine: scheme.engine,
    scheme: scheme.id,
    name: scheme.name,
    bitsPerValue: scheme.bits,
    weights: stored.id,
    kv,
    bytesPerToken,
    state,
    fits,
    reason,
    quality: scheme.bits >= 16 ? null : cacheQuality(scheme.id, input.quality),
    hardware: kvHardware(scheme, input.gpus[0]!),
    notes: scheme.note ? [scheme.note] : [],
  };
}

interface Cache {
  outcome: Outcome;
  bytesPerToken: number | null;
}

function vllmCache(side: VllmSide, stored: QuantizationScheme, dtype: string): Cache {
  const request = withScheme(side, stored);
  const { plan } = planVllm({ ...request, options: { ...request.options, kvCacheDtype: dtype } }, side.registry);
  return { outcome: outcomeOf(plan, 0), bytesPerToken: plan.kvCache.bytesPerToken || null };
}

function llamaCache({ llama, ggufSource }: RowsInput, stored: QuantizationScheme, type: string): Cache {
  const side = llama!;
  const model = mixedModel(ggufSource, stored);
  if (!model)
    return { outcome: refusedOutcome('llama.cpp has no architecture for this model', 0), bytesPerToken: null };
  return slotsOutcome(side, slotsQuestion(side, model, stored.id, type as GgmlType), 0);
}
