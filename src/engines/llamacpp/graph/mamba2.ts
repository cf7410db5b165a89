// Mamba-2: one projection for everything, a convolution over x, B and C, and a scan by heads. Law: src/models/mamba-base.cpp
// (build_mamba2_layer).
import { linear, norm } from './blocks.ts';
import type { Build } from './build.ts';
import { readStates, statesKept, statesWritten, stateTensor } from './recurrent.ts';
import { recurrentRules } from './recurrent-rules.ts';
import { convolve, type StateLayer, sizes } from './state-space.ts';
import type { GraphTensor } from './tensor.ts';

/** build_mamba2_layer. */
export const mamba2Layer: StateLayer = (b, inputs, given, layer) => {
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
  const kept = { states: statesKept(b) };
  const scanned = readStates(b, inputs, states, (rows, ids) =>
    b.ssmScan([b.reshape(rows, state, head, heads, rows.ne[1]), x, dt, b.layerWeight(layer, 'ssm_a'), B, C, ids], kept),
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
  const ne = [width, sequences, statesWritten(b)];
  const after = b.view(scanned, { ne, nb: [row, row * sequences], offset: results * 4 });
  b.expand(b.cpy(after, b.view(states, { ne, nb: [states.nb[1], states.ne[1] * row] })));
}
