// Mamba and Mamba-2: a convolution over the last few tokens, then a selective scan that carries a state from token to token.
// Law: src/models/mamba-base.cpp (build_mamba_layer, build_mamba2_layer), mamba.cpp, mamba2.cpp.
import { assert } from '../../../assert.ts';
import { gatherOutputs, inputEmbeddings, inputOutputIds, layerNorm, linear, norm, outputHead } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { readStates, type StateInputs, sequenceTokens, stateInputs, stateTensor } from './recurrent.ts';
import { recurrentRules } from './recurrent-rules.ts';
import type { GraphTensor } from './tensor.ts';

type Layer = (b: Build, inputs: StateInputs, x: GraphTensor, layer: number) => GraphTensor;

/** Sizes of the state space (ssm.* of the file). */
function sizes(b: Build) {
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
  const last = b.view(all, {
    ne: [length, channels, sequences],
    nb: [all.nb[1], all.nb[2]],
    offset: tokens * all.nb[0],
  });
  b.expand(b.cpy(last, b.view(cache, { ne: [length * channels * sequences] })));
  let t = b.ssmConv(all, b.layerWeight(layer, 'ssm_conv1d.weight'), recurrentRules(b)['recurrent.cuda']);
  const bias = b.layerOptional(layer, 'ssm_conv1d.bias');
  if (bias) t = b.add(t, bias);
  return b.unary('silu', t);
}

/** build_mamba_layer. */
export const mambaLayer: Layer = (b, inputs, given, layer) => {
  if (recurrentRules(b)['recurrent.rows'] !== 'shared') return gatheredMambaLayer(b, inputs, given, layer);
  const { conv, inner, state, sequences, tokens } = sizes(b);
  const tails = stateTensor(b, inputs, layer, 'conv');
  const states = stateTensor(b, inputs, layer, 'state');
  const tail = b.reshape(readStates(b, inputs, tails), conv - 1, inner, sequences);
  const both = linear(b, layer, 'ssm_in', b.reshape(given, given.ne[0], tokens, sequences));
  const half = (offset: number) =>
    b.view(both, { ne: [inner, both.ne[1], both.ne[2]], nb: [both.nb[1], both.nb[2]], offset });
  const gate = half(inner * 4);
  const x = convolve(b, { inputs, layer, tail, x: half(0) });
  const { dt, B, C } = timeSteps(b, x, layer);
  const heads = b.reshape(x, 1, inner, tokens, sequences);
  const scanned = readStates(b, inputs, states, (all, ids) => {
    const rows = b.reshape(all, state, 1, inner, inputs.cache.cells);
    return b.ssmScan([rows, heads, dt, b.layerWeight(layer, 'ssm_a'), B, C, ids]);
  });
  const values = state * inner * sequences;
  const after = b.view(scanned, { ne: [values], offset: heads.nb[3] * heads.ne[3] });
  b.expand(b.cpy(after, b.view(states, { ne: [values] })));
  let y = b.view(scanned, { ne: [inner, tokens, sequences], nb: [heads.nb[2], heads.nb[3]] });
  y = b.add(y, b.mul(x, b.layerWeight(layer, 'ssm_d')));
  y = b.glu('swiglu', b.cont(gate), y);
  const t = linear(b, layer, 'ssm_out', y);
  return b.reshape(t, t.ne[0], tokens * sequences);
};

/** The layer as older builds have it: the states are gathered first, and the scan reads all of them. */
const gatheredMambaLayer: Layer = (b, inputs, given, layer) => {
  const { conv, inner, state, sequences, tokens } = sizes(b);
  const cache = stateTensor(b, inputs, layer, 'state');
  const tails = readStates(b, inputs, stateTensor(b, inputs, layer, 'conv'));
  const tail = b.reshape(tails, conv - 1, inner, sequences);
  const states = b.reshape(readStates(b, inputs, cache), state, inner, sequences);
  const both = linear(b, layer, 'ssm_in', b.reshape(given, given.ne[0], tokens, sequences));
  const half = (offset: number) =>
    b.view(both, { ne: [inner, both.ne[1], both.ne[2]], nb: [both.nb[1], both.nb[2]], offset });
  const gate = half(inner * 4);
  const x = convolve(b, { inputs, layer, tail, x: half(0) });
  const { dt, B, C } = timeSteps(b, x, layer);
  const scanned = b.ssmScan([states, x, dt, b.layerWeight(layer, 'ssm_a'), B, C], recurrentRules(b)['recurrent.cuda']);
  const values = state * inner * sequences;
  b.expand(b.cpy(b.view(scanned, { ne: [values], offset: x.nb[3] }), b.view(cache, { ne: [values] })));
  let y = b.view(scanned, { ne: [inner, tokens, sequences], nb: [x.nb[1], x.nb[2]] });
  y = b.add(y, b.mul(x, b.layerWeight(layer, 'ssm_d')));
  y = b.mul(y, b.unary('silu', b.cont(gate)));
  const t = linear(b, layer, 'ssm_out', y);
  return b.reshape(t, t.ne[0], tokens * sequences);
};

