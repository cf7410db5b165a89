// Gemma 1 to 3. All scale the embeddings; from 2 on layers slide, and results of attention and network have norms of their own.
// Law: src/models/gemma.cpp, gemma2.cpp, gemma3.cpp.
import { layerNorm, type Qkv } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import {
  type DecoderParts,
  freeNorm,
  normedThenRotated,
  rotated,
  serialDecoder,
  softCapped,
  states,
} from './serial.ts';
import type { GraphTensor } from './tensor.ts';

const scaledEmbeddings = (b: Build, x: GraphTensor): GraphTensor => b.scale(x);
const scaledQueries = (b: Build, { q, k, v }: Qkv): Qkv => ({ q: b.scale(q), k, v });

const sandwich: DecoderParts = {
  activation: 'gelu',
  embed: scaledEmbeddings,
  afterAttention: ({ b, layer }, x) => layerNorm(b, x, layer, 'post_attention_norm'),
  afterNetwork: (at, x) => freeNorm(at, x, 'post_ffw_norm'),
};

const gemma: GraphBuilder = (b) =>
  serialDecoder(b, {
    activation: 'gelu',
    embed: scaledEmbeddings,
    rotate: (at, x) => scaledQueries(b, rotated(at, x)),
  });

const gemma2: GraphBuilder = (b) =>
  serialDecoder(b, {
    ...sandwich,
    rotate: (at, x) => scaledQueries(b, rotated(at, x)),
    attend: () => ({ softCap: true }),
    finish: softCapped,
  });

const cappedIfStated = (b: Build, logits: GraphTensor): GraphTensor =>
  states(b, 'final_logit_softcapping') ? softCapped(b, logits) : logits;

const gemma3: GraphBuilder = (b) =>
  serialDecoder(b, {
    ...sandwich,
    rotate: (at, x) => scaledQueries(b, normedThenRotated(at, x)),
    finish: cappedIfStated,
  });

export const gemmaBuilders: Readonly<Record<string, GraphBuilder>> = { gemma, gemma2, gemma3 };
