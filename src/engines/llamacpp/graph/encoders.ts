// Encoders of a decoder's build: norms before attention and network, rotation. Law: src/models/modern-bert.cpp, neo-bert.cpp,
// eurobert.cpp, gemma-embedding.cpp, llama-embed.cpp.
import { embeddingNorm, encoderMask, selfAttention, weights } from './bert.ts';
import {
  type Activation,
  ffn,
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  inputPositions,
  layerNorm,
  type NormKind,
  norm,
  type Qkv,
  qkv,
} from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { embeds } from './pooling.ts';
import { type At, freeNorm, normedThenRotated, ropeFactors, rotated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

interface EncoderParts {
  kind?: NormKind;
  activation: Activation;
  embed?(b: Build, x: GraphTensor): GraphTensor;
  /** What happens to Q, K and V; otherwise they are rotated. */
  rotate?(at: At, x: Qkv): Qkv;
  afterAttention?(at: At, x: GraphTensor): GraphTensor;
  afterNetwork?(at: At, x: GraphTensor): GraphTensor;
  outputNorm?: string;
}

function rotatedEncoder(b: Build, parts: EncoderParts): void {
  const { kind, activation, rotate = rotated, outputNorm = 'output_norm' } = parts;
  const positions = inputPositions(b);
  let x = inputEmbeddings(b);
  if (parts.embed) x = parts.embed(b, x);
  const masks = { full: encoderMask(b), sliding: encoderMask(b) };
  const outputs = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const at = { b, layer, positions };
    const has = b.layerOptional(layer, 'attn_norm.weight');
    const normed = has ? layerNorm(b, x, layer, 'attn_norm', kind) : x;
    const mask = b.hp.sliding[layer] ? masks.sliding : masks.full;
    const attended = selfAttention(b, layer, mask, rotate(at, qkv(b, normed, layer)));
    const [rows, residual] = gatherOutputs(b, outputs, layer, attended, x) as [GraphTensor, GraphTensor];
    const sum = b.add(parts.afterAttention?.(at, rows) ?? rows, residual);
    const grown = ffn(b, layerNorm(b, sum, layer, 'ffn_norm', kind), { layer, activation });
    x = b.add(parts.afterNetwork?.(at, grown) ?? grown, sum);
  }
  embeds(b, norm(b, x, { ...weights(b, outputNorm), kind, layer: -1 }));
}

const modernBert: GraphBuilder = (b) =>
  rotatedEncoder(b, {
    kind: 'layer',
    activation: b.input.model.metadata.hidden_activation === 'silu' ? 'swiglu' : 'geglu',
    embed: (_, x) => embeddingNorm(b, x),
  });

const gemmaEmbedding: GraphBuilder = (b) =>
  rotatedEncoder(b, {
    activation: 'gelu',
    embed: (_, x) => b.scale(x),
    rotate: (at, x) => {
      const { q, k, v } = normedThenRotated(at, x);
      return { q: b.scale(q), k, v };
    },
    afterAttention: ({ layer }, x) => layerNorm(b, x, layer, 'post_attention_norm'),
    afterNetwork: (at, x) => freeNorm(at, x, 'post_ffw_norm'),
  });

export const encoderBuilders: Readonly<Record<string, GraphBuilder>> = {
  'modern-bert': modernBert,
  'neo-bert': (b) => rotatedEncoder(b, { activation: 'swiglu', outputNorm: 'enc.output_norm' }),
  eurobert: (b) => rotatedEncoder(b, { activation: 'silu' }),
  'gemma-embedding': gemmaEmbedding,
  'llama-embed': (b) => rotatedEncoder(b, { activation: 'silu', rotate: (at, x) => rotated(at, x, ropeFactors(at)) }),
};