/** Step sizes, and the two matrices of the scan that depend on the input. */
function timeSteps(b: Build, x: GraphTensor, layer: number) {
  const { state, rank, sequences, tokens } = sizes(b);
  const all = b.mulMat(b.layerWeight(layer, 'ssm_x.weight'), x);
  const matrix = (from: number) =>
    b.view(all, {
      ne: [state, 1, tokens, sequences],
      nb: [state * all.nb[0], all.nb[1], all.nb[2]],
      offset: all.nb[0] * from,
    });
  const dt = b.view(all, { ne: [rank, tokens, sequences], nb: [all.nb[1], all.nb[2]] });
  const [B, C] = [matrix(rank), matrix(rank + state)];
  const step = (t: GraphTensor) => linear(b, layer, 'ssm_dt', t);
  const weightOf = (name: string) => b.layerOptional(layer, `${name}.weight`);
  const [dtNorm, bNorm, cNorm] = [weightOf('ssm_dt_norm'), weightOf('ssm_b_norm'), weightOf('ssm_c_norm')];
  if (!b.hp.ssm?.normBcDt && !(dtNorm && bNorm && cNorm)) {
    return { dt: step(recurrentRules(b)['recurrent.copiesStep'] ? b.cont(dt) : dt), B, C };
  }
  return {
    dt: step(norm(b, dt, { weight: dtNorm, layer })),
    B: norm(b, B, { weight: bNorm, layer }),
    C: norm(b, C, { weight: cNorm, layer }),
  };
}

/** build_mamba2_layer. */
export const mamba2Layer: Layer = (b, inputs, given, layer) => {
  const { conv, inner, state, rank: heads, groups, sequences, tokens } = sizes(b);
  const head = inner / heads;
  const channels = inner + 2 * groups * state;
  const tails = stateTensor(b, inputs, layer, 'conv');
  const states = stateTensor(b, inputs, layer, 'state');
  const tail = b.reshape(readStates(b, inputs, tails), conv - 1, channels, sequences);
  const flat = recurrentRules(b)['recurrent.flatProjection'];
  const whole = (t: GraphTensor) => b.reshape(t, t.ne[0], tokens, sequences);
  const all = flat ? whole(linear(b, layer, 'ssm_in', given)) : linear(b, layer, 'ssm_in', whole(given));
  const gate = b.view(all, { ne: [head, heads, tokens, sequences], nb: [head * all.nb[0], all.nb[1], all.nb[2]] });
  const part = (width: number, from: number) =>
    b.view(all, { ne: [width, tokens, sequences], nb: [all.nb[1], all.nb[2]], offset: from * all.nb[0] });
  const mixed = convolve(b, { inputs, layer, tail, x: part(channels, inner) });
  const split = (size: number, n: number, from: number) =>
    b.view(mixed, {
      ne: [size, n, tokens, sequences],
      nb: [size * mixed.nb[0], mixed.nb[1], mixed.nb[2]],
      offset: from * mixed.nb[0],
    });
  const x = split(head, heads, 0);
  const [B, C] = [split(state, groups, inner), split(state, groups, inner + groups * state)];
  const dt = b.add(b.cont(part(heads, inner + channels)), b.layerWeight(layer, 'ssm_dt.bias'));
  const scanned = readStates(b, inputs, states, (rows, ids) =>
    b.ssmScan([b.reshape(rows, state, head, heads, rows.ne[1]), x, dt, b.layerWeight(layer, 'ssm_a'), B, C, ids]),
  );
  storeScanned(b, scanned, states, inner * tokens * sequences);
  const row = b.rowSize('f32', inner);
  let y = b.view(scanned, { ne: [head, heads, tokens, sequences], nb: [x.nb[1], row, tokens * row] });
  y = b.add(y, b.mul(x, b.layerWeight(layer, 'ssm_d')));
  y = b.glu('swiglu', b.cont(gate), y);
  const weight = b.layerOptional(layer, 'ssm_norm.weight');
  if (weight) y = norm(b, b.reshape(y, inner / groups, groups, tokens, sequences), { weight, layer });
  if (flat) return linear(b, layer, 'ssm_out', b.reshape(y, inner, tokens * sequences));
  const t = linear(b, layer, 'ssm_out', b.reshape(y, inner, tokens, sequences));
  return b.reshape(t, t.ne[0], tokens * sequences);
};

/** What the scan leaves behind its results goes back to the cache. */
function storeScanned(b: Build, scanned: GraphTensor, states: GraphTensor, results: number): void {
  const [width] = states.ne;
  const { sequences } = b.batch;
  const row = b.rowSize('f32', width);
  const after = b.view(scanned, { ne: [width, sequences, 1], nb: [row, row * sequences], offset: results * 4 });
  b.expand(b.cpy(after, b.view(states, { ne: [width, sequences, 1], nb: [states.nb[1], states.ne[1] * row] })));
}

/** A decoder whose every layer is one of these. */
function stateDecoder(b: Build, layerOf: Layer): void {
  let x = inputEmbeddings(b);
  const inputs = stateInputs(b);
  const outputs = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const t = layerOf(b, inputs, layerNorm(b, x, layer, 'attn_norm'), layer);
    const [rows, residual] = gatherOutputs(b, outputs, layer, t, x) as [GraphTensor, GraphTensor];
    x = b.add(rows, residual);
  }
  outputHead(b, x);
}

export const mambaBuilders: Readonly<Record<string, GraphBuilder>> = {
  mamba: (b) => stateDecoder(b, mambaLayer),
  mamba2: (b) => stateDecoder(b, mamba2Layer),
};
