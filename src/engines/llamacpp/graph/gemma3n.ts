// Gemma 3n (E2B, E4B): four streams of which one is computed and the others are predicted and corrected (AltUp), a low-rank residual
// (LAuReL), sparse activations in the first layers, embeddings for every layer, caches shared by the last ones.
// Law: src/models/gemma3n.cpp.
import { attention } from './attention.ts';
import { inputEmbeddings, layerNorm, linear, norm, outputHead, qkv } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { cacheLayer, perLayerInputs } from './gemma4.ts';
import { type At, type DecoderInputs, decoderInputs, freeNorm, runningLayers, softCapped } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** Streams; the first is computed. */
const streams = 4;
/** Values of a token's embedding for a layer, where the file does not state them. */
const perLayerSize = 256;
/** Layers from the first one whose gates keep their largest values only. */
const sparseLayers = 10;

const gemma3n: GraphBuilder = (b) => {
  const embeddings = b.scale(inputEmbeddings(b));
  const inputs = decoderInputs(b);
  const perLayer = perLayerInputs(b, embeddings, perLayerSize)!;
  let x = allStreams(b, embeddings);
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions: inputs.positions };
    const predictions = predict(at, x);
    const active = slice(b, predictions, 0);
    const computed = computeStream(at, active, inputs);
    x = addLayerEmbedding(at, correct(at, predictions, computed), perLayer);
  }
  outputHead(b, b.getRows(oneStream(b, x), inputs.outputs!), 'rms', { finish: softCapped });
};

/** One of several matrices. */
function slice(b: Build, x: GraphTensor, index: number): GraphTensor {
  const [rows, columns] = x.ne;
  return b.view(x, { ne: [rows, columns], nb: [4 * rows], offset: 4 * index * rows * columns });
}

const rest = (b: Build, x: GraphTensor): GraphTensor => {
  const [rows, columns] = x.ne;
  return b.view(x, {
    ne: [rows, columns, streams - 1],
    nb: [4 * rows, 4 * rows * columns],
    offset: 4 * rows * columns,
  });
};

const magnitude = (b: Build, x: GraphTensor): GraphTensor => b.sqrt(b.sumRows(b.sqr(x)));

/** As long as `target`, in another direction. */
function stretched(b: Build, x: GraphTensor, target: GraphTensor): GraphTensor {
  return b.div(b.mul(x, target), magnitude(b, x));
}

function allStreams(b: Build, x: GraphTensor): GraphTensor {
  const target = magnitude(b, x);
  const repeated = b.repeat(x, x.ne[0], x.ne[1], streams - 1);
  return b.concat(x, stretched(b, b.mulMat(b.weight('altup_proj.weight'), repeated), target), 2);
}

function oneStream(b: Build, x: GraphTensor): GraphTensor {
  const target = magnitude(b, slice(b, x, 0));
  const others = stretched(b, b.mulMat(b.weight('altup_unembd_proj.weight'), rest(b, x)), target);
  let sum = slice(b, x, 0);
  for (let i = 0; i < streams - 1; i++) sum = b.add(sum, slice(b, others, i));
  return b.scale(sum);
}

function modalities({ b, layer }: At, x: GraphTensor): GraphTensor {
  const routed = b.scale(layerNorm(b, x, layer, 'altup_router_norm'));
  return b.unary('tanh', b.mulMat(b.layerWeight(layer, 'altup_router.weight'), routed));
}

function predict(at: At, x: GraphTensor): GraphTensor {
  const { b, layer } = at;
  const mixed = linear(b, layer, 'altup_predict_coef', modalities(at, slice(b, x, 0)));
  const coefficients = b.reshape(mixed, streams, streams, x.ne[1]);
  const t = b.mulMat(b.cont(b.permute(x, 1, 2, 0, 3)), coefficients);
  return b.add(b.cont(b.permute(t, 0, 2, 1, 3)), x);
}

function correct(at: At, predictions: GraphTensor, computed: GraphTensor): GraphTensor {
  const { b, layer } = at;
  const [rows, tokens] = computed.ne;
  const routed = modalities(at, computed);
  const innovation = b.sub(computed, slice(b, predictions, 0));
  const scaled = b.scale(linear(b, layer, 'altup_correct_coef', routed));
  const coefficients = b.cont(b.transpose(scaled), 1, tokens, streams);
  return b.add(b.mul(b.repeat(innovation, rows, tokens, streams), coefficients), predictions);
}

/** Attention and network of the computed stream. */
function computeStream(at: At, active: GraphTensor, inputs: DecoderInputs): GraphTensor {
  const { b, layer } = at;
  const x = layerNorm(b, active, layer, 'attn_norm');
  const laurel = b.add(
    layerNorm(b, linear(b, layer, 'laurel_r', linear(b, layer, 'laurel_l', x)), layer, 'laurel_post_norm'),
    x,
  );
  const attended = b.add(layerNorm(b, attend(at, x, inputs), layer, 'post_attention_norm'), active);
  const sum = b.scale(b.add(attended, laurel));
  const t = layerNorm(b, sum, layer, 'ffn_norm');
  const up = linear(b, layer, 'ffn_up', t);
  let gate = linear(b, layer, 'ffn_gate', t);
  if (layer < sparseLayers) gate = sparse(b, gate);
  const network = linear(b, layer, 'ffn_down', b.mul(up, b.unary('gelu', gate)));
  return b.add(freeNorm(at, network, 'post_ffw_norm'), sum);
}

function attend(at: At, x: GraphTensor, inputs: DecoderInputs): GraphTensor {
  const { b, layer, positions } = at;
  const turned = (t: GraphTensor, name: string) => b.rope(layerNorm(b, t, layer, name), positions);
  const shared = { inputs: inputs.cacheOf(layer), layer, cacheLayer: cacheLayer(b, layer) };
  if (layer < b.hp.kvFromStart) {
    const { q, k, v } = qkv(b, x, layer);
    return attention(b, { ...shared, q: turned(q, 'attn_q_norm'), k: turned(k, 'attn_k_norm'), v: b.rmsNorm(v) });
  }
  const q = b.reshape(linear(b, layer, 'attn_q', x), b.hp.keyLength[layer]!, b.hp.heads[layer]!, b.batch.tokens);
  return attention(b, { ...shared, q: turned(q, 'attn_q_norm') });
}

/** What exceeds a cut-off at some standard deviations above the mean. */
function sparse(b: Build, x: GraphTensor): GraphTensor {
  const mean = b.mean(x);
  const deviation = b.sqrt(b.scale(b.sumRows(b.sqr(b.sub(x, mean)))));
  return b.unary('relu', b.sub(x, b.add(mean, b.scale(deviation))));
}

/** The layer's embeddings, through the first stream, added to the others. */
function addLayerEmbedding({ b, layer }: At, x: GraphTensor, perLayer: GraphTensor): GraphTensor {
  const first = b.mul(slice(b, x, 0), b.layerWeight(layer, 'altup_correct_scale.weight'));
  const gate = b.unary('gelu', linear(b, layer, 'inp_gate', first));
  const t = linear(b, layer, 'proj', b.mul(gate, slice(b, perLayer, layer)));
  const added = b.add(rest(b, x), norm(b, t, { weight: b.layerWeight(layer, 'post_norm.weight'), layer }));
  return b.concat(slice(b, x, 0), added, 2);
}

export const gemma3nBuilders: Readonly<Record<string, GraphBuilder>> = { gemma3n };
