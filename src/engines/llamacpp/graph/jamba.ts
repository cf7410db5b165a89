// Jamba and PLaMo 2: layers of Mamba and of attention without or with rotation, norms where each of them has its own.
// Law: src/models/jamba.cpp, plamo2.cpp.
import { attention } from './attention.ts';
import {
  ffn,
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  inputPositions,
  layerNorm,
  norm,
  outputHead,
  qkv,
} from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { scales } from './experts.ts';
import { hybridInputs } from './hybrid.ts';
import { mambaLayer } from './mamba.ts';
import { mixture } from './mixture.ts';
import { plamo2Mamba } from './plamo2-mamba.ts';
import { listed } from './recurrent-rules.ts';
import { normedThenRotated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

const jamba: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  const inputs = hybridInputs(b);
  const outputs = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const normed = layerNorm(b, x, layer, 'attn_norm');
    const t = b.hp.recurrent[layer]
      ? mambaLayer(b, inputs.state, normed, layer)
      : attention(b, { inputs: inputs.attention, layer, ...qkv(b, normed, layer) });
    const [rows, residual] = gatherOutputs(b, outputs, layer, t, x) as [GraphTensor, GraphTensor];
    const sum = b.add(residual, rows);
    x = b.add(sum, network(b, layerNorm(b, sum, layer, 'ffn_norm'), layer));
  }
  outputHead(b, x);
};

function network(b: Build, x: GraphTensor, layer: number): GraphTensor {
  if (!b.layerOptional(layer, 'ffn_gate_inp.weight')) return ffn(b, x, { layer, activation: 'silu' });
  return mixture(b, x, { layer, gating: 'softmax', normalize: false, scaled: scales(b) });
}

const plamo2: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  const positions = inputPositions(b);
  const inputs = hybridInputs(b);
  const outputs = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const normed = layerNorm(b, x, layer, 'attn_norm');
    const t = b.hp.recurrent[layer]
      ? plamo2Mamba(b, inputs.state, normed, layer)
      : attention(b, {
          inputs: inputs.attention,
          layer,
          ...normedThenRotated({ b, layer, positions }, qkv(b, normed, layer)),
        });
    const late = listed(b, 'recurrent.gathersAfter');
    const [rows, residual] = gatherOutputs(b, late ? undefined : outputs, layer, t, x) as [GraphTensor, GraphTensor];
    const sum = b.add(after(b, rows, layer, 'post_attention_norm'), residual);
    const grown = ffn(b, layerNorm(b, sum, layer, 'ffn_norm'), { layer, activation: 'swiglu' });
    const own = after(b, grown, layer, 'post_ffw_norm');
    const [last, before] = gatherOutputs(b, late ? outputs : undefined, layer, own, sum) as [GraphTensor, GraphTensor];
    x = b.add(last, before);
  }
  outputHead(b, x);
};

/** The file's names for these norms have no suffix. */
function after(b: Build, x: GraphTensor, layer: number, name: string): GraphTensor {
  return norm(b, x, { weight: b.layerWeight(layer, name), layer });
}

export const jambaBuilders: Readonly<Record<string, GraphBuilder>> = { jamba, plamo2 };
