// Language models that denoise whole texts (Dream, LLaDA, RND1): decoders without a cache, every token sees every other.
// Law: src/models/dream.cpp, llada.cpp, llada-moe.cpp, rnd1.cpp.
import { encoderMask, selfAttention } from './bert.ts';
import {
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  inputPositions,
  layerNorm,
  outputHead,
  type Qkv,
  qkv,
} from './blocks.ts';
import type { GraphBuilder } from './build.ts';
import { mixture } from './mixture.ts';
import { type At, normedThenRotated, perhapsMixture, rotated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

interface DiffusionParts {
  rotate(at: At, x: Qkv): Qkv;
  network(at: At, x: GraphTensor): GraphTensor;
}

const denoiser =
  ({ rotate, network }: DiffusionParts): GraphBuilder =>
  (b) => {
    let x = inputEmbeddings(b);
    const positions = inputPositions(b);
    const mask = encoderMask(b);
    const outputs = inputOutputIds(b);
    for (let layer = 0; layer < b.hp.layers; layer++) {
      const at = { b, layer, positions };
      const projected = rotate(at, qkv(b, layerNorm(b, x, layer, 'attn_norm'), layer));
      const attended = selfAttention(b, layer, mask, projected);
      const [rows, residual] = gatherOutputs(b, outputs, layer, attended, x) as [GraphTensor, GraphTensor];
      const sum = b.add(rows, residual);
      x = b.add(network(at, layerNorm(b, sum, layer, 'ffn_norm')), sum);
    }
    outputHead(b, x);
  };

const dense = denoiser({ rotate: rotated, network: perhapsMixture });

/** The experts' weights are those of the softmax over all. */
const lladaMoe = denoiser({
  rotate: normedThenRotated,
  network: ({ b, layer }, x) => mixture(b, x, { layer, gating: 'softmax', normalize: false }),
});

export const diffusionBuilders: Readonly<Record<string, GraphBuilder>> = {
  dream: dense,
  llada: dense,
  'llada-moe': lladaMoe,
  rnd1: denoiser({ rotate: normedThenRotated, network: perhapsMixture }),
};
