// Preset models as GGUF descriptions, for the tests of mixes and conversions.
import { applyMix, type MixOptions, tensorDataBytes } from '../../../src/accounting/gguf-mix/index.ts';
import { toGguf } from '../../../src/architecture/gguf/index.ts';
import { expandArchitecture } from '../../../src/architecture/index.ts';
import { assert } from '../../../src/assert.ts';
import { loadPresets } from '../../../src/load/presets.ts';
import type { GgmlType } from '../../../src/spec/ggml-types.ts';
import type { GgufModel } from '../../../src/spec/gguf.ts';

const presets = new Map(loadPresets('models').map((spec) => [spec.id, spec]));

export function description(id: string): GgufModel {
  const spec = presets.get(id);
  assert(spec !== undefined, `no preset ${id}`);
  const model = toGguf(spec, expandArchitecture(spec));
  assert(model !== undefined, `${id} has no conversion`);
  return model;
}

export function mixBytes(id: string, mix: string, options?: MixOptions): number {
  return tensorDataBytes(applyMix(description(id), mix, options));
}

export function typeCounts(model: GgufModel): Partial<Record<GgmlType, number>> {
  const counts: Partial<Record<GgmlType, number>> = {};
  for (const { type } of model.tensors) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

export function typesOf(model: GgufModel): Record<string, GgmlType> {
  return Object.fromEntries(model.tensors.map(({ name, type }) => [name, type]));
}

export function parameterCount(model: GgufModel): number {
  return model.tensors.reduce((total, { ne }) => total + ne.reduce((product, n) => product * n, 1), 0);
}
