// RWKV 6 and 7, and models of that kind with Qwen's feed-forward network: every token is mixed with the one before it, then a state is
// carried along. Law: src/models/rwkv6.cpp, rwkv6qwen2.cpp, rwkv7.cpp, arwkv7.cpp, src/llama-graph.cpp (build_rwkv_token_shift_*).
import {
  ffn,
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  layerNorm,
  type NormKind,
  norm,
  outputHead,
} from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { readStates, type StateInputs, sequenceTokens, stateInputs, stateTensor } from './recurrent.ts';
import { recurrentRules } from './recurrent-rules.ts';
import { timeMix6 } from './rwkv6.ts';
import { timeMix7 } from './rwkv7.ts';
import type { GraphTensor } from './tensor.ts';

/** Mixes a layer's tokens along time; the result has tokens and sequences apart. */
export interface TimeMixInput {
  inputs: StateInputs;
  layer: number;
  /** The tokens, and each one's predecessor. */
  x: GraphTensor;
  previous: GraphTensor;
  /** What the first layer hands on to the others (RWKV 7). */
  first: { values?: GraphTensor };
}

type TimeMix = (b: Build, input: TimeMixInput) => GraphTensor;

/** Each token's predecessor; the first one's comes out of the state. */
function shifted(b: Build, before: GraphTensor, x: GraphTensor): GraphTensor {
  const [width, tokens, sequences] = x.ne;
  const rest = b.view(x, { ne: [width, tokens - 1, sequences], nb: [x.nb[1], x.nb[2]] });
  return b.concat(before, rest, 1);
}

/** The last token of each sequence. */
function lastOf(b: Build, x: GraphTensor): GraphTensor {
  const [width, tokens, sequences] = x.ne;
  return b.view(x, { ne: [width, 1, sequences], nb: [x.nb[1], x.nb[2]], offset: (tokens - 1) * width * 4 });
}

function loadShift(b: Build, inputs: StateInputs, layer: number): GraphTensor {
  const { embd, wkv } = b.hp;
  const rows = readStates(b, inputs, stateTensor(b, inputs, layer, 'conv'));
  return b.reshape(rows, embd, wkv!.tokenShiftCount, b.batch.sequences);
}

function storeShift(b: Build, inputs: StateInputs, layer: number, shift: GraphTensor): void {
  const cache = stateTensor(b, inputs, layer, 'conv');
  const values = cache.ne[0] * b.batch.sequences;
  b.expand(b.cpy(b.view(shift, { ne: [values] }), b.view(cache, { ne: [values] })));
}

/** RWKV's own layers: two shifts, one before each kind of mixing. */
function rwkv(b: Build, timeMix: TimeMix, version: 6 | 7): void {
  let x = inputEmbeddings(b);
  const { embd } = b.hp;
  const [tokens, { sequences }] = [sequenceTokens(b), b.batch];
  const kind: NormKind = 'layer';
  const names = { weight: b.optional('token_embd_norm.weight'), bias: b.optional('token_embd_norm.bias') };
  x = norm(b, x, { ...names, kind, layer: recurrentRules(b)['encoder.pinsEmbeddings'] ? 0 : -1 });
  const inputs = stateInputs(b);
  const outputs = inputOutputIds(b);
  const first = {};
  const every = b.input.model.metadata.rescale_every_n_layers;
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const given = b.reshape(x, embd, tokens, sequences);
    const shift = loadShift(b, inputs, layer);
    const before = (i: number) =>
      b.view(shift, { ne: [embd, 1, sequences], nb: [shift.nb[1], shift.nb[2]], offset: i * embd * 4 });
    const normed = layerNorm(b, given, layer, 'attn_norm', kind);
    const mixed = timeMix(b, { inputs, layer, x: normed, previous: shifted(b, before(0), normed), first });
    const sum = b.add(mixed, given);
    const channels = layerNorm(b, sum, layer, 'attn_norm_2', kind);
    const previous = shifted(b, before(1), channels);
    storeShift(b, inputs, layer, b.concat(lastOf(b, normed), lastOf(b, channels), 1));
    const flat = [sum, channels, previous].map((t) => b.reshape(t, embd, tokens * sequences));
    const rows = gatherOutputs(b, outputs, layer, ...flat) as [GraphTensor, GraphTensor, GraphTensor];
    x = b.add(channelMix(b, { layer, version, x: rows[1], previous: rows[2] }), rows[0]);
    if (version === 6 && typeof every === 'number' && every > 0 && (layer + 1) % every === 0) x = b.scale(x);
  }
  outputHead(b, x, kind);
}

interface ChannelMixInput {
  layer: number;
  version: 6 | 7;
  x: GraphTensor;
  previous: GraphTensor;
}

function channelMix(b: Build, { layer, version, x, previous }: ChannelMixInput): GraphTensor {
  const weight = (name: string) => b.layerWeight(layer, `channel_mix_${name}.weight`);
  const step = b.sub(previous, x);
  const key = b.add(b.mul(step, weight('lerp_k')), x);
  if (version === 7) return b.mulMat(weight('value'), b.sqr(b.unary('relu', b.mulMat(weight('key'), key))));
  const taken = b.add(b.mul(step, weight('lerp_r')), x);
  const receptance = b.unary('sigmoid', b.mulMat(weight('receptance'), taken));
  return b.mul(receptance, b.mulMat(weight('value'), b.sqr(b.unary('relu', b.mulMat(weight('key'), key)))));
}

/** The same mixing along time with a gated feed-forward network. */
function rwkvWithNetwork(b: Build, timeMix: TimeMix): void {
  let x = inputEmbeddings(b);
  const { embd } = b.hp;
  const [tokens, { sequences }] = [sequenceTokens(b), b.batch];
  const inputs = stateInputs(b);
  const outputs = inputOutputIds(b);
  const first = {};
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const given = b.reshape(x, embd, tokens, sequences);
    const shift = loadShift(b, inputs, layer);
    const normed = layerNorm(b, given, layer, 'attn_norm');
    const mixed = timeMix(b, { inputs, layer, x: normed, previous: shifted(b, shift, normed), first });
    storeShift(b, inputs, layer, lastOf(b, normed));
    const sum = b.reshape(b.add(mixed, given), embd, tokens * sequences);
    const [rows] = gatherOutputs(b, outputs, layer, sum) as [GraphTensor];
    x = b.add(ffn(b, layerNorm(b, rows, layer, 'ffn_norm'), { layer, activation: 'silu' }), rows);
  }
  outputHead(b, x);
}

export const rwkvBuilders: Readonly<Record<string, GraphBuilder>> = {
  rwkv6: (b) => rwkv(b, timeMix6, 6),
  rwkv7: (b) => rwkv(b, timeMix7, 7),
  rwkv6qwen2: (b) => rwkvWithNetwork(b, timeMix6),
  arwkv7: (b) => rwkvWithNetwork(b, timeMix7),
};
