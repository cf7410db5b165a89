// RWKV 6 as the first builds had it: both states are read at once, put back after each sum, and the rows that are output are taken
// after the last layer. Law: src/llama.cpp of b4753 (build_rwkv6, build_rwkv6qwen2).
import { embeddingNorm } from './bert.ts';
import { ffn, inputEmbeddings, inputOutputIds, layerNorm, outputHead } from './blocks.ts';
import type { Build } from './build.ts';
import { readStates, type StateInputs, sequenceTokens, stateInputs, stateTensor } from './recurrent.ts';
import {
  channelMix,
  lastOf,
  rescales,
  shifted,
  shiftPart,
  storeShift,
  storeStates,
  type TimeMix,
} from './rwkv-shift.ts';
import type { GraphTensor } from './tensor.ts';

/** States of a layer that were read before, and are put back later. */
function held(b: Build, inputs: StateInputs, layer: number) {
  const shiftRows = readStates(b, inputs, stateTensor(b, inputs, layer, 'conv'));
  const rows = readStates(b, inputs, stateTensor(b, inputs, layer, 'state'));
  let after: GraphTensor | undefined;
  return {
    shiftRows,
    read: () => rows,
    store: (t: GraphTensor) => {
      after = t;
    },
    putBack: () => storeStates(b, inputs, layer, after!),
  };
}

export function rwkvAtOnce(b: Build, timeMix: TimeMix): void {
  const inputs = stateInputs(b);
  let x = embeddingNorm(b, inputEmbeddings(b));
  const { embd } = b.hp;
  const [tokens, { sequences }] = [sequenceTokens(b), b.batch];
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const { shiftRows, putBack, ...states } = held(b, inputs, layer);
    const given = b.reshape(x, embd, tokens, sequences);
    const shift = b.reshape(shiftRows, embd, b.hp.wkv!.tokenShiftCount, sequences);
    const normed = layerNorm(b, given, layer, 'attn_norm', 'layer');
    const previous = shifted(b, shiftPart(b, shift, 0), normed);
    const sum = b.add(given, timeMix(b, { layer, x: normed, previous, first: {}, ...states }));
    b.expand(sum);
    putBack();
    const channels = layerNorm(b, sum, layer, 'attn_norm_2', 'layer');
    const before = shifted(b, shiftPart(b, shift, 1), channels);
    x = b.add(sum, channelMix(b, { layer, version: 6, x: channels, previous: before }));
    b.expand(x);
    storeShift(b, inputs, layer, b.concat(lastOf(b, normed), lastOf(b, channels), 1));
    if (rescales(b, layer)) x = b.scale(x);
  }
  outputHead(b, outputRows(b, x), 'layer');
}

export function rwkvAtOnceWithNetwork(b: Build, timeMix: TimeMix): void {
  const inputs = stateInputs(b);
  let x = inputEmbeddings(b);
  const { embd } = b.hp;
  const [tokens, { sequences }] = [sequenceTokens(b), b.batch];
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const { shiftRows, putBack, ...states } = held(b, inputs, layer);
    const given = b.reshape(x, embd, tokens, sequences);
    const shift = b.reshape(shiftRows, embd, 1, sequences);
    const normed = layerNorm(b, given, layer, 'attn_norm');
    const previous = shifted(b, shift, normed);
    storeShift(b, inputs, layer, lastOf(b, normed));
    const sum = b.add(given, timeMix(b, { layer, x: normed, previous, first: {}, ...states }));
    b.expand(sum);
    putBack();
    x = b.add(ffn(b, layerNorm(b, sum, layer, 'ffn_norm'), { layer, activation: 'silu' }), sum);
  }
  outputHead(b, outputRows(b, x));
}

function outputRows(b: Build, x: GraphTensor): GraphTensor {
  const ids = inputOutputIds(b);
  const flat = b.reshape(x, b.hp.embd, b.batch.tokens);
  return ids ? b.getRows(flat, ids) : flat;
}
