// What a run has to read and to multiply at each place, from the tensors, where they lie, and the caches: the input of the speed
// estimate (speed.ts). token_embd is looked up row by row and counts only where it serves as the output matrix.
import { tensorBytes } from '../../spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../spec/gguf.ts';
import type { LlamaHparams } from './hparams.ts';
import type { LlamaLoad } from './load.ts';
import type { CacheSpec, Place } from './types.ts';

/** Sums over all that is computed at one place. */
export interface PlaceWork {
  place: Place;
  /** Blocks whose weights or a part of them are here. */
  layers: number;
  /** Weights that every pass reads whole, and their values. */
  denseBytes: number;
  denseParameters: number;
  /** Routed experts: of all layers here, with how many there are and how many a token takes. */
  expertBytes: number;
  expertParameters: number;
  /** Cache bytes that one token of one sequence reads at the context, and those a sequence's state takes. */
  cacheBytes: number;
  /** Multiply-adds of attention per token at the context. */
  attentionParameters: number;
}

export interface SpeedWork {
  places: PlaceWork[];
  experts: { count: number; used: number };
  /** Values of a hidden state, which moves between places. */
  embd: number;
  /** Values of a row of logits, which every sampled token brings to the host. */
  vocab: number;
  /** Tokens of context that the cache terms hold. */
  context: number;
  /** Changes of place on a token's way through the layers, there and back. */
  crossings: number;
}

export interface SpeedWorkInput {
  tensors: readonly GgufTensor[];
  /** Where a tensor is computed: its own place, except that a tied output is at `tiedOutput`. */
  tensorPlace(tensor: GgufTensor): Place;
  tiedOutput?: Place | undefined;
  caches: readonly CacheSpec[];
  /** Query heads per block, for the work of attention. */
  heads: readonly number[];
  kvHeads: readonly number[];
  embd: number;
  vocab: number;
  experts?: { count: number; used: number } | undefined;
  /** Tokens of context that decoding sees. */
  context: number;
}

const routed = /\.ffn_(?:up|down|gate|gate_up)_(?:ch)?exps\./;
const lookedUp = /^(?:token_embd|position_embd|token_types|per_layer_token_embd)\.weight$/;

export function speedWork(input: SpeedWorkInput): SpeedWork {
  const places = new Map<Place, PlaceWork & { blocks: Set<number> }>();
  const at = (place: Place) => {
    let work = places.get(place);
    if (!work) {
      work = { ...emptyPlace(place), blocks: new Set() };
      places.set(place, work);
    }
    return work;
  };
  const { tensors, tensorPlace, tiedOutput, caches, embd, vocab, context, experts } = input;
  for (const tensor of tensors) {
    const embedding = lookedUp.test(tensor.name);
    if (embedding && (tensor.name !== 'token_embd.weight' || tiedOutput === undefined)) continue;
    const work = at(embedding ? tiedOutput! : tensorPlace(tensor));
    const block = blockOf(tensor.name);
    if (block !== undefined) work.blocks.add(block);
    const kind = experts && routed.test(tensor.name) ? 'expert' : 'dense';
    work[`${kind}Bytes`] += tensorBytes(tensor.type, tensor.ne);
    if (tensor.ne.length > 1) work[`${kind}Parameters`] += tensor.ne.reduce((a, b) => a * b, 1);
  }
  for (const cache of caches) addCache(cache, input, at);
  return {
    places: [...places.values()].map(({ blocks, ...work }) => ({ ...work, layers: blocks.size })),
    experts: experts ?? { count: 1, used: 1 },
    embd,
    vocab,
    context,
    crossings: crossings(input),
  };
}

export function emptyPlace(place: Place): PlaceWork {
  return {
    place,
    layers: 0,
    denseBytes: 0,
    denseParameters: 0,
    expertBytes: 0,
    expertParameters: 0,
    cacheBytes: 0,
    attentionParameters: 0,
  };
}

/** Per layer bytes of K and V over all cells, cut to what a token sees; a recurrent state is read and written whole. */
function addCache(
  { kind, cells, streams, layers }: CacheSpec,
  { context, heads, kvHeads }: SpeedWorkInput,
  at: (place: Place) => PlaceWork,
): void {
  const rows = Math.max(cells * streams, 1);
  const seen = Math.min(context, cells);
  for (const { layer, place, keyBytes, valueBytes } of layers) {
    const perRow = (keyBytes + valueBytes) / rows;
    const work = at(place);
    work.cacheBytes += kind === 'recurrent' ? 2 * perRow : perRow * seen;
    const group = (heads[layer] ?? 1) / Math.max(kvHeads[layer] ?? 1, 1);
    // Every query head multiplies with the keys and values of its group; two bytes a value is near enough here.
    if (kind !== 'recurrent') work.attentionParameters += (perRow / 2) * seen * group;
  }
}

/** Embeddings start on the host and logits end there: those two moves cost little and are left out. */
function crossings({ tensors, tensorPlace, caches }: SpeedWorkInput): number {
  const path = new Map<number, { attention?: Place; cache?: Place; feedForward?: Place }>();
  for (const tensor of tensors) {
    const block = blockOf(tensor.name);
    if (block === undefined || tensor.ne.length < 2) continue;
    const entry = path.get(block) ?? {};
    if (/\.ffn_/.test(tensor.name)) {
      if (!/gate_inp/.test(tensor.name)) entry.feedForward ??= tensorPlace(tensor);
    } else entry.attention ??= tensorPlace(tensor);
    path.set(block, entry);
  }
  for (const { layers } of caches) {
    for (const { layer, place } of layers) path.set(layer, { ...path.get(layer), cache: place });
  }
  const way = [...path]
    .sort(([a], [b]) => a - b)
    .flatMap(([, { attention, cache, feedForward }]) => [attention, cache, attention, feedForward])
    .filter((place): place is Place => place !== undefined);
  return way.filter((place, i) => i > 0 && place !== way[i - 1]).length;
}

function blockOf(name: string): number | undefined {
  const match = /^blk\.(\d+)\./.exec(name);
  return match ? Number(match[1]) : undefined;
}

/** The work of a load at a context: what decoding then reads. */
export function workOfLoad(
  { model, hparams, load }: { model: GgufModel; hparams: LlamaHparams; load: Pick<LlamaLoad, 'placement' | 'caches'> },
  context: number,
): SpeedWork {
  const { experts, heads, kvHeads, embd, vocab } = hparams;
  return speedWork({
    tensors: model.tensors,
    tensorPlace: (tensor) => load.placement.tensorPlace(tensor),
    tiedOutput: load.placement.tiedOutput,
    caches: load.caches,
    heads,
    kvHeads,
    embd,
    vocab,
    experts: experts ? { count: experts.count, used: experts.used } : undefined,
    context,
  });
}
