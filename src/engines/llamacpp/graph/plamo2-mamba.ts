// PLaMo 2's recurrent layer: Mamba's projections with a scan by heads as Mamba-2 has it. Law: src/models/plamo2.cpp
// (build_plamo2_mamba_layer).
import { assert } from '../../../assert.ts';
import { linear, norm } from './blocks.ts';
import type { Build } from './build.ts';
import { readStates, type StateInputs, sequenceTokens, stateTensor } from './recurrent.ts';
import { convolve } from './state-space.ts';
import type { GraphTensor } from './tensor.ts';

export function plamo2Mamba(b: Build, inputs: StateInputs, given: GraphTensor, layer: number): GraphTensor {
  assert(b.hp.ssm, `${b.hp.architecture}: no state space`);
  const { conv, inner, state, timeStepRank: heads } = b.hp.ssm;
  const [head, tokens, { sequences }] = [inner / heads, sequenceTokens(b), b.batch];
  const tail = b.reshape(readStates(b, inputs, stateTensor(b, inputs, layer, 'conv')), conv - 1, inner, sequences);
  const projected = linear(b, layer, 'ssm_in', b.reshape(given, given.ne[0], tokens, sequences));
  const both = b.cont(b.permute(projected, 0, 2, 1, 3), head * 2, heads, tokens, sequences);
  const half = (offset: number) =>
    b.view(both, { ne: [head, heads, tokens, sequences], nb: [both.nb[1], both.nb[2], both.nb[3]], offset });
  const gate = half(0);
  const mixed = convolve(b, { inputs, layer, tail, x: b.cont(half(head * 4), inner, tokens, sequences) });
  const { dt, B, C } = timeSteps(b, mixed, layer);
  const x = b.view(mixed, { ne: [head, heads, tokens, sequences], nb: [head * 4, inner * 4, inner * tokens * 4] });
  const single = (t: GraphTensor) =>
    b.view(t, { ne: [state, 1, tokens, sequences], nb: [state * t.nb[0], t.nb[1], t.nb[2]] });
  const perHead = (name: string) => b.reshape(b.layerWeight(layer, name), 1, heads);
  const [A, wideB, wideC] = [perHead('ssm_a'), single(B), single(C)];
  const states = stateTensor(b, inputs, layer, 'state');
  const scanned = readStates(b, inputs, states, (rows, ids) =>
    b.ssmScan([b.reshape(rows, state, head, heads, inputs.cache.cells), x, dt, A, wideB, wideC, ids]),
  );
  const values = inner * state * sequences;
  const after = b.view(scanned, { ne: [values], offset: inner * tokens * sequences * 4 });
  b.expand(b.cpy(after, b.view(states, { ne: [values] })));
  let y = b.view(scanned, { ne: x.ne, nb: [x.nb[1], x.nb[2], x.nb[3]] });
  y = b.add(y, b.mul(x, perHead('ssm_d')));
  y = b.glu('swiglu', b.cont(gate), y);
  y = b.view(y, { ne: [inner, tokens, sequences], nb: [y.nb[2], y.nb[3]] });
  const t = linear(b, layer, 'ssm_out', y);
  return b.reshape(t, t.ne[0], tokens * sequences);
}

/** Smallest rank of the step sizes; otherwise a sixteenth of the model's width. */
const leastRank = 64;

function timeSteps(b: Build, x: GraphTensor, layer: number) {
  const { state } = b.hp.ssm!;
  const rank = Math.max(leastRank, Math.trunc(b.hp.embd / 16));
  const all = b.mulMat(b.layerWeight(layer, 'ssm_x.weight'), x);
  const part = (name: string, width: number, from: number) => {
    const raw = b.view(all, {
      ne: [width, sequenceTokens(b), b.batch.sequences],
      nb: [all.nb[1], all.nb[2]],
      offset: from * 4,
    });
    return norm(b, raw, { weight: b.layerWeight(layer, name), layer });
  };
  const B = part('ssm_b_norm', state, 0);
  const C = part('ssm_c_norm', state, state);
  return { B, C, dt: linear(b, layer, 'ssm_dt', part('ssm_dt_norm', rank, 2 * state)) };
}
