// T5: attention biased by how far tokens are apart, in an encoder and in a decoder that also looks at the encoder's result. What is
// reserved is the decoder, with as much of that result as the model was trained for. Law: src/models/t5.cpp, t5encoder.cpp,
// src/llama-graph.cpp (build_pos_bias, build_inp_cross_embd).
import { alignUp } from '../../../units.ts';
import { attend, attention, cacheInputs } from './attention.ts';
import { encoderMask } from './bert.ts';
import { activate, inputEmbeddings, inputOutputIds, norm, outputLogits, type Qkv } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { embeds } from './pooling.ts';
import type { GraphTensor } from './tensor.ts';

/** The weights of a layer of the encoder or of the decoder. */
interface At {
  b: Build;
  layer: number;
  part: 'enc' | 'dec';
}

const optional = ({ b, layer, part }: At, name: string): GraphTensor | undefined =>
  b.optional(`${part}.blk.${layer}.${name}.weight`);

const product = ({ b, layer, part }: At, name: string, x: GraphTensor): GraphTensor =>
  b.mulMat(b.weight(`${part}.blk.${layer}.${name}.weight`), x);

const normed = (at: At, name: string, x: GraphTensor): GraphTensor =>
  norm(at.b, x, { weight: optional(at, name), layer: at.layer });

/** Q of the tokens, K and V of the same or of the encoder's result. */
function heads(at: At, prefix: string, x: GraphTensor, source = x): Qkv {
  const { b, layer } = at;
  const [size, count, kvCount] = [b.hp.keyLength[layer]!, b.hp.heads[layer]!, b.hp.kvHeads[layer]!];
  const q = product(at, `${prefix}_q`, x);
  const [k, v] = [product(at, `${prefix}_k`, source), product(at, `${prefix}_v`, source)];
  return {
    q: b.reshape(q, size, count, x.ne[1]),
    k: b.reshape(k, size, kvCount, source.ne[1]),
    v: b.reshape(v, size, kvCount, source.ne[1]),
  };
}

/** A bias for every pair of tokens by their distance; the first layer's table where a layer has none. */
function distanceBias(at: At, buckets: GraphTensor): GraphTensor {
  const { b } = at;
  const table = optional(at, 'attn_rel_b') ?? optional({ ...at, layer: 0 }, 'attn_rel_b')!;
  const rows = b.getRows(table, b.reshape(buckets, buckets.ne[0] * buckets.ne[1]));
  return b.cont(b.permute(b.reshape(rows, rows.ne[0], buckets.ne[0], buckets.ne[1]), 2, 0, 1, 3));
}

function network(at: At, x: GraphTensor): GraphTensor {
  const up = product(at, 'ffn_up', x);
  const gate = optional(at, 'ffn_gate') && product(at, 'ffn_gate', x);
  return product(at, 'ffn_down', activate(at.b, gate ? 'gelu' : 'relu', up, gate));
}

function unstored(at: At, x: Qkv, mask: GraphTensor, bias?: GraphTensor): GraphTensor {
  for (const t of [x.q, x.k, x.v]) at.b.expand(t);
  return attend(at.b, { ...x, mask, bias });
}

const decoder: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  const { tokens, outputs: wanted } = b.batch;
  const { contextLength, embd } = b.hp;
  const encoded = b.inputTensor('f32', embd, contextLength);
  const inputs = cacheInputs(b)!;
  const buckets = b.inputTensor('i32', inputs.cache.cells, tokens);
  const half = b.context.flashAttn && b.rules.halfMask;
  const crossMask = b.inputTensor(half ? 'f16' : 'f32', contextLength, alignUp(tokens, b.rules.maskRows));
  const mask = b.context.flashAttn && !half ? b.cast(crossMask, 'f16') : crossMask;
  const ids = wanted > 0 ? inputOutputIds(b) : undefined;
  const stated = b.input.model.metadata.decoder_block_count;
  const layers = typeof stated === 'number' ? stated : b.hp.layers;
  for (let layer = 0; layer < layers; layer++) {
    const at: At = { b, layer, part: 'dec' };
    const own = heads(at, 'attn', normed(at, 'attn_norm', x));
    const bias = distanceBias(at, buckets);
    const seen = attention(b, { inputs, layer, ...own, bias, output: null });
    const sum = b.add(product(at, 'attn_o', seen), x);
    const across = heads(at, 'cross_attn', normed(at, 'cross_attn_norm', sum), encoded);
    let t = product(at, 'cross_attn_o', unstored(at, across, mask));
    let residual = sum;
    if (ids && layer === layers - 1) [t, residual] = [b.getRows(t, ids), b.getRows(residual, ids)];
    const input = b.add(t, residual);
    x = b.add(network(at, normed(at, 'ffn_norm', input)), input);
  }
  outputLogits(b, norm(b, x, { weight: b.weight('dec.output_norm.weight'), layer: -1 }));
};

const encoder: GraphBuilder = (b) => {
  let x = inputEmbeddings(b);
  const { tokens } = b.batch;
  const buckets = b.inputTensor('i32', tokens, tokens);
  const mask = encoderMask(b);
  const ids = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const at: At = { b, layer, part: 'enc' };
    const own = heads(at, 'attn', normed(at, 'attn_norm', x));
    let t = product(at, 'attn_o', unstored(at, own, mask, distanceBias(at, buckets)));
    let residual = x;
    if (ids && layer === b.hp.layers - 1) [t, residual] = [b.getRows(t, ids), b.getRows(residual, ids)];
    const input = b.add(t, residual);
    x = b.add(network(at, normed(at, 'ffn_norm', input)), input);
  }
  embeds(b, norm(b, x, { weight: b.weight('enc.output_norm.weight'), layer: -1 }));
};

export const t5Builders: Readonly<Record<string, GraphBuilder>> = { t5: decoder, t5encoder: encoder };
