// GGUF descriptions of a few dense models as llama-quantize writes them (Q4_K_M, or one type), and runs of them, for tests of the graph.
import { buildNumber } from '../../../../src/engines/llamacpp/builds.ts';
import { readHparams } from '../../../../src/engines/llamacpp/read-hparams.ts';
import type { ContextParams, GraphInput, Place } from '../../../../src/engines/llamacpp/types.ts';
import { loadLlamaRules } from '../../../../src/load/presets.ts';
import type { GgmlType } from '../../../../src/spec/ggml-types.ts';
import type { GgufModel, GgufTensor } from '../../../../src/spec/gguf.ts';

interface Sizes {
  architecture: string;
  layers: number;
  embd: number;
  feedForward: number;
  heads: number;
  kvHeads: number;
  head: number;
  vocab: number;
  /** Biases of Q, K and V (Qwen2), norms of Q and K (Qwen3), frequency factors (Llama 3). */
  extras: 'biases' | 'norms' | 'factors';
  /** Type of every matrix; absent: the Q4_K_M mix. */
  matrices?: GgmlType;
}

const sizes: Record<string, Sizes> = {
  'llama-3.1-8b': {
    architecture: 'llama',
    layers: 32,
    embd: 4096,
    feedForward: 14336,
    heads: 32,
    kvHeads: 8,
    head: 128,
    vocab: 128256,
    extras: 'factors',
  },
  'llama-3.1-70b': {
    architecture: 'llama',
    layers: 80,
    embd: 8192,
    feedForward: 28672,
    heads: 64,
    kvHeads: 8,
    head: 128,
    vocab: 128256,
    extras: 'factors',
  },
  'qwen3-14b': {
    architecture: 'qwen3',
    layers: 40,
    embd: 5120,
    feedForward: 17408,
    heads: 40,
    kvHeads: 8,
    head: 128,
    vocab: 151936,
    extras: 'norms',
    matrices: 'f16',
  },
};

export function model(name: string): GgufModel {
  const s = sizes[name]!;
  const tensors: GgufTensor[] = [];
  const add = (tensor: string, type: GgmlType, ...ne: number[]) =>
    tensors.push({ name: tensor, ne, type: type === 'f32' ? type : (s.matrices ?? type) });
  add('token_embd.weight', 'q4_k', s.embd, s.vocab);
  add('output_norm.weight', 'f32', s.embd);
  add('output.weight', 'q6_k', s.embd, s.vocab);
  if (s.extras === 'factors') add('rope_freqs.weight', 'f32', s.head / 2);
  const [q, kv] = [s.heads * s.head, s.kvHeads * s.head];
  for (let i = 0; i < s.layers; i++) {
    const eighth = Math.trunc(s.layers / 8);
    const more = i < eighth || i >= Math.trunc((7 * s.layers) / 8) || (i - eighth) % 3 === 2;
    const blk = (part: string, type: GgmlType, ...ne: number[]) => add(`blk.${i}.${part}`, type, ...ne);
    blk('attn_norm.weight', 'f32', s.embd);
    blk('ffn_norm.weight', 'f32', s.embd);
    blk('attn_q.weight', 'q4_k', s.embd, q);
    blk('attn_k.weight', 'q4_k', s.embd, kv);
    blk('attn_v.weight', more ? 'q6_k' : 'q4_k', s.embd, kv);
    blk('attn_output.weight', 'q4_k', q, s.embd);
    blk('ffn_gate.weight', 'q4_k', s.embd, s.feedForward);
    blk('ffn_up.weight', 'q4_k', s.embd, s.feedForward);
    blk('ffn_down.weight', more ? 'q6_k' : 'q4_k', s.feedForward, s.embd);
    if (s.extras === 'norms') for (const n of ['q', 'k']) blk(`attn_${n}_norm.weight`, 'f32', s.head);
    if (s.extras === 'biases') for (const n of ['q', 'k', 'v']) blk(`attn_${n}.bias`, 'f32', n === 'q' ? q : kv);
  }
  const metadata = {
    block_count: s.layers,
    context_length: 131072,
    embedding_length: s.embd,
    feed_forward_length: s.feedForward,
    'attention.head_count': s.heads,
    'attention.head_count_kv': s.kvHeads,
    'attention.key_length': s.head,
    'attention.value_length': s.head,
    'rope.dimension_count': s.head,
  };
  return { architecture: s.architecture, metadata, tensors, vocabSize: s.vocab };
}

export interface Run {
  model: string;
  build?: string;
  nCtx: number;
  nUbatch?: number;
  parallel?: number;
  flash?: boolean;
  type?: GgmlType;
  /** Places of the blocks and of the output layer; absent: all on GPU 0. */
  layers?: (blocks: number) => readonly Place[];
  devices?: number;
  noKvOffload?: boolean;
}

/** A unified cache, and logits for as many tokens as sequences. */
export function graphInput(run: Run): GraphInput {
  const { nCtx, nUbatch = 512, parallel = 1, flash = true, type = 'f16', devices = 1 } = run;
  const file = model(run.model);
  const hparams = readHparams(file);
  const layers = run.layers?.(hparams.layers) ?? Array.from({ length: hparams.layers + 1 }, () => 0);
  const context: ContextParams = {
    nCtx,
    nCtxSeq: nCtx,
    nBatch: 2048,
    nUbatch,
    nSeqMax: parallel,
    kvUnified: true,
    nStream: 1,
    flashAttn: flash,
    transposedV: !flash,
    typeK: type,
    typeV: type,
    offloadKqv: !run.noKvOffload,
    opOffload: true,
    swaFull: false,
    embeddings: false,
    causal: true,
    nOutputsMax: parallel,
  };
  const blocks = Array.from({ length: hparams.layers }, (_, layer) => layer);
  const cached = blocks.map((layer) => ({
    layer,
    place: run.noKvOffload ? ('cpu' as const) : layers[layer]!,
    keyBytes: 0,
    valueBytes: 0,
  }));
  return {
    model: file,
    hparams,
    context,
    placement: {
      devices,
      layers,
      tiedOutput: undefined,
      full: layers.every((place) => place !== 'cpu'),
      tensorPlace: ({ name }) => {
        const block = /^blk\.(\d+)\./.exec(name);
        if (block) return layers[Number(block[1])]!;
        return name.startsWith('output') ? layers[hparams.layers]! : 'cpu';
      },
    },
    caches: [{ kind: 'full', cells: nCtx, streams: 1, layers: cached }],
    rules: loadLlamaRules(buildNumber(run.build ?? 'v0.5.0')!),
  };
}
