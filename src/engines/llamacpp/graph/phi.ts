// Phi 2, 3 and 4: queries are scaled before attention; Phi 2 runs attention and network beside each other, Phi 3 and 4 keep gate and up
// in one weight. Law: src/models/phi2.cpp, phi3.cpp (phimoe.cpp has the same graph).

import { ffn, type Qkv } from './blocks.ts';
import type { GraphBuilder } from './build.ts';
import { type At, parallelDecoder, perhapsMixture, ropeFactors, rotated, serialDecoder } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

const scaled = ({ b }: At, { q, k, v }: Qkv): Qkv => ({ q: b.scale(q), k, v });

const phi2: GraphBuilder = (b) =>
  parallelDecoder(b, {
    kind: 'layer',
    activation: 'gelu',
    rotate: (at, x) => scaled(at, rotated(at, x)),
    sum: (_, { attended, network, residual }) => b.add(b.add(attended, network), residual),
  });

function network(at: At, x: GraphTensor): GraphTensor {
  const { b, layer } = at;
  if (b.layerOptional(layer, 'ffn_gate_inp.weight')) return perhapsMixture(at, x);
  return ffn(b, x, { layer, activation: 'swiglu' });
}

const phi3: GraphBuilder = (b) =>
  serialDecoder(b, {
    rotate: (at, x) => scaled(at, rotated(at, x, ropeFactors(at))),
    network,
    residualFirst: true,
  });

export const phiBuilders: Readonly<Record<string, GraphBuilder>> = { phi2, phi3, phimoe: phi3 };
