// What attention layers hold besides their matrices: float32 scales and bounds, and the absorbed matrices of MLA. Law: vLLM
// attention/layer.py (model_executor/layers/attention/), v1/attention/backends/mla/common.py.
import type { Architecture } from '../../../architecture/types.ts';
import { dtypeBytes } from '../resolved.ts';
import { isQuantized, type QuantizeContext } from './quantize.ts';
import type { WeightRules } from './rules.ts';
import type { DeviceTensor, Module, WeightsInput } from './types.ts';

export interface StageLayers {
  start: number;
  end: number;
}

/** Scales of every attention layer of the stage, those that share another layer's cache included. */
export function attentionScalars(
  architecture: Architecture,
  layers: StageLayers,
  rules: Partial<WeightRules>,
): DeviceTensor[] {
  const rule = rules['weights.attentionScalars'];
  if (!rule) return [];
  const out: DeviceTensor[] = [];
  for (const entry of architecture.caches) {
    if (entry.layer < layers.start || entry.layer >= layers.end) continue;
    const count = attentionLayers(entry);
    for (let i = 0; i < count; i++) {
      out.push({ name: `layer ${entry.layer} scales`, bytes: rule.buffers, part: 'buffers' });
      out.push({ name: `layer ${entry.layer} bounds`, bytes: rule.attributes, part: 'attrs' });
    }
  }
  return out;
}

function attentionLayers(entry: Architecture['caches'][number]): number {
  if (entry.sharedWith !== undefined) return 1;
  return entry.caches.filter((cache) => ['full', 'sliding', 'chunked', 'mla', 'cross'].includes(cache.kind)).length;
}

/** A square mask of one byte per entry, as wide as the positions, where a class keeps one. */
export function causalMask({ spec }: WeightsInput, rules: Partial<WeightRules>): DeviceTensor[] {
  if (!rules['weights.causalMask']?.includes(spec.architecture)) return [];
  const width = spec.config.maxPositionEmbeddings ?? (spec.config.nPositions as number | undefined) ?? 0;
  return [{ name: 'causal mask', bytes: width * width, part: 'buffers' }];
}

/**
 * Copies of the absorbed matrices: W_UK and W_UV, kv_lora x heads x (nope + v) in 16 bit per layer, where kv_b is quantized
 * (from 0.8 on; with a 16-bit kv_b they are views of it).
 */
export function absorbedMatrices(
  modules: readonly Module[],
  input: WeightsInput,
  context: QuantizeContext,
): DeviceTensor[] {
  if (context.rules['weights.mlaAbsorbed'] !== 'copies-when-quantized') return [];
  if (!input.architecture.caches.some((entry) => entry.caches.some((cache) => cache.kind === 'mla'))) return [];
  const out: DeviceTensor[] = [];
  for (const module of modules) {
    if (module.kind !== 'linear' || module.members[0]?.role !== 'kv-b' || !isQuantized(module, context)) continue;
    const bytes = module.inputs * module.outputs * dtypeBytes[input.options.dtype];
    out.push({ name: `${module.name} absorbed`, bytes, part: 'attention' });
  }
  return out;
}
