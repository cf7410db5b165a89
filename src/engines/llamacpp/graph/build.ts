// One graph of one batch under construction: the model's weights as leafs, the batch's sizes, the layers' devices, and the graph's
// first and last tensors. Law: src/llama-graph.cpp (llm_graph_context), src/llama-context.cpp (graph_get_cb, graph_reserve).
import { assert } from '../../../assert.ts';
import type { GgufTensor } from '../../../spec/gguf.ts';
import type { LlamaHparams } from '../hparams.ts';
import { isRepackedBesideGpu } from '../model-buffers.ts';
import type { CacheSpec, ContextParams, GraphInput, Place } from '../types.ts';
import { cudaSupports } from './cuda.ts';
import { GraphOps } from './ops.ts';
import { type GraphRules, graphRules } from './rules.ts';
import type { GraphTensor, Quad } from './tensor.ts';

export interface Batch {
  tokens: number;
  sequences: number;
  /** Rows whose logits are wanted. */
  outputs: number;
  /** What was pinned to a device is forgotten: ggml_backend_sched_reserve_size resets the scheduler once the graph is built. */
  unpinned?: boolean;
}

/** Batches below this size run the norms of a layer on the layer's own device, whatever its neighbours do. */
const smallBatch = 32;

export class Build extends GraphOps {
  readonly hp: LlamaHparams;
  readonly context: ContextParams;
  readonly rules: GraphRules;
  /** Rows of the finished graph that embeddings are made of (t_embd). */
  embedded: GraphTensor | undefined;
  private readonly weights = new Map<string, GraphTensor>();
  private readonly caches = new Map<string, GraphTensor>();
  private readonly byName: ReadonlyMap<string, GgufTensor>;
  private readonly pinsNorms: boolean;

  constructor(
    readonly input: GraphInput,
    readonly batch: Batch,
    tensorsByName: ReadonlyMap<string, GgufTensor>,
  ) {
    super();
    this.hp = input.hparams;
    this.context = input.context;
    this.rules = graphRules(input.rules);
    this.byName = tensorsByName;
    const allOnGpus = input.placement.layers.every((place) => place !== 'cpu');
    this.pinsNorms = !batch.unpinned && (batch.tokens < smallBatch || allOnGpus);
  }

  /** The scheduler's number of a place; the CPU comes last. */
  backendOf(place: Place): number {
    return place === 'cpu' ? this.input.placement.devices : place;
  }

  /** Where the layer lies; `hp.layers` is the output layer. */
  layerPlace(layer: number): Place {
    return this.input.placement.layers[layer]!;
  }

  // Weights.

  /** A weight that the model has or has not; with `at`, one of its copies on another device. */
  optional(name: string, at?: Place): GraphTensor | undefined {
    const tensor = this.byName.get(name);
    if (!tensor) return undefined;
    const place = at ?? this.input.placement.tensorPlace(tensor);
    const key = `${name}@${place}`;
    let weight = this.weights.get(key);
    if (!weight) {
      const { ne, type } = tensor;
      const full: Quad = [ne[0] ?? 1, ne[1] ?? 1, ne[2] ?? 1, ne[3] ?? 1];
      weight = this.tensor({ type, ne: full });
      weight.place = place;
      weight.weight = true;
      if (place === 'cpu' && isRepackedBesideGpu(tensor, this.input.rules)) this.hostOnly.add(weight);
      this.weights.set(key, weight);
    }
    return weight;
  }

  weight(name: string): GraphTensor {
    const weight = this.optional(name);
    assert(weight, `${this.hp.architecture}: the model has no tensor ${name}`);
    return weight;
  }

  /** blk.<layer>.<name>. */
  layerWeight(layer: number, name: string): GraphTensor {
    return this.weight(`blk.${layer}.${name}`);
  }

  layerOptional(layer: number, name: string): GraphTensor | undefined {
    return this.optional(`blk.${layer}.${name}`);
  }

  /** A weight of the whole model that every layer's device has a copy of, e.g. rope_freqs.weight. */
  copiedWeight(layer: number, name: string): GraphTensor | undefined {
    return this.optional(name, this.layerPlace(layer));
  }

  /** The output matrix, or the token embeddings in its place. */
  outputWeight(): GraphTensor {
    return this.optional('output.weight') ?? this.optional('token_embd.weight', this.input.placement.tiedOutput)!;
  }

  // Caches.

  cacheSpec(kind: CacheSpec['kind']): CacheSpec | undefined {
    return this.input.caches.find((cache) => cache.kind === kind);
  }

  /** A layer's part of a cache; it is made at its first use. */
  cacheTensor(key: string, place: Place, make: () => { type: GraphTensor['type']; ne: Quad }): GraphTensor {
    let tensor = this.caches.get(key);
    if (!tensor) {
      tensor = this.tensor(make());
      tensor.place = place;
      this.caches.set(key, tensor);
    }
    return tensor;
  }

  /** ggml_clamp; older builds write into the operand. */
  clamp(a: GraphTensor): GraphTensor {
    return this.rules.clampIsView
      ? this.viewLike('clamp', a)
      : this.tensor({ op: 'clamp', type: a.type, ne: a.ne, src: [a] });
  }

  // Devices.

  /** The graph callback of llama.cpp for tensors that it names `norm` or `l_last`: the layer's own device runs them. */
  pinToLayer(t: GraphTensor, layer: number): void {
    if (!this.pinsNorms || layer < 0) return;
    const place = this.layerPlace(layer);
    if (place !== 'cpu' && !cudaSupports(t, place, this.rules)) return;
    t.backend = this.backendOf(place);
  }

  /** Without an offloaded cache, attention without flash attention is told to run on the CPU. */
  pinToCpu(t: GraphTensor): void {
    if (!this.batch.unpinned) t.backend = this.backendOf('cpu');
  }
}

/** Builds the whole graph of an architecture; what it expands is what runs. */
export type GraphBuilder = (b: Build) => void;
