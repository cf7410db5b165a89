// Decoders of 2019 to 2023: position embeddings or biases by distance instead of rotations, attention and network beside each other.
// Law: src/models/gpt2.cpp, starcoder.cpp, mpt.cpp, bloom.cpp, jais.cpp, refact.cpp, falcon.cpp, gptneox.cpp, stablelm.cpp, plamo.cpp.
import {
  ffn,
  gatherOutputs,
  inputEmbeddings,
  inputPositions,
  layerNorm,
  norm,
  outputHead,
  type Qkv,
} from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import {
  type At,
  attentionPart,
  type DecoderParts,
  decoderInputs,
  parallelDecoder,
  rotated,
  runningLayers,
  type Summands,
  serial,
  serialDecoder,
  states,
} from './serial.ts';
import type { GraphTensor } from './tensor.ts';

const wide: DecoderParts = { kind: 'layer', activation: 'gelu' };
const alibi = () => ({ alibi: true });

/** Embeddings of the positions are added to those of the tokens. */
function withPositions(b: Build, x: GraphTensor): GraphTensor {
  const table = b.optional('position_embd.weight');
  return table ? b.add(x, b.getRows(table, inputPositions(b))) : x;
}

/** Keys as one row of all heads, which some architectures stored at first. */
function storedKeys({ b }: At, { q, k, v }: Qkv): Qkv {
  const flat = (b.input.rules['dense.flatKeys'] as readonly string[]).includes(b.hp.architecture);
  return { q, k: flat ? k.src[0]! : k, v };
}

const gpt2 = serial({ ...wide, embed: withPositions, rotate: storedKeys });

const bloom = serial({
  ...wide,
  embed: (b, x) => {
    const [weight, bias] = [b.weight('token_embd_norm.weight'), b.optional('token_embd_norm.bias')];
    return norm(b, x, { weight, bias, kind: 'layer', layer: b.input.rules['dense.embeddingNormLayer'] as number });
  },
  attend: alibi,
});

const mpt: GraphBuilder = (b) =>
  serialDecoder(b, {
    ...wide,
    embed: withPositions,
    rotate: normedRows,
    attend: () => ({ alibi: states(b, 'attention.max_alibi_bias') }),
  });

/** Norms over all heads, in models that have them. */
function normedRows(at: At, { q, k, v }: Qkv): Qkv {
  const { b, layer } = at;
  if (!b.layerOptional(layer, 'attn_q_norm.weight')) return storedKeys(at, { q, k, v });
  const across = (t: GraphTensor, name: string) =>
    b.reshape(layerNorm(b, b.reshape(t, t.ne[0] * t.ne[1], t.ne[2]), layer, name, 'layer'), ...t.ne);
  return { q: across(q, 'attn_q_norm'), k: across(k, 'attn_k_norm'), v };
}

const jais: GraphBuilder = (b) =>
  serialDecoder(b, {
    kind: 'layer',
    rotate: storedKeys,
    attend: () => ({ alibi: states(b, 'attention.max_alibi_bias') }),
  });

const refact = serial({ attend: alibi });

/** The network's result, then attention's, then the residual. */
const networkFirst = (b: Build, x: Summands) => b.add(b.add(x.network, x.attended), x.residual);

/** The 40B model norms attention's input on its own. */
const falcon: GraphBuilder = (b) =>
  parallelDecoder(b, { ...wide, attentionNorm2: 'attn_norm_2', rotate: rotated, sum: networkFirst });

const plamo: GraphBuilder = (b) => parallelDecoder(b, { rotate: rotated, sum: networkFirst });

/** Attention and network read the same residual through norms of their own. */
const gptneox: GraphBuilder = (b) => {
  const parts: DecoderParts = { ...wide, rotate: rotated };
  if (b.input.model.metadata.use_parallel_residual !== true) return serialDecoder(b, parts);
  let x = inputEmbeddings(b);
  const inputs = decoderInputs(b);
  for (let layer = 0; layer < runningLayers(b); layer++) {
    const { result } = attentionPart({ b, layer, positions: inputs.positions }, x, parts, inputs);
    const [attended, residual] = gatherOutputs(b, inputs.outputs, layer, result, x) as [GraphTensor, GraphTensor];
    const network = ffn(b, layerNorm(b, residual, layer, 'ffn_norm', 'layer'), { layer, activation: 'gelu' });
    x = b.add(b.add(network, residual), attended);
  }
  outputHead(b, x, 'layer');
};

/** Some models norm the network's input, the others give it attention's. */
const stablelm: GraphBuilder = (b) => {
  const rotate = (at: At, { q, k, v }: Qkv): Qkv =>
    rotated(at, { q: perhapsNormed(at, q, 'attn_q_norm'), k: perhapsNormed(at, k, 'attn_k_norm'), v });
  if (b.layerOptional(0, 'ffn_norm.weight')) return serialDecoder(b, { kind: 'layer', rotate });
  parallelDecoder(b, {
    kind: 'layer',
    rotate,
    sum: (_, { attended, network, residual }) => b.add(network, b.add(attended, residual)),
  });
};

function perhapsNormed({ b, layer }: At, t: GraphTensor, name: string): GraphTensor {
  return b.layerOptional(layer, `${name}.weight`) ? layerNorm(b, t, layer, name, 'layer') : t;
}

export const olderBuilders: Readonly<Record<string, GraphBuilder>> = {
  bloom,
  falcon,
  gpt2,
  gptneox,
  jais,
  mpt,
  plamo,
  refact,
  stablelm,
  starcoder: gpt2,
};
