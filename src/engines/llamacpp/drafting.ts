// What drafts beside a model: a draft model with contexts of its own, or a context over the model's own blocks of multi-token
// prediction. Each is a load like any other, with the parameters that llama-server gives it. Law: tools/server/server-context.cpp
// (load_model), common/speculative.cpp (common_speculative_init_result), src/llama-model.cpp (create_memory, LLAMA_CONTEXT_TYPE_MTP).
import { type BufferKind, bufferKinds } from '../../plan/types.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import { estimateCompute } from './compute-estimate.ts';
import { contextParams } from './context.ts';
import { computeBuffers } from './graph/index.ts';
import type { LlamaHparams } from './hparams.ts';
import { cacheBytes, draftingCaches } from './kv.ts';
import { buffersByPlace, bytesAt, type LlamaLoad, type LoadInput, loadModel } from './load.ts';
import { outputBuffer } from './output.ts';
import { draftContext, type SpeculationRules, speculationOf } from './speculation.ts';
import type { GraphInput, LlamaOptions } from './types.ts';

export interface DraftModel {
  model: GgufModel;
  hparams: LlamaHparams;
}

/** Buffers of all contexts together; `contexts` tells how many. */
export interface DraftLoad extends LlamaLoad {
  contexts: number;
  /** The model's own blocks draft: no further weights. */
  ownBlocks: boolean;
}

export interface DraftInput {
  target: LoadInput;
  /** The target's load, whose context the draft follows. */
  load: LlamaLoad;
  draft: DraftModel | undefined;
}

/** Undefined where nothing drafts, or where drafting takes no model (ngram). */
export function loadDraft(input: DraftInput, options: LlamaOptions): DraftLoad | undefined {
  const { target, load, draft } = input;
  const { rules } = target;
  const asked = draftContext({ options, context: load.context, rules });
  if (!draft) return speculationOf(options, target.hparams, rules).ownBlocks ? ownBlocks(input, asked) : undefined;
  const freeBytes = target.freeBytes.map((free, i) => Math.max(0, free - bytesAt(load, `gpu${i}`)));
  const measuring = target.measuring ? { measuring: true } : {};
  const made = loadModel(
    { ...draft, rules, freeBytes: measuring ? target.freeBytes : freeBytes, ...measuring },
    asked.options,
  );
  return { ...made, bytes: times(made.bytes, asked.contexts), contexts: asked.contexts, ownBlocks: false };
}

/** A context of the type for multi-token prediction: caches of the drafting blocks alone, their graph, no weights. */
function ownBlocks({ target, load }: DraftInput, asked: ReturnType<typeof draftContext>): DraftLoad {
  const { model, hparams, rules, freeBytes, measuring } = target;
  const { placement } = load;
  const { context, refusal, notes } = contextParams({ options: asked.options, hparams, rules, placement });
  const blocks = Array.from({ length: hparams.nextnLayers }, (_, i) => hparams.layers - hparams.nextnLayers + i);
  const caches = draftingCaches({ hparams, context, placement, rules }, blocks);
  const known = (rules as unknown as SpeculationRules)['speculation.ownBlocks'].includes(hparams.architecture);
  const cannot =
    known && blocks.length > 0 ? refusal : "context type MTP requested but model doesn't contain MTP layers";
  const graph: GraphInput = { model, hparams, context, placement, caches, rules, drafting: true };
  if (measuring) graph.measuring = true;
  const compute = computeBuffers(graph) ?? estimateCompute({ ...graph, hparams: lastBlocks(hparams) });
  const bytes = buffersByPlace({
    weights: {},
    cached: cacheBytes(caches, rules),
    compute,
    output: outputBuffer({ model, hparams, context, placement, rules }),
    gpus: freeBytes.length,
  });
  const made = { context, placement, caches, compute, bytes, notes };
  return { ...made, ...(cannot === undefined ? {} : { refusal: cannot }), contexts: 1, ownBlocks: true };
}

/** Sizes of the blocks that draft, for closed forms that take the widest of all. */
function lastBlocks(hparams: LlamaHparams): LlamaHparams {
  const last = <Value>(values: readonly Value[]): readonly Value[] => values.slice(-Math.max(1, hparams.nextnLayers));
  return {
    ...hparams,
    heads: last(hparams.heads),
    kvHeads: last(hparams.kvHeads),
    keyLength: last(hparams.keyLength),
    valueLength: last(hparams.valueLength),
    feedForward: last(hparams.feedForward),
  };
}

/** A context for each slot has caches and buffers of its own; the weights are there once. */
function times(bytes: LlamaLoad['bytes'], contexts: number): LlamaLoad['bytes'] {
  const scaled = (kind: BufferKind) =>
    Object.fromEntries(Object.entries(bytes[kind]).map(([at, n]) => [at, kind === 'model' ? n : n * contexts]));
  return Object.fromEntries(bufferKinds.map((kind) => [kind, scaled(kind)])) as LlamaLoad['bytes'];
}
