// What ends a build's process while it loads a model, by assertions of its own: limits, graphs that it cannot make, tensors placed
// where nothing can read them. Law: src/llama-hparams.h, src/llama-model.cpp, ggml/src/ggml-backend.cpp, ggml/src/ggml.c.
import type { GgufModel } from '../../spec/gguf.ts';
import type { LlamaHparams } from './hparams.ts';
import type { LlamaPlacement } from './placement.ts';
import type { LlamaRules } from './rules.ts';

interface AbortRules {
  /** LLAMA_MAX_EXPERTS. */
  'context.mostExperts': number;
  /** Architectures that the build reads but cannot make a graph of, and the assertion that fails. */
  'context.failingGraphs': Readonly<Record<string, string>>;
}

/** A graph that the build's own assertions forbid; the message is the assertion. */
export class GraphAbort extends Error {
  override name = 'GraphAbort';
}

interface Loading {
  model: GgufModel;
  hparams: LlamaHparams;
  placement: LlamaPlacement;
  rules: LlamaRules;
}

/** The assertion that ends the process; undefined: none that is known. */
export function abortOf({ model, hparams, placement, rules }: Loading): string | undefined {
  const law = rules as unknown as AbortRules;
  if ((hparams.experts?.count ?? 0) > law['context.mostExperts']) {
    return 'GGML_ASSERT(hparams.n_expert <= LLAMA_MAX_EXPERTS) failed';
  }
  return law['context.failingGraphs'][hparams.architecture] ?? unreachable(model, placement);
}

/** With --split-mode none only the main GPU is used: what -ot puts on another one is out of reach. */
function unreachable(model: GgufModel, placement: LlamaPlacement): string | undefined {
  if (placement.only === undefined || !placement.overridden) return undefined;
  for (const tensor of model.tensors) {
    const far = placement.tensorPlaces(tensor).find((place) => place !== 'cpu' && place !== placement.only);
    if (far !== undefined) {
      return `pre-allocated tensor (${tensor.name}) in a buffer (CUDA${far}) that cannot run the operation (NONE)`;
    }
  }
  return undefined;
}
