// The context with -fa auto decided. Mostly the kernels that the build has decide; where attention may be scheduled away from its
// layer, the graph that the build itself makes to find out is scheduled here too. Law: src/llama-context.cpp (resolve_fused_ops).
import type { GgmlType } from '../../spec/ggml-types.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import { GraphAbort } from './aborts.ts';
import { architectureRefusal } from './architectures.ts';
import { type ContextInput, type ContextResult, contextParams } from './context.ts';
import { flashStays } from './graph/auto-flash.ts';
import { cacheSpecs } from './kv.ts';
import { attentionLayers } from './layers.ts';
import type { LlamaPlacement } from './placement.ts';

type Asked = ContextInput & { placement: LlamaPlacement };

export function settledContext(asked: Asked, model: GgufModel): ContextResult {
  const result = contextParams(asked);
  const { hparams, placement, rules } = asked;
  if (result.autoFlash === undefined || !isDoubtful(asked, model)) return result;
  // A build has neither graph nor caches for an architecture it does not know.
  if (architectureRefusal(hparams.architecture, rules).refusal) return result;
  const tried = contextParams({ ...asked, autoFlash: true });
  const { context } = tried;
  const caches = cacheSpecs({ hparams, context, placement, rules });
  const main = hparams.layers - hparams.nextnLayers;
  const layers = attentionLayers(hparams, rules).filter((il) => il < main);
  try {
    const stays = flashStays({ model, hparams, context, placement, caches, rules }, layers);
    return stays === undefined ? result : contextParams({ ...asked, autoFlash: stays });
  } catch (error) {
    if (error instanceof GraphAbort) return { ...tried, refusal: tried.refusal ?? error.message };
    throw error;
  }
}

/** Tensors or caches lie elsewhere than their layers, or layers read caches of other devices. */
function isDoubtful({ options, hparams, placement, rules }: Asked, { tensors }: GgufModel): boolean {
  const unmultiplied = rules.notMultiplied as readonly GgmlType[];
  if (tensors.some(({ type }) => unmultiplied.includes(type))) return true;
  if (options.noKvOffload || (options.overrideTensor?.length ?? 0) > 0) return true;
  return hparams.kvFromStart < hparams.layers && !placement.full;
}
