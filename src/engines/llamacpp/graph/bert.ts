// Encoders: no cache, every token sees every other, the result is pooled. Law: src/models/bert.cpp, src/llama-graph.cpp
// (build_attn_inp_no_cache, build_pooling).
import { alignUp } from '../../../units.ts';
import { attend } from './attention.ts';
import {
  ffn,
  gatherOutputs,
  inputEmbeddings,
  inputOutputIds,
  inputPositions,
  layerNorm,
  norm,
  type Qkv,
  qkv,
} from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { mixture } from './mixture.ts';
import { embeds, poolingOf } from './pooling.ts';
import { recurrentRules } from './recurrent-rules.ts';
import { type At, flatQkv, rotated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** Mask of attention without a cache (build_attn_inp_no_cache). */
export function encoderMask(b: Build): GraphTensor {
  const { tokens } = b.batch;
  const rows = alignUp(tokens, b.rules.maskRows);
  if (!b.context.flashAttn) return b.inputTensor('f32', tokens, rows);
  return b.rules.halfMask ? b.inputTensor('f16', tokens, rows) : b.cast(b.inputTensor('f32', tokens, rows), 'f16');
}

/** Attention of the batch to itself, and the output's projection. */
export function selfAttention(b: Build, layer: number, mask: GraphTensor, { q, k, v }: Qkv): GraphTensor {
  const plain = recurrentRules(b)['encoder.attention'] === 'plain';
  if (!plain) for (const t of [q, k, v]) b.expand(t);
  const attended = plain ? attendPlainly(b, { q, k, v }, mask) : attend(b, { q, k, v, mask });
  let t = b.mulMat(b.layerWeight(layer, 'attn_output.weight'), attended);
  const scale = b.layerOptional(layer, 'attn_output.scale');
  if (scale) t = b.mul(t, scale);
  const bias = b.layerOptional(layer, 'attn_output.bias');
  return bias ? b.add(t, bias) : t;
}

/** Attention without a cache as the first builds had it; V has all heads in one row. */
function attendPlainly(b: Build, { q, k, v }: Qkv, mask: GraphTensor): GraphTensor {
  const [size, heads, tokens] = k.ne;
  const keys = b.cont(b.permute(k, 0, 2, 1, 3));
  const scores = b.softMax(b.mulMat(keys, b.permute(q, 0, 2, 1, 3)), mask);
  const values = b.reshape(b.cont(b.transpose(b.reshape(v, size * heads, tokens))), tokens, size, heads);
  const weighted = b.permute(b.mulMat(values, scores), 0, 2, 1, 3);
  const t = b.cont(weighted, size * heads, tokens);
  if (!b.context.offloadKqv) b.pinToCpu(t);
  b.expand(t);
  return t;
}

interface Encoder {
  positions: 'table' | 'rotated' | 'none';
  network(b: Build, x: GraphTensor, layer: number): GraphTensor;
}

function encoder(b: Build, { positions: kind, network }: Encoder): void {
  const positions = inputPositions(b);
  let x = inputEmbeddings(b);
  const types = b.optional('token_types.weight');
  if (types) x = b.add(x, b.view(types, { ne: [b.hp.embd] }));
  if (kind === 'table') x = b.add(b.getRows(b.weight('position_embd.weight'), positions), x);
  x = embeddingNorm(b, x);
  const mask = encoderMask(b);
  const gathers = recurrentRules(b)['encoder.gathers'] === 'always' || poolingOf(b) === 'none';
  const outputs = gathers ? inputOutputIds(b) : undefined;
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const at = { b, layer, positions };
    const projected = project(at, x);
    const t = selfAttention(b, layer, mask, kind === 'rotated' ? rotated(at, projected) : projected);
    const [rows, residual] = gatherOutputs(b, outputs, layer, t, x) as [GraphTensor, GraphTensor];
    let sum = layerNorm(b, b.add(rows, residual), layer, 'attn_output_norm', 'layer');
    if (b.layerOptional(layer, 'attn_norm_2.weight')) {
      sum = layerNorm(b, b.add(sum, residual), layer, 'attn_norm_2', 'layer');
    }
    x = layerNorm(b, b.add(network(b, sum, layer), sum), layer, 'layer_output_norm', 'layer');
  }
  embeds(b, x);
}

/** The norm of the embeddings. */
export function embeddingNorm(b: Build, x: GraphTensor): GraphTensor {
  const layer = recurrentRules(b)['encoder.pinsEmbeddings'] ? 0 : -1;
  return norm(b, x, { ...weights(b, 'token_embd_norm'), kind: 'layer', layer });
}

export function weights(b: Build, name: string) {
  return { weight: b.optional(`${name}.weight`), bias: b.optional(`${name}.bias`) };
}

/** Q, K and V with norms over all heads of Q and of K where the model has them. */
function project(at: At, x: GraphTensor): Qkv {
  const { b, layer } = at;
  const law = recurrentRules(b)['encoder.attention'];
  if (law === 'shared') return normedAcrossHeads(at, qkv(b, x, layer));
  const flat = flatQkv(b, x, layer);
  const size = b.hp.keyLength[layer]!;
  const apart = (t: GraphTensor, name?: string) => {
    const normed = name && b.layerOptional(layer, `${name}.weight`) ? layerNorm(b, t, layer, name, 'layer') : t;
    return b.reshape(normed, size, t.ne[0] / size, t.ne[1]);
  };
  return {
    q: apart(flat.q, 'attn_q_norm'),
    k: apart(flat.k, 'attn_k_norm'),
    v: law === 'plain' ? flat.v : apart(flat.v),
  };
}

function normedAcrossHeads({ b, layer }: At, x: Qkv): Qkv {
  const over = (t: GraphTensor, name: string) => {
    if (!b.layerOptional(layer, `${name}.weight`)) return t;
    const flat = b.reshape(t, t.ne[0] * t.ne[1], t.ne[2]);
    return b.reshape(layerNorm(b, flat, layer, name, 'layer'), ...t.ne);
  };
  return { q: over(x.q, 'attn_q_norm'), k: over(x.k, 'attn_k_norm'), v: x.v };
}

const plain: Encoder['network'] = (b, x, layer) => ffn(b, x, { layer, activation: 'gelu' });

const nomicExperts: Encoder['network'] = (b, x, layer) => {
  const every = b.input.model.metadata.moe_every_n_layers;
  if (typeof every !== 'number' || every <= 0 || layer % every !== 1) return plain(b, x, layer);
  return mixture(b, x, { layer, gating: 'softmax', activation: 'gelu', normalize: false });
};

const jinaV2: Encoder['network'] = (b, x, layer) => {
  const holdsGate =
    !b.layerOptional(layer, 'ffn_gate.weight') &&
    b.layerWeight(layer, 'ffn_up.weight').ne[1] !== b.hp.feedForward[layer];
  return ffn(b, x, { layer, activation: holdsGate ? 'geglu' : 'gelu' });
};

export const bertBuilders: Readonly<Record<string, GraphBuilder>> = {
  bert: (b) => encoder(b, { positions: 'table', network: plain }),
  'nomic-bert': (b) =>
    encoder(b, { positions: 'rotated', network: (_, x, layer) => ffn(b, x, { layer, activation: 'silu' }) }),
  'nomic-bert-moe': (b) => encoder(b, { positions: 'rotated', network: nomicExperts }),
  'jina-bert-v2': (b) => encoder(b, { positions: 'none', network: jinaV2 }),
  'jina-bert-v3': (b) => encoder(b, { positions: 'rotated', network: plain }),
};
