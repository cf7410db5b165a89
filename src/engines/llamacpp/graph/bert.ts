// Encoders: no cache, every token sees every other, the result is pooled. Law: src/models/bert.cpp, src/llama-graph.cpp
// (build_attn_inp_no_cache, build_pooling).
import { alignUp } from '../../../units.ts';
import { attend } from './attention.ts';
import { ffn, gatherOutputs, inputEmbeddings, inputOutputIds, inputPositions, layerNorm, norm, qkv } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { mixture } from './mixture.ts';
import { pooled } from './pooling.ts';
import { recurrentRules } from './recurrent-rules.ts';
import { type At, rotated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** Mask of attention without a cache (build_attn_inp_no_cache). */
export function encoderMask(b: Build): GraphTensor {
  const { tokens } = b.batch;
  const rows = alignUp(tokens, b.rules.maskRows);
  if (!b.context.flashAttn) return b.inputTensor('f32', tokens, rows);
  return b.rules.halfMask ? b.inputTensor('f16', tokens, rows) : b.cast(b.inputTensor('f32', tokens, rows), 'f16');
}

/** Attention of the batch to itself, and the output's projection. */
export function selfAttention(
  b: Build,
  layer: number,
  mask: GraphTensor,
  { q, k, v }: { q: GraphTensor; k: GraphTensor; v: GraphTensor },
): GraphTensor {
  for (const t of [q, k, v]) b.expand(t);
  let t = b.mulMat(b.layerWeight(layer, 'attn_output.weight'), attend(b, { q, k, v, mask }));
  const scale = b.layerOptional(layer, 'attn_output.scale');
  if (scale) t = b.mul(t, scale);
  const bias = b.layerOptional(layer, 'attn_output.bias');
  return bias ? b.add(t, bias) : t;
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
  x = norm(b, x, {
    ...weights(b, 'token_embd_norm'),
    kind: 'layer',
    layer: recurrentRules(b)['encoder.pinsEmbeddings'] ? 0 : -1,
  });
  const mask = encoderMask(b);
  const outputs = inputOutputIds(b);
  for (let layer = 0; layer < b.hp.layers; layer++) {
    const at = { b, layer, positions };
    const projected = normedAcrossHeads(at, qkv(b, x, layer));
    const t = selfAttention(b, layer, mask, kind === 'rotated' ? rotated(at, projected) : projected);
    const [rows, residual] = gatherOutputs(b, outputs, layer, t, x) as [GraphTensor, GraphTensor];
    let sum = layerNorm(b, b.add(rows, residual), layer, 'attn_output_norm', 'layer');
    if (b.layerOptional(layer, 'attn_norm_2.weight')) {
      sum = layerNorm(b, b.add(sum, residual), layer, 'attn_norm_2', 'layer');
    }
    x = layerNorm(b, b.add(network(b, sum, layer), sum), layer, 'layer_output_norm', 'layer');
  }
  pooled(b, x);
}

export function weights(b: Build, name: string) {
  return { weight: b.optional(`${name}.weight`), bias: b.optional(`${name}.bias`) };
}

/** Norms over all heads of Q and of K, where the model has them. */
function normedAcrossHeads({ b, layer }: At, x: { q: GraphTensor; k: GraphTensor; v: GraphTensor }) {
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
