// RWKV 6 and 7, and models of that kind with Qwen's feed-forward network: every token is mixed with the one before it, then a state is
// carried along. Law: src/models/rwkv6.cpp, rwkv6qwen2.cpp, rwkv7.cpp, arwkv7.cpp.
import { embeddingNorm } from './bert.ts';
import { ffn, gatherOutputs, inputEmbeddings, inputOutputIds, layerNorm, outputHead } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { sequenceTokens, stateInputs } from './recurrent.ts';
import { recurrentRules } from './recurrent-rules.ts';
import { rwkvAtOnce, rwkvAtOnceWithNetwork } from './rwkv-older.ts';
import {
  channelMix,
  lastOf,
  loadShift,
  rescales,
  shifted,
  shiftPart,
  statesOf,
  storeShift,
  type TimeMix,
} from './rwkv-shift.ts';
import { timeMix6 } from './rwkv6.ts';
import { timeMix7 } from './rwkv7.ts';
import type { GraphTensor } from './tensor.ts';

/** Whether a layer's results have their tokens in one row: of all layers, or of the last one. */
function flattens(b: Build, layer: number): boolean {
  return recurrentRules(b)['rwkv.flattens'] === 'all' || layer === b.hp.layers - 1;
}

/** RWKV's own layers: two shifts, one before each kind of mixing. */
function rwkv(b: Build, timeMix: TimeMix, version: 6 | 7): void {
  if (recurrentRules(b)['rwkv.flattens'] === 'end') {
    rwkvAtOnce(b, timeMix);
    return;
  }
  let x = embeddingNorm(b, inputEmbeddings(b));
  const { embd } = b.hp;
  const [tokens, { sequences }] = [sequenceTokens(b), b.batch];
  const inputs = stateInputs(b);
  const outputs = inputOutputIds(b);
  const first = {};
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const given = b.reshape(x, embd, tokens, sequences);
    const shift = loadShift(b, inputs, layer);
    const [before, beforeChannels] = [shiftPart(b, shift, 0), shiftPart(b, shift, 1)];
    const normed = layerNorm(b, given, layer, 'attn_norm', 'layer');
    const along = { layer, x: normed, previous: shifted(b, before, normed), first, ...statesOf(b, inputs, layer) };
    const sum = b.add(timeMix(b, along), given);
    const channels = layerNorm(b, sum, layer, 'attn_norm_2', 'layer');
    const previous = shifted(b, beforeChannels, channels);
    storeShift(b, inputs, layer, b.concat(lastOf(b, normed), lastOf(b, channels), 1));
    const all = [sum, channels, previous];
    const flat = flattens(b, layer) ? all.map((t) => b.reshape(t, embd, tokens * sequences)) : all;
    const rows = gatherOutputs(b, outputs, layer, ...flat) as [GraphTensor, GraphTensor, GraphTensor];
    x = b.add(channelMix(b, { layer, version, x: rows[1], previous: rows[2] }), rows[0]);
    if (version === 6 && rescales(b, layer)) x = b.scale(x);
  }
  outputHead(b, x, 'layer');
}

/** The same mixing along time with a gated feed-forward network. */
function rwkvWithNetwork(b: Build, timeMix: TimeMix): void {
  if (recurrentRules(b)['rwkv.flattens'] === 'end') {
    rwkvAtOnceWithNetwork(b, timeMix);
    return;
  }
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
    const along = { layer, x: normed, previous: shifted(b, shift, normed), first, ...statesOf(b, inputs, layer) };
    const mixed = timeMix(b, along);
    storeShift(b, inputs, layer, lastOf(b, normed));
    const sum = b.add(mixed, given);
    const flat = flattens(b, layer) ? b.reshape(sum, embd, tokens * sequences) : sum;
    const [rows] = gatherOutputs(b, outputs, layer, flat) as [GraphTensor];
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
