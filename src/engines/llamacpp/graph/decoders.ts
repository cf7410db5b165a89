// Dense decoders that differ from each other in little: kinds of norms and what has one, activations, which layers are rotated.
// Law: src/models/<architecture>.cpp.
import {
  ffn,
  gatherOutputs,
  inputEmbeddings,
  layerNorm,
  linear,
  type NormKind,
  norm,
  outputHead,
  type Qkv,
} from './blocks.ts';
import type { GraphBuilder } from './build.ts';
import {
  type At,
  attentionPart,
  attentionScale,
  type DecoderParts,
  decoderInputs,
  flatQkv,
  freeNorm,
  normedThenRotated,
  perhapsMixture,
  ropeFactors,
  rotated,
  runningLayers,
  serial,
  serialDecoder,
  softCapped,
  states,
  turned,
} from './serial.ts';
import type { GraphTensor } from './tensor.ts';

const layerNormed: DecoderParts = { ...turned, kind: 'layer' };
const sandwich = (x: At, t: GraphTensor, name: string) => layerNorm(x.b, t, x.layer, name);

const glm4 = serial({
  ...turned,
  activation: 'swiglu',
  afterAttention: (at, x) => sandwich(at, x, 'post_attention_norm'),
  afterNetwork: (at, x) => sandwich(at, x, 'post_ffw_norm'),
});

/** Norms over all heads of Q and of K. */
export function normedAcrossHeads({ b, layer }: At, x: GraphTensor, kind?: NormKind): Qkv {
  const { tokens } = b.batch;
  const { q, k, v } = flatQkv(b, x, layer);
  const [heads, kvHeads] = [b.hp.heads[layer]!, b.hp.kvHeads[layer]!];
  return {
    q: b.reshape(layerNorm(b, q, layer, 'attn_q_norm', kind), b.hp.keyLength[layer]!, heads, tokens),
    k: b.reshape(layerNorm(b, k, layer, 'attn_k_norm', kind), b.hp.keyLength[layer]!, kvHeads, tokens),
    v: b.reshape(v, b.hp.valueLength[layer]!, kvHeads, tokens),
  };
}

/** Nothing is normed before attention or network, only their results are. */
const normedAfter: DecoderParts = {
  attentionNorm: null,
  afterAttention: (at, x) => sandwich(at, x, 'post_attention_norm'),
  networkNorm: null,
  afterNetwork: (at, x) => freeNorm(at, x, 'post_ffw_norm'),
};

const olmo2 = serial({ ...normedAfter, project: (at, x) => normedAcrossHeads(at, x), rotate: rotated });

/** Where layers slide, the others are not rotated. */
const exaone4: GraphBuilder = (b) => {
  const slides = b.hp.sliding.some(Boolean);
  serialDecoder(b, {
    ...normedAfter,
    rotate: (at, x) => {
      const normed = normedHeads(at, x);
      return slides && !b.hp.sliding[at.layer] ? normed : rotated(at, normed, ropeFactors(at));
    },
  });
};

function normedHeads({ b, layer }: At, { q, k, v }: Qkv): Qkv {
  return { q: layerNorm(b, q, layer, 'attn_q_norm'), k: layerNorm(b, k, layer, 'attn_k_norm'), v };
}

/** Norms of Q and K after the rotation. */
const rotatedThenNormed = (at: At, x: Qkv): Qkv => normedHeads(at, rotated(at, x, ropeFactors(at)));

/** Every fourth layer is not rotated. */
const smollm3 = serial({ rotate: (at, x) => ((at.layer + 1) % 4 === 0 ? x : rotated(at, x)) });

/** Norms without weights. */
const olmo = serial({ ...layerNormed, attentionNorm: 'no', networkNorm: 'no' });

/** An activation with parameters of each layer. */
const apertus = serial({
  rotate: (at, x) => normedThenRotated(at, x, ropeFactors(at)),
  network: ({ b, layer }, x) => linear(b, layer, 'ffn_down', b.unary('xielu', linear(b, layer, 'ffn_up', x))),
});

