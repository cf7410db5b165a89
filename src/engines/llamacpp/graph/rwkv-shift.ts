// What RWKV's mixing shares: each token beside the one before it, across batches by a state, and the mixing of channels.
// Law: src/llama-graph.cpp (build_rwkv_token_shift_load, build_rwkv_token_shift_store), src/models/rwkv6-base.cpp, rwkv7-base.cpp.
import type { Build } from './build.ts';
import { readStates, type StateInputs, stateTensor } from './recurrent.ts';
import type { GraphTensor } from './tensor.ts';

/** Mixes a layer's tokens along time; the result has tokens and sequences apart. */
export interface TimeMixInput {
  layer: number;
  /** The tokens, and each one's predecessor. */
  x: GraphTensor;
  previous: GraphTensor;
  /** What the first layer hands on to the others (RWKV 7). */
  first: { values?: GraphTensor };
  /** The states before the batch, and what to do with those after it. */
  read(): GraphTensor;
  store(after: GraphTensor): void;
}

export type TimeMix = (b: Build, input: TimeMixInput) => GraphTensor;

/** States of a layer that are read where they are needed and put back at once. */
export function statesOf(b: Build, inputs: StateInputs, layer: number): Pick<TimeMixInput, 'read' | 'store'> {
  const cache = stateTensor(b, inputs, layer, 'state');
  return {
    read: () => readStates(b, inputs, cache),
    store: (after) => storeStates(b, inputs, layer, after),
  };
}

export function storeStates(b: Build, inputs: StateInputs, layer: number, after: GraphTensor): void {
  const cache = stateTensor(b, inputs, layer, 'state');
  b.expand(b.cpy(after, b.view(cache, { ne: [cache.ne[0] * b.batch.sequences] })));
}

/** Each token's predecessor; the first one's comes out of the state. */
export function shifted(b: Build, before: GraphTensor, x: GraphTensor): GraphTensor {
  const [width, tokens, sequences] = x.ne;
  const rest = b.view(x, { ne: [width, tokens - 1, sequences], nb: [x.nb[1], x.nb[2]] });
  return b.concat(before, rest, 1);
}

/** The last token of each sequence. */
export function lastOf(b: Build, x: GraphTensor): GraphTensor {
  const [width, tokens, sequences] = x.ne;
  return b.view(x, { ne: [width, 1, sequences], nb: [x.nb[1], x.nb[2]], offset: (tokens - 1) * width * 4 });
}

export function loadShift(b: Build, inputs: StateInputs, layer: number): GraphTensor {
  const { embd, wkv } = b.hp;
  const rows = readStates(b, inputs, stateTensor(b, inputs, layer, 'conv'));
  return b.reshape(rows, embd, wkv!.tokenShiftCount, b.batch.sequences);
}

/** One of the tokens that a state keeps of each sequence. */
export function shiftPart(b: Build, shift: GraphTensor, part: number): GraphTensor {
  const { embd } = b.hp;
  const place = { ne: [embd, 1, b.batch.sequences], nb: [shift.nb[1], shift.nb[2]], offset: part * embd * 4 };
  return b.view(shift, place);
}

export function storeShift(b: Build, inputs: StateInputs, layer: number, shift: GraphTensor): void {
  const cache = stateTensor(b, inputs, layer, 'conv');
  const values = { ne: [cache.ne[0] * b.batch.sequences] };
  b.expand(b.cpy(b.view(shift, values), b.view(cache, values)));
}

interface ChannelMixInput {
  layer: number;
  version: 6 | 7;
  x: GraphTensor;
  previous: GraphTensor;
}

export function channelMix(b: Build, { layer, version, x, previous }: ChannelMixInput): GraphTensor {
  const weight = (name: string) => b.layerWeight(layer, `channel_mix_${name}.weight`);
  const step = b.sub(previous, x);
  const key = b.add(b.mul(step, weight('lerp_k')), x);
  if (version === 7) return b.mulMat(weight('value'), b.sqr(b.unary('relu', b.mulMat(weight('key'), key))));
  const taken = b.add(b.mul(step, weight('lerp_r')), x);
  const receptance = b.unary('sigmoid', b.mulMat(weight('receptance'), taken));
  return b.mul(receptance, b.mulMat(weight('value'), b.sqr(b.unary('relu', b.mulMat(weight('key'), key)))));
}

/** RWKV 6: every so many layers the result is halved. */
export function rescales(b: Build, layer: number): boolean {
  const every = b.input.model.metadata.rescale_every_n_layers;
  return typeof every === 'number' && every > 0 && (layer + 1) % every === 0;
}
