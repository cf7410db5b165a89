// Granite and MiniCPM: embeddings, residuals and logits are scaled; models for images take further embeddings in some layers.
// Law: src/models/granite.cpp (minicpm.cpp and granite-moe.cpp have the same graph), qwen3vl.cpp.
import type { Build, GraphBuilder } from './build.ts';
import {
  type At,
  type DecoderParts,
  normedThenRotated,
  perhapsMixture,
  ropeFactors,
  rotated,
  serialDecoder,
  stated,
  states,
} from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** Blocks in `attention.deepstack_mapping` order: which of the further embeddings a layer takes, -1: none. */
function deepstackMapping(b: Build): readonly number[] {
  const value = b.input.model.metadata.deepstack_mapping;
  return Array.isArray(value) && b.input.rules['dense.graniteDeepstack'] === true ? value.map(Number) : [];
}

const scaled = ({ b }: At, x: GraphTensor): GraphTensor => b.scale(x);

interface Variant {
  embeddings: boolean;
  residual: boolean;
  /** Blocks that are rotated; undefined: all. */
  rotates?(layer: number): boolean;
  sinks?: boolean;
}

function graniteOf(b: Build, { embeddings, residual, rotates, sinks }: Variant): void {
  const mapping = deepstackMapping(b);
  const deepstack = new Set(mapping.filter((index) => index >= 0)).size;
  const parts: DecoderParts = {
    deepstack,
    embed: (_, x) => (embeddings ? b.scale(deepstack > 0 ? b.cont(x) : x) : x),
    beforeLayer: ({ layer }, x, given) =>
      layer > 0 && (mapping[layer] ?? -1) >= 0 ? b.add(x, furtherEmbedding(b, given, mapping[layer]!)) : x,
    rotate: (at, x) => (rotates?.(at.layer) === false ? x : rotated(at, x, ropeFactors(at))),
    attend: ({ layer }) => ({ sinks: sinks ? b.layerWeight(layer, 'attn_sinks.weight') : undefined }),
    afterAttention: residual ? scaled : undefined,
    network: (at, x) => perhapsMixture(at, x),
    afterNetwork: residual ? scaled : undefined,
    finish: (_, logits) => b.scale(logits),
  };
  serialDecoder(b, parts);
}

const statedScales = (b: Build) => ({
  embeddings: states(b, 'embedding_scale'),
  residual: states(b, 'residual_scale'),
});

const granite: GraphBuilder = (b) => {
  const rotates = b.input.model.metadata['rope.scaling.finetuned'] !== false;
  graniteOf(b, { ...statedScales(b), rotates: () => rotates });
};

/** Sliding layers, sinks, and rotation by a list of blocks. */
const graniteSwa: GraphBuilder = (b) => {
  const pattern = b.input.model.metadata['attention.rope_pattern'];
  const rotates = (layer: number) => !Array.isArray(pattern) || Boolean(pattern[layer] ?? true);
  graniteOf(b, { ...statedScales(b), rotates, sinks: true });
};

/** Scales that a file may leave out. */
const minicpm: GraphBuilder = (b) => {
  const unless0 = (key: string) => b.input.model.metadata[key] !== 0;
  graniteOf(b, { embeddings: unless0('embedding_scale'), residual: unless0('residual_scale') });
};

/** Wide rows hold a token's embedding and, behind it, those that later layers add. */
function furtherEmbedding(b: Build, given: GraphTensor, index: number): GraphTensor {
  return b.view(given, { ne: [b.hp.embd, b.batch.tokens], nb: [given.nb[1]], offset: index * b.hp.embd * 4 });
}

const qwen3vl: GraphBuilder = (b) => {
  const deepstack = stated(b, 'n_deepstack_layers');
  serialDecoder(b, {
    deepstack,
    rotate: normedThenRotated,
    network: perhapsMixture,
    afterLayer: ({ layer }, x, given) => (layer < deepstack ? b.add(x, furtherEmbedding(b, given, layer + 1)) : x),
  });
};

export const graniteBuilders: Readonly<Record<string, GraphBuilder>> = {
  granite,
  granite_swa: graniteSwa,
  granitemoe: granite,
  minicpm,
  qwen3vl,
  qwen3vlmoe: qwen3vl,
};