/** Norms of results whose names end without `.weight`. */
const plamo3 = serial({
  activation: 'swiglu',
  rotate: (at, x) => normedThenRotated(at, x),
  afterAttention: ({ b, layer }, x) => norm(b, x, { weight: b.layerOptional(layer, 'post_attention_norm'), layer }),
  afterNetwork: ({ b, layer }, x) => norm(b, x, { weight: b.layerOptional(layer, 'post_ffw_norm'), layer }),
});

/** Attention's result is gated before its projection, by head. */
const spark: GraphBuilder = (b) =>
  serialDecoder(b, {
    activation: 'gelu',
    rotate: rotated,
    attend: () => ({ output: null }),
    finishAttention: ({ layer }, x, normed) => {
      const [size, heads] = [b.hp.keyLength[layer]!, b.hp.heads[layer]!];
      const gate = b.unary('sigmoid', linear(b, layer, 'attn_gate', normed));
      const gated = b.mul(b.reshape(x, size, heads, x.ne[1]), b.reshape(gate, 1, heads, x.ne[1]));
      return linear(b, layer, 'attn_output', b.reshape(gated, size * heads, x.ne[1]));
    },
  });

/** Attention's result is gated before its projection, by value; only sliding layers are rotated. */
const museGlimmer: GraphBuilder = (b) =>
  serialDecoder(b, {
    embed: (_, x) => b.rmsNorm(x),
    rotate: (at, x) => (b.hp.sliding[at.layer] ? normedThenRotated(at, x) : normedHeads(at, x)),
    attend: () => ({ output: null }),
    finishAttention: ({ layer }, x, normed) => {
      const gated = b.mul(x, b.unary('sigmoid', linear(b, layer, 'attn_gate', normed)));
      const t = linear(b, layer, 'attn_output', gated);
      return b.mul(b.rmsNorm(t), b.layerWeight(layer, 'post_attention_norm.weight'));
    },
    afterNetwork: ({ layer }, x) => b.mul(b.rmsNorm(x), b.layerWeight(layer, 'post_ffw_norm.weight')),
    finish: (_, logits) => {
      const scaled = b.scale(logits);
      return states(b, 'final_logit_softcapping') ? softCapped(b, scaled) : scaled;
    },
  });

/** Long contexts scale the queries of every token by its position. */
const mistral3: GraphBuilder = (b) => {
  const scale = attentionScale(b);
  serialDecoder(b, {
    rotate: (at, x) => {
      const { q, k, v } = rotated(at, x, ropeFactors(at));
      return { q: scale ? b.mul(q, scale) : q, k, v };
    },
    network: (at, x) => perhapsMixture(at, x),
  });
};

/** The 13B model biases attention by distance instead of rotating. */
const baichuan: GraphBuilder = (b) => {
  const large = b.hp.layers === 40;
  serialDecoder(b, { rotate: b.hp.layers === 32 ? rotated : undefined, attend: () => ({ alibi: large }) });
};

/** Norms within attention and within the network; logits come from the token embeddings where they lie. */
const bitnet: GraphBuilder = (b) =>
  serialDecoder(b, {
    rotate: rotated,
    attend: () => ({ output: null }),
    finishAttention: ({ layer }, x) => linear(b, layer, 'attn_output', layerNorm(b, x, layer, 'attn_sub_norm')),
    network: (at, x) => {
      const inner = ffn(b, x, { layer: at.layer, activation: 'silu', down: null });
      return linear(b, at.layer, 'ffn_down', layerNorm(b, inner, at.layer, 'ffn_sub_norm'));
    },
    outputs: b.weight('token_embd.weight'),
  });

