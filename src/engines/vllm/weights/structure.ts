// The modules of a rank and which of them the scheme lays out: the part of the weights that no GPU changes, kept for the models
// of the moment, because a sweep asks for it once per kernel generation, scheme and size of batches.
import { identity, recent } from '../../recent.ts';
import type { ModulePlan } from './modules.ts';
import type { Module, WeightsInput } from './types.ts';

export interface Structure {
  modules: readonly Module[];
  laidOut: readonly boolean[];
}

/** Modules number thousands: a few models in turn are enough. */
const builtModules = recent<readonly Module[]>(32);
const laidOutModules = recent<readonly boolean[]>(64);

interface Makers {
  plan: ModulePlan;
  build(): readonly Module[];
  isLaidOut(module: Module): boolean;
}

/** What is built goes by the plan of modules and by what is loaded of towers; a scheme says which of it is laid out. */
export function structureOf(input: WeightsInput, { plan, build, isLaidOut }: Makers): Structure {
  const { architecture, scheme, spec, profile, place, options } = input;
  const { languageModelOnly, limitMmPerPrompt, mmEncoderTpMode, speculativeConfig } = options;
  const loaded = JSON.stringify([plan, languageModelOnly, limitMmPerPrompt, mmEncoderTpMode, speculativeConfig]);
  // Whether a tower's linear layers count as such is a matter of the scheme.
  const tower = architecture.tower ? identity(scheme) : '';
  const key = `${tower}/${identity(architecture)}/${identity(spec)}/${profile.version}/${place.stage}/${place.tensorRank}/${loaded}`;
  const modules = builtModules(key, build);
  return { modules, laidOut: laidOutModules(`${identity(scheme)}/${key}`, () => modules.map(isLaidOut)) };
}
