// What -fit makes of a request: the loads that it measures, with the draft and the projector as far as the build counts them. Law:
// common/fit.cpp, tools/server/server-context.cpp (load_model adds to the margin what is loaded beside the model).
import type { BufferKind } from '../../plan/types.ts';
import type { Companions } from './companions.ts';
import { loadDraft } from './drafting.ts';
import { FitError, type FitResult, fits, solveFit } from './fit.ts';
import type { LlamaHparams } from './hparams.ts';
import { bytesAt, type LlamaLoad, loadModel } from './load.ts';
import type { LlamaRequest } from './request.ts';
import type { SpeculationRules } from './speculation.ts';
import type { LlamaOptions } from './types.ts';

interface ProjectorRules {
  'projector.fit': 'none' | 'margin';
}

export interface FitRequest {
  request: LlamaRequest;
  hparams: LlamaHparams;
  companions: Companions;
  /** Per GPU, in bytes. */
  free: readonly number[];
}

/** Where the build fits options to the memory, and something is left to be fitted. */
export function fitOf(input: FitRequest): FitResult | undefined {
  const { request, hparams, free } = input;
  const { options, rules, gpus } = request;
  if (!fits(options, rules) || gpus.length === 0) return undefined;
  const settled = options.ctxSize !== undefined && options.ctxSize > 0 && typeof options.gpuLayers === 'number';
  if (settled && options.fit !== true) return undefined;
  const together = (rules as unknown as SpeculationRules)['speculation.fit'] === 'together';
  const target = { model: request.model, hparams, rules, freeBytes: free, measuring: true };
  return solveFit({
    options,
    hparams,
    freeBytes: free,
    totalBytes: gpus.map((gpu, i) => Math.max(gpu.cudaTotalBytes, free[i]!)),
    rules,
    reservedBytes: reservedOf(input),
    measure: (asked) => {
      const load = loadModel(target, asked);
      if (load.refusal !== undefined) throw new FitError(load.refusal);
      // The draft's own offload is as given, whatever the fit tries.
      const follows: LlamaOptions = { ...options, ...(asked.ctxSize === undefined ? {} : { ctxSize: asked.ctxSize }) };
      const draft = together ? measuredDraft(input, follows, load) : undefined;
      const all = (kinds: readonly BufferKind[], places: readonly string[]): number =>
        sumAt(load, kinds, places) + (draft ? sumAt(draft, kinds, places) : 0);
      const at = (places: readonly string[]) => ({
        modelBytes: all(['model'], places),
        contextBytes: all(['kv', 'rs'], places),
        recurrentBytes: sumAt(load, ['rs'], places),
        computeBytes: all(['compute'], places),
      });
      return {
        nCtx: load.context.nCtx,
        devices: free.map((_, i) => at([`gpu${i}`])),
        host: at(['pinned', 'cpu', 'mapped']),
      };
    },
  });
}

/** What the build takes from the free memory of each GPU before it fits. */
function reservedOf(input: FitRequest): number[] {
  const { request, hparams, companions, free } = input;
  const { rules, options } = request;
  const law = rules as unknown as SpeculationRules & ProjectorRules;
  const reserved = free.map(() => 0);
  const { projector } = companions;
  if (projector?.place === 'gpu0' && law['projector.fit'] === 'margin') {
    reserved[0] = projector.modelBytes + projector.computeBytes;
  }
  if (law['speculation.fit'] !== 'margin') return reserved;
  const target = { model: request.model, hparams, rules, freeBytes: free, measuring: true };
  const draft = measuredDraft(input, options, loadModel(target, options));
  return reserved.map((bytes, i) => bytes + (draft ? bytesAt(draft, `gpu${i}`) : 0));
}

/** A draft that cannot be measured is left out of the fit. */
function measuredDraft({ request, hparams, companions, free }: FitRequest, options: LlamaOptions, load: LlamaLoad) {
  const target = { model: request.model, hparams, rules: request.rules, freeBytes: free, measuring: true };
  const draft = loadDraft({ target, load, draft: companions.draft }, options);
  return draft?.refusal === undefined ? draft : undefined;
}

function sumAt({ bytes }: LlamaLoad, kinds: readonly BufferKind[], places: readonly string[]): number {
  return kinds.reduce((sum, kind) => sum + places.reduce((s, place) => s + (bytes[kind][place] ?? 0), 0), 0);
}
