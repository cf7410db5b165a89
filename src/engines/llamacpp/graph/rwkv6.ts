// RWKV 6 along time: five mixtures of each token with its predecessor, then a state decayed by the data.
// Law: src/models/rwkv6-base.cpp (build_rwkv6_time_mix).
import { linear } from './blocks.ts';
import type { Build } from './build.ts';
import { sequenceTokens } from './recurrent.ts';
import type { TimeMixInput } from './rwkv-shift.ts';
import type { GraphTensor } from './tensor.ts';

export function timeMix6(b: Build, input: TimeMixInput): GraphTensor {
  const { layer } = input;
  const { embd, wkv } = b.hp;
  const { tokens, sequences } = b.batch;
  const size = wkv!.headSize;
  const heads = embd / size;
  const weight = (name: string) => b.layerWeight(layer, `time_mix_${name}.weight`);
  // Models made out of Qwen have gated linear attention instead.
  const linearized = !b.layerOptional(layer, 'time_mix_first.weight');
  const [xw, xk, xv, xr, xg] = mixtures(b, input);
  const r = linear(b, layer, 'time_mix_receptance', xr);
  const keys = spread(b, linear(b, layer, 'time_mix_key', xk), layer);
  const values = spread(b, linear(b, layer, 'time_mix_value', xv), layer);
  const g = b.unary(linearized ? 'sigmoid' : 'silu', linear(b, layer, 'time_mix_gate', xg));
  const apart = (t: GraphTensor) => b.reshape(t, size, heads, tokens);
  let k = apart(keys);
  const [v, receptance] = [apart(values), apart(r)];
  let w = b.mulMat(weight('decay_w2'), b.unary('tanh', b.mulMat(weight('decay_w1'), xw)));
  w = b.add(w, weight('decay'));
  w = apart(b.unary('exp', b.unary('neg', b.unary('exp', w))));
  if (linearized) k = b.sub(k, b.mul(k, w));
  const state = input.read();
  const result = linearized
    ? b.stateAttention('gated_linear_attn', [k, v, receptance, w, state])
    : b.stateAttention('rwkv_wkv6', [k, v, receptance, weight('first'), w, state]);
  let t = b.view(result, { ne: [embd * tokens] });
  input.store(b.view(result, { ne: [embd * size * sequences], offset: embd * tokens * 4 }));
  if (linearized) {
    t = b.reshape(t, embd, tokens);
  } else {
    t = b.reshape(b.norm(b.reshape(t, size, heads, tokens)), embd, tokens);
    t = b.add(b.mul(t, weight('ln')), b.layerWeight(layer, 'time_mix_ln.bias'));
  }
  t = linear(b, layer, 'time_mix_output', b.mul(t, g));
  return b.reshape(t, embd, sequenceTokens(b), sequences);
}

/** Keys or values with as many heads as the receptance. */
function spread(b: Build, t: GraphTensor, layer: number): GraphTensor {
  const { embd, wkv, kvHeads } = b.hp;
  const { tokens } = b.batch;
  const size = wkv!.headSize;
  const [heads, own] = [embd / size, kvHeads[layer]!];
  if (own === 0 || own === heads) return t;
  return b.repeat(b.reshape(t, size, 1, own, tokens), size, heads / own, own, tokens);
}

type Five = [GraphTensor, GraphTensor, GraphTensor, GraphTensor, GraphTensor];

/** For decay, key, value, receptance and gate: how much of the predecessor, by a small network. */
function mixtures(b: Build, { layer, x, previous }: TimeMixInput): Five {
  const { embd } = b.hp;
  const { tokens } = b.batch;
  const weight = (name: string) => b.layerWeight(layer, `time_mix_${name}.weight`);
  const step = b.reshape(b.sub(previous, x), embd, tokens);
  const flat = b.reshape(x, embd, tokens);
  const [w1, w2] = [weight('w1'), weight('w2')];
  const mixed = b.add(b.mul(step, weight('lerp_x')), flat);
  const grown = b.reshape(b.unary('tanh', b.mulMat(w1, mixed)), w1.ne[1] / 5, 1, 5, tokens);
  const narrow = b.cont(b.permute(grown, 0, 1, 3, 2));
  let all = b.mulMat(b.reshape(w2, w2.ne[0], w2.ne[1], 1, 5), narrow);
  const fused = b.layerOptional(layer, 'time_mix_lerp_fused.weight');
  if (fused) {
    const steps = b.reshape(step, embd, 1, tokens);
    all = b.add(b.mul(b.add(all, fused), steps), b.reshape(flat, embd, 1, tokens));
  }
  const part = (i: number) => b.view(all, { ne: [embd, tokens], nb: [all.nb[1]], offset: embd * tokens * i * 4 });
  return ['w', 'k', 'v', 'r', 'g'].map((name, i) =>
    fused ? part(i) : b.add(b.mul(b.add(part(i), weight(`lerp_${name}`)), step), flat),
  ) as Five;
}
