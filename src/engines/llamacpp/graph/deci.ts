// Nemotron NAS (DeciLM): layers with attention, with a matrix in its place or with nothing, and with or without a network.
// Law: src/models/deci.cpp.
import { ffn, gatherOutputs, inputEmbeddings, layerNorm, linear, outputHead } from './blocks.ts';
import type { GraphBuilder } from './build.ts';
import { attentionPart, decoderInputs, ropeFactors, rotated, runningLayers } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

const deci: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  const inputs = decoderInputs(b);
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions: inputs.positions };
    const heads = b.hp.heads[layer]!;
    let t = x;
    if (heads > 0 && b.hp.kvHeads[layer]! === 0) {
      t = linear(b, layer, 'attn_output', layerNorm(b, x, layer, 'attn_norm'));
    } else if (heads > 0) {
      t = attentionPart(at, x, { rotate: (_, qkv) => rotated(at, qkv, ropeFactors(at)) }, inputs).result;
    }
    const [result, residual] = gatherOutputs(b, inputs.outputs, layer, t, x) as [GraphTensor, GraphTensor];
    // A layer without a network changes nothing.
    if (b.hp.feedForward[layer]! === 0) continue;
    const sum = heads > 0 ? b.add(result, residual) : result;
    x = b.add(ffn(b, layerNorm(b, sum, layer, 'ffn_norm'), { layer, activation: 'silu' }), sum);
  }
  outputHead(b, x);
};

export const deciBuilders: Readonly<Record<string, GraphBuilder>> = { deci };
