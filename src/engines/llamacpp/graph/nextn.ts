// Blocks of multi-token prediction that draft: the embedding of the token and the last hidden row, each normed, are joined and pass
// through one block and the head. Law: the graph_mtp of src/models/qwen35.cpp, qwen35moe.cpp, qwen3next.cpp, glm4-moe.cpp.
import { attention, cacheInputs } from './attention.ts';
import { inputOutputIds, inputPositions, layerNorm, norm, qkv } from './blocks.ts';
import type { Build, GraphBuilder } from './build.ts';
import { leadingDense } from './experts.ts';
import { perhapsNormed } from './glm-moe.ts';
import { gatedAttention, network as qwenNetwork } from './qwen35.ts';
import type { At } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

interface Drafter {
  attend(at: At, x: GraphTensor, inputs: Parameters<typeof attention>[1]['inputs']): GraphTensor;
  network(at: At, x: GraphTensor): GraphTensor;
  /** Rows are taken after attention; else before the logits. */
  gathersEarly?: boolean;
}

/** Embeddings of the tokens beside the hidden rows that the last batch left, as wide as one row again. */
function joined(b: Build, layer: number): GraphTensor {
  const { tokens } = b.batch;
  const ids = b.inputTensor('i32', tokens);
  const table = b.layerOptional(layer, 'nextn.embed_tokens.weight') ?? b.weight('token_embd.weight');
  const embedded = b.getRows(table, ids);
  const hidden = b.inputTensor('f32', b.hp.embd, tokens);
  const normedHidden = layerNorm(b, hidden, layer, 'nextn.hnorm');
  const normedTokens = layerNorm(b, embedded, layer, 'nextn.enorm');
  return b.mulMat(b.layerWeight(layer, 'nextn.eh_proj.weight'), b.concat(normedTokens, normedHidden, 0));
}

function drafts(b: Build, { attend, network, gathersEarly }: Drafter): void {
  const layer = b.hp.layers - b.hp.nextnLayers;
  const x = joined(b, layer);
  const positions = inputPositions(b);
  const outputs = inputOutputIds(b);
  const inputs = cacheInputs(b)!;
  const at = { b, layer, positions };
  const rows = (t: GraphTensor, here: boolean): GraphTensor => (outputs && here ? b.getRows(t, outputs) : t);
  const attended = rows(attend(at, layerNorm(b, x, layer, 'attn_norm'), inputs), gathersEarly === true);
  const sum = b.add(attended, rows(x, gathersEarly === true));
  const t = b.add(network(at, layerNorm(b, sum, layer, 'post_attention_norm')), sum);
  const weight = b.layerOptional(layer, 'nextn.shared_head_norm.weight') ?? b.weight('output_norm.weight');
  const normed = norm(b, t, { weight, layer: -1 });
  normed.output = true;
  const head = b.layerOptional(layer, 'nextn.shared_head_head.weight') ?? b.outputWeight();
  const logits = b.mulMat(head, rows(normed, gathersEarly !== true));
  logits.output = b.rules.marksOutputs;
  b.expand(logits);
}

const qwen: Drafter = {
  attend: (at, x, inputs) => gatedAttention(at, x, inputs, false),
  network: ({ b, layer }, x) => qwenNetwork(b, x, layer),
};

const glm: Drafter = {
  attend: (at, x, inputs) => attention(at.b, { inputs, layer: at.layer, ...perhapsNormed(at, qkv(at.b, x, at.layer)) }),
  network: (at, x) => leadingDense(at, x),
};

/** By general.architecture. */
export const draftingBuilders: Readonly<Record<string, GraphBuilder>> = {
  qwen35: (b) => drafts(b, qwen),
  qwen35moe: (b) => drafts(b, qwen),
  qwen3next: (b) => drafts(b, { ...qwen, gathersEarly: true }),
  glm4moe: (b) => drafts(b, glm),
};