/** One product for Q, K and V, with the heads of the layer. */
function headsOfOne({ b, layer }: At, x: GraphTensor): Qkv {
  const [heads, kvHeads, size] = [b.hp.heads[layer]!, b.hp.kvHeads[layer]!, b.hp.keyLength[layer]!];
  const fused = b.reshape(linear(b, layer, 'attn_qkv', x), size, heads + 2 * kvHeads, b.batch.tokens);
  const copied = b.input.rules['dense.openelmCopies'] as string;
  const part = (name: string, count: number, from: number) => {
    const nb = [fused.nb[1], fused.nb[2]];
    const view = b.view(fused, { ne: [size, count, b.batch.tokens], nb, offset: fused.nb[1] * from });
    return copied.includes(name) ? b.cont(view) : view;
  };
  const v = part('v', kvHeads, heads + kvHeads);
  // At first V entered the cache as rows of all heads.
  const rows = b.rules.cacheAccess === 'direct' ? b.reshape(v, size * kvHeads, b.batch.tokens) : undefined;
  return {
    q: part('q', heads, 0),
    k: part('k', kvHeads, heads),
    v: rows ? b.reshape(rows, size, kvHeads, b.batch.tokens) : v,
  };
}

/** Layers have different numbers of heads. */
const openelm = serial({ project: headsOfOne, rotate: normedThenRotated, attentionResidualFirst: true });

/** Norms without weights; the embeddings are added again to every layer's result. */
const talkie: GraphBuilder = (b) => {
  let x = b.rmsNorm(inputEmbeddings(b));
  const embeddings = x;
  const inputs = decoderInputs(b);
  const rotate = (at: At, qkv: Qkv): Qkv => {
    const { q, k, v } = rotated(at, qkv);
    return { q: layerNorm(b, q, at.layer, 'attn_q_norm'), k: b.rmsNorm(k), v };
  };
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const at = { b, layer, positions: inputs.positions };
    const { result } = attentionPart(at, x, { rotate }, inputs);
    const rows = gatherOutputs(b, inputs.outputs, layer, result, x, embeddings);
    const [attended, residual, skipped] = rows as [GraphTensor, GraphTensor, GraphTensor];
    const sum = b.add(attended, residual);
    const network = b.add(ffn(b, b.rmsNorm(sum), { layer, activation: 'silu' }), sum);
    x = b.add(network, b.mul(skipped, b.layerWeight(layer, 'layer_output_scale.weight')));
  }
  outputHead(b, x, 'rms', { finish: (_, logits) => b.scale(logits) });
};

export const decoderBuilders: Readonly<Record<string, GraphBuilder>> = {
  apertus,
  arcee: serial({ ...turned, activation: 'relu_sqr' }),
  baichuan,
  bitnet,
  chatglm: serial({ ...turned, activation: 'swiglu' }),
  codeshell: serial({ ...layerNormed, activation: 'gelu' }),
  ernie4_5: serial(turned),
  exaone: serial(turned),
  exaone4,
  glm4,
  'hunyuan-dense': serial({ rotate: rotatedThenNormed }),
  hunyuan_vl: serial({ rotate: rotatedThenNormed }),
  internlm2: serial(turned),
  jais2: serial({ ...layerNormed, activation: 'relu_sqr' }),
  maincoder: serial({ rotate: rotatedThenNormed }),
  mellum: serial({ rotate: normedThenRotated, network: (at, x) => perhapsMixture(at, x) }),
  mistral3,
  'muse-glimmer': museGlimmer,
  nemotron: serial({ ...layerNormed, activation: 'relu_sqr' }),
  olmo,
  olmo2,
  openelm,
  orion: serial(layerNormed),
  paddleocr: serial(turned),
  'pangu-embedded': serial(turned),
  plamo3,
  qwen: serial(turned),
  qwen2vl: serial(turned),
  seed_oss: serial({ ...turned, networkNorm: 'post_attention_norm' }),
  smollm3,
  spark2_5: spark,
  talkie,
  starcoder2: serial({ ...layerNormed, activation: 'gelu' }),
  xverse: serial(turned),
};
