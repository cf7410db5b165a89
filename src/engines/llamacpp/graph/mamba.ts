// Mamba: a convolution over the last few tokens, then a selective scan that carries a state from token to token; and decoders whose
// every layer is such a one. Law: src/models/mamba-base.cpp (build_mamba_layer), mamba.cpp, mamba2.cpp.
import { gatherOutputs, inputEmbeddings, inputOutputIds, layerNorm, linear, norm, outputHead } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { mamba2Layer } from './mamba2.ts';
import { readStates, stateInputs, stateTensor } from './recurrent.ts';
import { recurrentRules } from './recurrent-rules.ts';
import { convolve, type StateLayer, sizes } from './state-space.ts';
import type { GraphTensor } from './tensor.ts';

/** build_mamba_layer. */
export const mambaLayer: StateLayer = (b, inputs, given, layer) => {
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
const gatheredMambaLayer: StateLayer = (b, inputs, given, layer) => {
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
  const scanned = b.ssmScan([states, x, dt, b.layerWeight(layer, 'ssm_a'), B, C], {
    variant: recurrentRules(b)['recurrent.cuda'],
  });
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

/** A decoder whose every layer is one of these. */
function stateDecoder(b: Build, layerOf: StateLayer): void {
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
