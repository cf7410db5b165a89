// LFM2: most layers are a short gated convolution over the tokens, the others attention; the larger ones have mixtures of experts.
// Law: src/models/lfm2.cpp, lfm2moe.cpp.
import { attention, type CacheInputs, cacheInputs } from './attention.ts';
import {
  ffn,
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  inputPositions,
  layerNorm,
  norm,
  outputLogits,
  qkv,
} from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { gatingOf, scales } from './experts.ts';
import { mixture } from './mixture.ts';
import { embeds } from './pooling.ts';
import { readStates, type StateInputs, sequenceTokens, stateInputs, statesWritten, stateTensor } from './recurrent.ts';
import { listed } from './recurrent-rules.ts';
import { normedThenRotated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

const lfm2: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  const states = stateInputs(b);
  const cacheOf = caches(b);
  const positions = inputPositions(b);
  const outputs = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const normed = layerNorm(b, x, layer, 'attn_norm');
    const t = b.hp.recurrent[layer]
      ? convolution(b, normed, layer, states)
      : attention(b, {
          inputs: cacheOf(layer),
          layer,
          ...normedThenRotated({ b, layer, positions }, qkv(b, normed, layer)),
        });
    const [rows, residual] = gatherOutputs(b, outputs, layer, t, x) as [GraphTensor, GraphTensor];
    const sum = b.add(residual, rows);
    x = b.add(sum, network(b, layerNorm(b, sum, layer, 'ffn_norm'), layer));
  }
  // The file calls the last norm that of the embeddings.
  const normed = norm(b, x, { weight: b.weight('token_embd_norm.weight'), layer: -1 });
  if (b.context.embeddings && listed(b, 'recurrent.embeddingsOnly')) {
    embeds(b, normed);
  } else {
    outputLogits(b, normed);
  }
};

/** Attention is either full in all layers that have it, or sliding in all. */
function caches(b: Build): (layer: number) => CacheInputs {
  const [full, sliding] = [cacheInputs(b), cacheInputs(b, 'sliding')];
  return (layer) => (b.hp.sliding[layer] ? sliding : full)!;
}

function network(b: Build, x: GraphTensor, layer: number): GraphTensor {
  if (!b.layerOptional(layer, 'ffn_gate_inp.weight')) return ffn(b, x, { layer, activation: 'silu' });
  return mixture(b, x, { layer, gating: gatingOf(b), normalize: true, scaled: scales(b) });
}

/** Gates before and after a convolution whose state is the last few tokens. */
function convolution(b: Build, given: GraphTensor, layer: number, inputs: StateInputs): GraphTensor {
  const { sequences } = b.batch;
  const tokens = sequenceTokens(b);
  const width = b.hp.embd;
  const tail = b.hp.shortConv! - 1;
  const projected = b.mulMat(
    b.layerWeight(layer, 'shortconv.in_proj.weight'),
    b.reshape(given, given.ne[0], tokens, sequences),
  );
  const part = (i: number) =>
    b.view(projected, {
      ne: [width, tokens, sequences],
      nb: [projected.nb[1], projected.nb[2]],
      offset: i * width * projected.nb[0],
    });
  const gated = b.transpose(b.mul(part(0), part(2)));
  const cache = stateTensor(b, inputs, layer, 'conv');
  const before = b.reshape(readStates(b, inputs, cache), tail, width, sequences);
  const all = joined(b, before, gated);
  const written = b.context.causal ? statesWritten(b) : 1;
  for (let back = 0; back < written; back++) {
    const last = b.view(all, {
      ne: [tail, width, sequences],
      nb: [all.nb[1], all.nb[2]],
      offset: (all.ne[0] - tail - back) * all.nb[0],
    });
    b.expand(b.cpy(last, b.view(cache, { ne: [tail * width, sequences], nb: [cache.nb[1]] })));
  }
  const convolved = b.ssmConv(all, b.layerWeight(layer, 'shortconv.conv.weight'));
  const t = b.mulMat(b.layerWeight(layer, 'shortconv.out_proj.weight'), b.mul(part(1), convolved));
  return b.reshape(t, t.ne[0], tokens * sequences);
}

/** The tokens before and the batch's; a bidirectional model centres its window instead. */
function joined(b: Build, before: GraphTensor, x: GraphTensor): GraphTensor {
  if (b.context.causal) return b.concat(before, x, 0);
  const [tail, width, sequences] = before.ne;
  const half = Math.trunc(tail / 2);
  const left = b.view(before, {
    ne: [half, width, sequences],
    nb: [before.nb[1], before.nb[2]],
    offset: (tail - half) * before.nb[0],
  });
  return b.pad(b.concat(b.cont(left), x, 0), half);
}

export const lfm2Builders: Readonly<Record<string, GraphBuilder>> = { lfm2, lfm2moe: lfm2 };
