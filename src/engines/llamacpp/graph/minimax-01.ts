// MiniMax-01 and M1: seven layers of lightning attention, whose state decays at a rate of each head, then one of attention over all
// tokens; residuals are of the normed rows. Law: src/models/minimax-01.cpp.
import { attention } from './attention.ts';
import {
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  inputPositions,
  layerNorm,
  linear,
  outputHead,
  qkv,
} from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { routed } from './experts.ts';
import { hybridInputs } from './hybrid.ts';
import { readStates, type StateInputs, sequenceTokens, stateTensor } from './recurrent.ts';
import { rotated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** How fast what each head has seen fades: over the batch's tokens, and from one to another. */
interface Decays {
  slopes: GraphTensor;
  query: GraphTensor;
  key: GraphTensor;
  diagonal: GraphTensor;
}

function decayInputs(b: Build): Decays {
  const heads = b.hp.heads[0]!;
  const { sequences } = b.batch;
  const each = sequenceTokens(b);
  return {
    slopes: b.inputTensor('f32', heads),
    query: b.inputTensor('f32', 1, heads, each, sequences),
    key: b.inputTensor('f32', 1, heads, each, sequences),
    diagonal: b.inputTensor('f32', each, each, heads, sequences),
  };
}

interface LightningAt {
  b: Build;
  layer: number;
  inputs: StateInputs;
  decays: Decays;
}

function lightning(at: LightningAt, x: GraphTensor): GraphTensor {
  const { b, layer, inputs, decays } = at;
  const { tokens, sequences } = b.batch;
  const [heads, size, each] = [b.hp.heads[layer]!, b.hp.keyLength[layer]!, sequenceTokens(b)];
  readStates(b, inputs, stateTensor(b, inputs, layer, 'conv'));
  const rate = b.scale(decays.slopes);
  const rows = b.reshape(x, x.ne[0], each, 1, sequences);
  const all = b.reshape(b.unary('silu', linear(b, layer, 'attn_qkv', rows)), 3 * size, heads, each, sequences);
  const part = (i: number) =>
    b.view(all, { ne: [size, heads, each, sequences], nb: all.nb.slice(1), offset: i * size * all.nb[0] });
  const [q, k, v] = [part(0), part(1), part(2)];
  const states = stateTensor(b, inputs, layer, 'state');
  const old = b.reshape(readStates(b, inputs, states), size, size, heads, sequences);
  const fading = (decay: GraphTensor) => b.unary('exp', b.scale(decay));
  const seen = b.mulMat(old, b.permute(b.mul(q, fading(decays.query)), 0, 2, 1, 3));
  const scores = b.mulMat(b.permute(k, 0, 2, 1, 3), b.permute(q, 0, 2, 1, 3));
  const values = b.cont(b.permute(v, 1, 2, 0, 3));
  const sum = b.add(seen, b.mulMat(values, b.mul(scores, fading(decays.diagonal))));
  b.expand(sum);
  const kept = b.mul(old, b.reshape(b.unary('exp', b.scale(rate)), 1, 1, heads));
  const keys = b.cont(b.permute(b.mul(k, fading(decays.key)), 1, 2, 0, 3));
  const state = b.add(kept, b.mulMat(keys, values));
  b.expand(b.cpy(state, b.view(states, { ne: [states.ne[0] * sequences] })));
  const heard = b.reshape(b.cont(b.permute(sum, 0, 2, 1, 3)), size * heads, each, 1, sequences);
  const normed = layerNorm(b, heard, layer, 'attn_norm_2');
  const gate = b.unary('sigmoid', linear(b, layer, 'attn_gate', rows));
  const t = linear(b, layer, 'attn_output', b.mul(gate, normed));
  return b.reshape(t, t.ne[0], tokens);
}

const minimax01: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  const inputs = hybridInputs(b);
  const positions = inputPositions(b);
  const outputs = inputOutputIds(b);
  const decays = decayInputs(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const normed = layerNorm(b, x, layer, 'attn_norm');
    const at = { b, layer, positions };
    const t = b.hp.recurrent[layer]
      ? lightning({ b, layer, inputs: inputs.state, decays }, normed)
      : attention(b, { inputs: inputs.attention, layer, ...rotated(at, qkv(b, normed, layer)) });
    const [rows, residual] = gatherOutputs(b, outputs, layer, t, normed) as [GraphTensor, GraphTensor];
    const network = layerNorm(b, b.add(rows, b.scale(residual)), layer, 'ffn_norm');
    const mixed = routed(at, network, { gating: 'softmax', normalize: true });
    x = b.add(mixed, b.scale(network));
  }
  outputHead(b, x);
};

export const lightningBuilders: Readonly<Record<string, GraphBuilder>> = { 'minimax-01': minimax01 };
