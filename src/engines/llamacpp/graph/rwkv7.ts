// RWKV 7 along time: the state is moved towards what was observed, at rates by the data. Law: src/models/rwkv7-base.cpp
// (build_rwkv7_time_mix).
import { linear } from './blocks.ts';
import type { Build } from './build.ts';
import { sequenceTokens } from './recurrent.ts';
import type { TimeMixInput } from './rwkv-shift.ts';
import type { GraphTensor } from './tensor.ts';

export function timeMix7(b: Build, input: TimeMixInput): GraphTensor {
  const { layer, first } = input;
  const { embd, wkv } = b.hp;
  const { tokens, sequences } = b.batch;
  const size = wkv!.headSize;
  const heads = embd / size;
  const weight = (name: string) => b.layerWeight(layer, `time_mix_${name}.weight`);
  const small = (name: string, x: GraphTensor) => b.mulMat(weight(`${name}2`), b.mulMat(weight(`${name}1`), x));
  const gated = b.layerOptional(layer, 'time_mix_g1.weight') && b.layerOptional(layer, 'time_mix_g2.weight');
  const [xr, xw, xk, xv, xa, xg] = mixtures(b, input, gated ? 6 : 5);
  const r = linear(b, layer, 'time_mix_receptance', xr!);
  let w = b.add(b.mulMat(weight('w2'), b.unary('tanh', b.mulMat(weight('w1'), xw!))), weight('w0'));
  w = b.unary('exp', b.scale(b.unary('sigmoid', w)));
  let k = linear(b, layer, 'time_mix_key', xk!);
  let v = linear(b, layer, 'time_mix_value', xv!);
  if (first.values) {
    const share = b.unary('sigmoid', b.add(small('v', xv!), weight('v0')));
    v = b.add(v, b.mul(b.sub(first.values, v), share));
  } else {
    first.values = v;
  }
  const g = gated && b.mulMat(weight('g2'), b.unary('sigmoid', b.mulMat(weight('g1'), xg!)));
  const a = b.unary('sigmoid', b.add(small('a', xa!), weight('a0')));
  const apart = (t: GraphTensor) => b.reshape(t, size, heads, tokens);
  const direction = b.l2Norm(apart(b.mul(k, weight('k_k'))));
  const scaledKey = b.mul(k, weight('k_a'));
  k = b.add(k, b.sub(b.mul(a, scaledKey), scaledKey));
  const [receptance, decay, key, value, rate] = [r, w, k, v, a].map(apart) as Quintuple;
  const state = input.read();
  const [away, towards] = [b.unary('neg', direction), b.mul(direction, rate)];
  const result = b.stateAttention('rwkv_wkv7', [receptance, decay, key, value, away, towards, state]);
  let t = b.view(result, { ne: [embd * tokens] });
  input.store(b.view(result, { ne: [embd * size * sequences], offset: embd * tokens * 4 }));
  if (b.layerOptional(layer, 'time_mix_ln.weight') && b.layerOptional(layer, 'time_mix_ln.bias')) {
    t = b.reshape(b.norm(b.reshape(t, size, heads, tokens)), embd, tokens);
    t = b.add(b.mul(t, weight('ln')), b.layerWeight(layer, 'time_mix_ln.bias'));
  } else {
    t = b.reshape(t, embd, tokens);
  }
  const bonus = b.sumRows(b.mul(b.mul(key, receptance), b.reshape(weight('r_k'), size, heads)));
  t = b.add(t, b.reshape(b.mul(value, bonus), embd, tokens));
  if (g) t = b.mul(t, g);
  t = linear(b, layer, 'time_mix_output', t);
  return b.reshape(t, embd, sequenceTokens(b), sequences);
}

type Quintuple = [GraphTensor, GraphTensor, GraphTensor, GraphTensor, GraphTensor];

/** Receptance, decay, key, value, rate and perhaps gate: as much of the predecessor as the weights say. */
function mixtures(b: Build, { layer, x, previous }: TimeMixInput, count: number): GraphTensor[] {
  const { embd } = b.hp;
  const { tokens, sequences } = b.batch;
  const steps = b.repeat(b.sub(previous, x), embd, sequenceTokens(b), sequences, count);
  const all = b.add(b.mul(steps, b.layerWeight(layer, 'time_mix_lerp_fused.weight')), x);
  return Array.from({ length: count }, (_, i) =>
    b.view(all, { ne: [embd, tokens], nb: [all.nb[1]], offset: embd * tokens * i * 4 }),
  );
}
