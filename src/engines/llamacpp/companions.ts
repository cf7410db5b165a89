// A model together with what llama-server loads beside it: a draft and a multimodal projector. Every search for what fits is made of
// such loads, so that the others' memory is counted in all of them.
import { hparamsIn } from './build-hparams.ts';
import { type DraftModel, loadDraft } from './drafting.ts';
import { type LlamaLoad, type LoadInput, loadModel } from './load.ts';
import { loadProjector, type ProjectorLoad } from './projector.ts';

import type { LlamaRequest } from './request.ts';
import type { LlamaOptions } from './types.ts';

export interface Companions {
  draft?: DraftModel;
  projector?: ProjectorLoad;
}

/** What a request names beside its model, read once. */
export function companionsOf({ draft, projector, options, rules }: LlamaRequest): Companions {
  const loaded = projector && loadProjector(projector, options, rules);
  return {
    ...(draft ? { draft: { model: draft.model, hparams: hparamsIn(draft.model, rules) } } : {}),
    ...(loaded ? { projector: loaded } : {}),
  };
}

export function loadTogether(input: LoadInput, { draft, projector }: Companions, options: LlamaOptions): LlamaLoad {
  const load = loadModel(input, options);
  if (load.refusal !== undefined) return load;
  const drafting = loadDraft({ target: input, load, draft }, options);
  return {
    ...load,
    ...(drafting?.refusal === undefined ? {} : { refusal: drafting.refusal }),
    ...(drafting ? { draft: drafting } : {}),
    ...(projector ? { projector } : {}),
  };
}
