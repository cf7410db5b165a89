// What layers of a state space share: their sizes, and the convolution over the last few tokens. Law: src/models/mamba-base.cpp.
import { assert } from '../../../assert.ts';
import type { Build } from './build.ts';
import { type StateInputs, sequenceTokens, statesWritten, stateTensor } from './recurrent.ts';
import { recurrentRules } from './recurrent-rules.ts';
import type { GraphTensor } from './tensor.ts';

export type StateLayer = (b: Build, inputs: StateInputs, x: GraphTensor, layer: number) => GraphTensor;

/** Sizes of the state space (ssm.* of the file). */
export function sizes(b: Build) {
  assert(b.hp.ssm, `${b.hp.architecture}: no state space`);
  const { conv, inner, state, timeStepRank, groups } = b.hp.ssm;
  return { conv, inner, state, rank: timeStepRank, groups, sequences: b.batch.sequences, tokens: sequenceTokens(b) };
}

export interface ConvolutionInput {
  inputs: StateInputs;
  layer: number;
  /** Tail of the tokens before, tail x channels x sequences. */
  tail: GraphTensor;
  /** Channels x tokens x sequences. */
  x: GraphTensor;
}

/** The tail and the batch's tokens through the convolution; the new tail goes back to the cache. */
export function convolve(b: Build, { inputs, layer, tail, x }: ConvolutionInput): GraphTensor {
  const { sequences, tokens } = sizes(b);
  const [length, channels] = tail.ne;
  const cache = stateTensor(b, inputs, layer, 'conv');
  const all = b.concat(tail, b.transpose(x), 0);
  for (let back = 0; back < statesWritten(b); back++) {
    const last = b.view(all, {
      ne: [length, channels, sequences],
      nb: [all.nb[1], all.nb[2]],
      offset: (tokens - back) * all.nb[0],
    });
    b.expand(b.cpy(last, b.view(cache, { ne: [length * channels * sequences] })));
  }
  let t = b.ssmConv(all, b.layerWeight(layer, 'ssm_conv1d.weight'), recurrentRules(b)['recurrent.cuda']);
  const bias = b.layerOptional(layer, 'ssm_conv1d.bias');
  if (bias) t = b.add(t, bias);
  return b.unary('silu', t);
}
