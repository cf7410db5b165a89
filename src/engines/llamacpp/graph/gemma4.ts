// Gemma 4: heads of two sizes, layers that read the cache of an earlier one, embeddings for every layer (E2B, E4B), and mixtures of
// experts beside the feed-forward network (26B-A4B). Law: src/models/gemma4.cpp.
import { attention } from './attention.ts';
import { ffn, inputEmbeddings, layerNorm, linear, norm, outputLogits } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { mixture } from './mixture.ts';
import { type At, type DecoderInputs, decoderInputs, freeNorm, runningLayers, softCapped, states } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

const gemma4: GraphBuilder = (b) => {
  let x = b.scale(inputEmbeddings(b));
  const inputs = decoderInputs(b);
  const perLayer = perLayerInputs(b, x);
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions: inputs.positions };
    const attended = attend(at, x, inputs);
    const sum = b.add(layerNorm(b, attended, layer, 'post_attention_norm'), x);
    x = b.add(freeNorm(at, networks(at, sum), 'post_ffw_norm'), sum);
    if (perLayer) x = addLayerEmbedding(at, x, perLayer);
    const scale = b.layerOptional(layer, 'layer_output_scale.weight');
    if (scale) x = b.mul(x, scale);
  }
  // Drafting models read the normed rows of all tokens; the logits' rows are taken after the norm.
  let normed = norm(b, x, { weight: b.weight('output_norm.weight'), layer: -1 });
  normed.output = true;
  if (inputs.outputs) normed = b.getRows(normed, inputs.outputs);
  outputLogits(b, normed, { finish: states(b, 'final_logit_softcapping') ? softCapped : undefined });
};

/** The layer whose cache a layer without one reads: the last one of its kind that has one. */
export function cacheLayer(b: Build, layer: number): number {
  const own = b.hp.kvFromStart;
  if (layer < own) return layer;
  return own - (b.hp.sliding[layer] ? 2 : 1);
}

function attend(at: At, x: GraphTensor, inputs: DecoderInputs): GraphTensor {
  const { b, layer, positions } = at;
  const { tokens } = b.batch;
  const normed = layerNorm(b, x, layer, 'attn_norm');
  const factors = b.hp.sliding[layer] ? undefined : b.copiedWeight(layer, 'rope_freqs.weight');
  const [size, heads, kvHeads] = [b.hp.keyLength[layer]!, b.hp.heads[layer]!, b.hp.kvHeads[layer]!];
  const fused = b.layerOptional(layer, 'attn_qkv.weight') && linear(b, layer, 'attn_qkv', normed);
  const part = (name: string, width: number, from: number) =>
    fused
      ? b.cont(b.view(fused, { ne: [width, tokens], nb: [fused.nb[1]], offset: b.rowSize(fused.type, from) }))
      : linear(b, layer, name, normed);
  let q = b.reshape(part('attn_q', size * heads, 0), size, heads, tokens);
  q = b.rope(layerNorm(b, q, layer, 'attn_q_norm'), positions, factors);
  const shared = { inputs: inputs.cacheOf(layer), layer, cacheLayer: cacheLayer(b, layer) };
  if (layer >= b.hp.kvFromStart) return attention(b, { ...shared, q });
  const keys = part('attn_k', size * kvHeads, size * heads);
  // Without a weight for V its values are those of K.
  const hasV = fused || b.layerOptional(layer, 'attn_v.weight');
  const values = hasV ? part('attn_v', size * kvHeads, size * (heads + kvHeads)) : keys;
  const k = b.rope(layerNorm(b, b.reshape(keys, size, kvHeads, tokens), layer, 'attn_k_norm'), positions, factors);
  const v = b.rmsNorm(b.reshape(values, size, kvHeads, tokens));
  return attention(b, { ...shared, q, k, v });
}

/** The feed-forward network, and beside it the experts. */
function networks({ b, layer }: At, x: GraphTensor): GraphTensor {
  const dense = ffn(b, layerNorm(b, x, layer, 'ffn_norm'), { layer, activation: 'gelu' });
  if (!b.layerOptional(layer, 'ffn_gate_inp.weight')) return dense;
  const normedDense = layerNorm(b, dense, layer, 'post_ffw_norm_1');
  const input = layerNorm(b, x, layer, 'pre_ffw_norm_2');
  const routed = b.mul(b.scale(b.rmsNorm(x)), b.layerWeight(layer, 'ffn_gate_inp.scale'));
  const scores = b.mulMat(b.layerWeight(layer, 'ffn_gate_inp.weight'), routed);
  const mixed = mixture(b, input, { layer, gating: 'softmax', activation: 'gelu', normalize: true, scores });
  return b.add(normedDense, layerNorm(b, mixed, layer, 'post_ffw_norm_2'));
}

/** Embeddings of the tokens for every layer and a projection of the input, tokens x layers. */
export function perLayerInputs(b: Build, x: GraphTensor, size = b.hp.perLayerEmbedding): GraphTensor | undefined {
  const table = b.optional('per_layer_token_embd.weight');
  if (!table) return undefined;
  const { tokens } = b.batch;
  const layers = runningLayers(b);
  const chosen = b.scale(b.reshape(b.getRows(table, b.inputTensor('i32', tokens)), size, layers, tokens));
  const order = b.input.rules['dense.layerEmbeddings'];
  if (order === 'ahead') b.expand(chosen);
  let projected = b.scale(b.mulMat(b.weight('per_layer_model_proj.weight'), x));
  projected = b.reshape(projected, size, layers, tokens);
  projected = norm(b, projected, { weight: b.weight('per_layer_proj_norm.weight'), layer: -1 });
  const sum = order === 'first' ? b.add(chosen, projected) : b.add(projected, chosen);
  return b.cont(b.permute(b.scale(sum), 0, 2, 1, 3));
}

function addLayerEmbedding({ b, layer }: At, x: GraphTensor, perLayer: GraphTensor): GraphTensor {
  const [size, tokens] = perLayer.ne;
  const gate = b.unary('gelu', linear(b, layer, 'inp_gate', x));
  const own = b.view(perLayer, { ne: [size, tokens], nb: [perLayer.nb[1]], offset: layer * perLayer.nb[2] });
  const t = linear(b, layer, 'proj', b.mul(gate, own));
  return b.add(x, layerNorm(b, t, layer, 'post_norm'));
}

export const gemma4Builders: Readonly<Record<string, GraphBuilder>> = { gemma4 };
