// One load of llama.cpp with certain options: every buffer to the byte, per place, or why the build refuses. It puts together what the
// modules of this folder know one by one; a plan, a fit and every search for what would fit are made of such loads.
import type { BufferKind } from '../../plan/types.ts';
import type { GgufModel } from '../../spec/gguf.ts';
import { identity, recent } from '../recent.ts';
import { abortOf, GraphAbort } from './aborts.ts';
import { estimateCompute } from './compute-estimate.ts';
import type { DraftLoad } from './drafting.ts';
import { computeBuffers } from './graph/index.ts';
import type { LlamaHparams } from './hparams.ts';
import { type CacheBuffers, cacheBytes, cacheSpecs, type SizedCache } from './kv.ts';
import { modelBuffers } from './model-buffers.ts';
import { type OutputBuffer, outputBuffer } from './output.ts';
import { type LlamaPlacement, placeModel } from './placement.ts';
import type { ProjectorLoad } from './projector.ts';
import type { LlamaRules } from './rules.ts';
import { settledContext } from './settled-context.ts';
import type { ComputeBuffers, ContextParams, GraphInput, LlamaOptions, Place } from './types.ts';
import { unreadable } from './unreadable.ts';

export interface LoadInput {
  model: GgufModel;
  hparams: LlamaHparams;
  rules: LlamaRules;
  /** Bytes free on each GPU: they split the layers by it. */
  freeBytes: readonly number[];
  /** A load of -fit, which only measures: its graphs are placed without the hints of the context. */
  measuring?: boolean;
}

/** Bytes by place: gpu0, gpu1, ..., pinned, cpu, mapped. */
export type PlaceBytes = Record<string, number>;

export interface LlamaLoad {
  /** In the build's words; the figures are then those of the parts that could be worked out. */
  refusal?: string;
  context: ContextParams;
  placement: LlamaPlacement;
  caches: readonly SizedCache[];
  compute: ComputeBuffers;
  bytes: Record<BufferKind, PlaceBytes>;
  notes: readonly string[];
  /** What lies beside the model: counted wherever memory is, but in no buffer of the model's own. */
  draft?: DraftLoad;
  projector?: ProjectorLoad;
}

const loads = recent<LlamaLoad>(256);

/** Pure and cheap enough to be called some dozens of times; the same load is made once for all GPUs of a sweep. */
export function loadModel(input: LoadInput, options: LlamaOptions): LlamaLoad {
  const { model, rules, freeBytes, measuring = false } = input;
  const split = freeBytes.length > 1 ? freeBytes.join() : freeBytes.length;
  const key = `${identity(model)}/${identity(rules)}/${measuring}/${split}/${JSON.stringify(options)}`;
  return loads(key, () => loadAnew(input, options));
}

function loadAnew({ model, hparams, rules, freeBytes, measuring }: LoadInput, options: LlamaOptions): LlamaLoad {
  const placement = placeModel({ model, hparams, options, rules, freeBytes });
  const { context, refusal, notes } = settledContext({ options, hparams, rules, placement }, model);
  const caches = cacheSpecs({ hparams, context, placement, rules });
  const buffers = modelBuffers({ model, placement, gpus: freeBytes.length, options, rules });
  const cached = cacheBytes(caches, rules);
  const output = outputBuffer({ model, hparams, context, placement, rules });
  const refused =
    placement.refusal ?? refusal ?? unreadable(model, hparams, rules) ?? abortOf({ model, hparams, placement, rules });
  const graph = { model, hparams, context, placement, caches, rules, ...(measuring ? { measuring } : {}) };
  const reserved = refused ?? reserve(graph);
  const compute = typeof reserved === 'string' ? nothing : reserved;
  const { mapped, pinned, host, repack } = buffers;
  const weights = { ...perGpu(buffers.gpus), mapped, pinned, cpu: host, repack };
  return {
    ...(typeof reserved === 'string' ? { refusal: reserved } : {}),
    context,
    placement,
    caches,
    compute,
    bytes: buffersByPlace({ weights, cached, compute, output, gpus: freeBytes.length }),
    notes: [...placement.notes, ...notes],
  };
}

const nothing: ComputeBuffers = {
  gpus: [],
  host: 0,
  nodes: 0,
  splits: 0,
  singleSplits: 0,
  copies: 1,
  confidence: 'exact',
};

/** Buffers of the graphs, or the assertion by which the build ends where it cannot make them. */
function reserve(graph: GraphInput): ComputeBuffers | string {
  try {
    return computeBuffers(graph) ?? estimateCompute(graph);
  } catch (error) {
    if (error instanceof GraphAbort) return error.message;
    throw error;
  }
}

/** The buffers of a load by kind and place; what is empty is left out. */
export function buffersByPlace(input: {
  weights: PlaceBytes;
  cached: CacheBuffers;
  compute: ComputeBuffers;
  output: OutputBuffer;
  gpus: number;
}): LlamaLoad['bytes'] {
  const { weights, cached, compute, output, gpus } = input;
  return {
    model: present(weights),
    kv: placed(cached.kv),
    rs: placed(cached.rs),
    compute: present({ ...perGpu(compute.gpus), [gpus > 0 ? 'pinned' : 'cpu']: compute.host }),
    output: present({ [output.place]: output.bytes }),
  };
}

function perGpu(bytes: readonly number[]): PlaceBytes {
  return Object.fromEntries(bytes.map((n, i) => [`gpu${i}`, n]));
}

function placed(bytes: ReadonlyMap<Place, number>): PlaceBytes {
  return present(Object.fromEntries([...bytes].map(([place, n]) => [place === 'cpu' ? 'cpu' : `gpu${place}`, n])));
}

function present(bytes: PlaceBytes): PlaceBytes {
  return Object.fromEntries(Object.entries(bytes).filter(([, n]) => n > 0));
}

/** Bytes of all kinds on one place, those of a draft and of a projector included. */
export function bytesAt(
  { bytes, draft, projector }: Pick<LlamaLoad, 'bytes' | 'draft' | 'projector'>,
  at: string,
): number {
  const own = Object.values(bytes).reduce((sum, places) => sum + (places[at] ?? 0), 0);
  return own + (projector ? projectorAt(projector, at) : 0) + (draft ? bytesAt(draft, at) : 0);
}

/** With the weights on a GPU, copies of the inputs stay in plain host memory. */
export function projectorAt({ place, modelBytes, computeBytes, hostBytes }: ProjectorLoad, at: string): number {
  return (place === at ? modelBytes + computeBytes : 0) + (at === 'cpu' ? hostBytes : 0);
}
