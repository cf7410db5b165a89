// The modules of a rank and which of them the scheme lays out: the part of the weights that no GPU changes, kept per model and
// scheme, because a sweep asks for it once per capability.
import type { Architecture } from '../../../architecture/types.ts';
import type { QuantizationScheme } from '../../../spec/quantization.ts';
import type { Module, WeightsInput } from './types.ts';

export interface Structure {
  modules: readonly Module[];
  laidOut: readonly boolean[];
}

const unquantized = {};
const structures = new WeakMap<Architecture, WeakMap<object, Map<string, Structure>>>();

export function structureOf(input: WeightsInput, make: () => Structure): Structure {
  const { architecture, scheme, profile, place, options } = input;
  const bySchemes = existing(structures, architecture, () => new WeakMap<QuantizationScheme, Map<string, Structure>>());
  const byOptions = existing(bySchemes, scheme ?? unquantized, () => new Map<string, Structure>());
  // Graphs and the split of memory are no part of a module; everything else may be.
  const { captureSizes, cudagraphMode, gpuMemoryUtilization, kvCacheMemoryBytes, ...read } = options;
  const key = `${profile.version}/${place.stage}/${place.tensorRank}/${JSON.stringify(read)}`;
  let structure = byOptions.get(key);
  if (!structure) {
    structure = make();
    byOptions.set(key, structure);
  }
  return structure;
}

function existing<Key extends object, Value>(map: WeakMap<Key, Value>, key: Key, make: () => Value): Value {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}
