// Finds the family of a model and expands it. The key is the model_type of config.json, or the architecture class where one
// model_type names several classes. Adding a family is one file in families/ and one line in that folder's index.
import { inputError } from '../diagnostics.ts';
import type { ModelSpec } from '../spec/model.ts';
import { denseFamilies } from './families/dense/index.ts';
import { moeFamilies } from './families/moe/index.ts';
import { multimodalFamilies } from './families/multimodal/index.ts';
import { stateFamilies } from './families/state/index.ts';
import type { Architecture, ArchitectureFamily, CacheLayout } from './types.ts';

export const families: Readonly<Record<string, ArchitectureFamily>> = {
  ...denseFamilies,
  ...moeFamilies,
  ...stateFamilies,
  ...multimodalFamilies,
};

export function familyOf(
  spec: Pick<ModelSpec, 'modelType' | 'architecture' | 'assumedFamily'>,
): ArchitectureFamily | undefined {
  const names = spec.assumedFamily === undefined ? [spec.architecture, spec.modelType] : [spec.assumedFamily];
  const known = names.find((name) => Object.hasOwn(families, name));
  return known === undefined ? undefined : families[known];
}

/** Expands a model into its tensor and cache lists; refuses an unknown architecture. */
export function expandArchitecture(spec: ModelSpec): Architecture {
  const family = familyOf(spec);
  if (!family) {
    throw inputError(
      'VRAM201',
      `the architecture ${spec.architecture} (model_type ${spec.modelType}) is unknown: which tensors and caches it has is missing`,
      {
        hint: 'plan it as a known family with --assume-architecture llama (every figure then counts as estimated)',
        path: spec.source ?? '--model',
      },
    );
  }
  return withSharedLayouts(family(spec));
}

/** Layers of one cache layout name one and the same object, so that what follows from it is worked out once. */
function withSharedLayouts(architecture: Architecture): Architecture {
  const known = new Map<string, CacheLayout>();
  const shared = (layout: CacheLayout): CacheLayout => {
    const key = JSON.stringify(layout);
    const same = known.get(key) ?? layout;
    known.set(key, same);
    return same;
  };
  const caches = architecture.caches.map((entry) => ({ ...entry, caches: entry.caches.map(shared) }));
  return { ...architecture, caches };
}
