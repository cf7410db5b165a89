// The modules of a rank and which of them the scheme lays out: the part of the weights that no GPU changes, kept for the models
// of the moment, because a sweep asks for it once per kernel generation.
import { identity, recent } from '../recent.ts';
import type { Module, WeightsInput } from './types.ts';

export interface Structure {
  modules: readonly Module[];
  laidOut: readonly boolean[];
}

/** A structure holds thousands of modules: a few models in turn are enough. */
const remembered = recent<Structure>(32);

export function structureOf(input: WeightsInput, make: () => Structure): Structure {
  const { architecture, scheme, profile, place, options } = input;
  // Graphs and the split of memory are no part of a module; everything else may be.
  const { captureSizes, cudagraphMode, gpuMemoryUtilization, kvCacheMemoryBytes, ...read } = options;
  const subject = `${identity(architecture)}/${identity(scheme)}/${profile.version}/${place.stage}/${place.tensorRank}`;
  return remembered(`${subject}/${JSON.stringify(read)}`, make);
}
