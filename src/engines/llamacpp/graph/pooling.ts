// From the rows of a batch to embeddings: a mean or a single row of each sequence, and a classifier's head.
// Law: src/llama-graph.cpp (build_pooling).
import { GraphAbort } from '../aborts.ts';
import { norm } from './blocks.ts';
import type { Build } from './build.ts';
import { recurrentRules } from './recurrent-rules.ts';
import type { GraphTensor } from './tensor.ts';

/** llama_pooling_type by its number; absent in the file: none. */
const kinds = ['none', 'mean', 'cls', 'last', 'rank'] as const;

export function poolingOf(b: Build): (typeof kinds)[number] {
  const known = recurrentRules(b)['encoder.poolingOf'];
  if (known !== 'all' && !known.includes(b.hp.architecture)) return 'none';
  const stated = b.input.model.metadata.pooling_type;
  return (typeof stated === 'number' ? kinds[stated] : undefined) ?? 'none';
}

/** Ends a graph without logits: the rows are its output. */
export function embeds(b: Build, rows: GraphTensor): void {
  b.embedded = rows;
  rows.output = b.rules.marksOutputs;
  b.expand(rows);
}

/** For embeddings, what is pooled of a finished graph's rows, and the projections that follow it. */
export function poolEmbeddings(b: Build): void {
  if (!b.context.embeddings || !b.embedded) return;
  const t = projected(b, pool(b, b.embedded));
  t.output = b.rules.marksOutputs;
  b.expand(t);
}

/** Projections of files that were converted with their Sentence Transformers modules (build_dense_out). */
function projected(b: Build, x: GraphTensor): GraphTensor {
  const [second, third] = [b.optional('dense_2.weight'), b.optional('dense_3.weight')];
  if (!second && !third) return x;
  b.expand(x);
  let t = second ? plus(b, b.mulMat(second, x), 'dense_2.bias') : x;
  if (third) t = b.mulMat(third, t);
  return t;
}

function pool(b: Build, rows: GraphTensor): GraphTensor {
  const meansFirst = b.hp.architecture === 'modern-bert';
  switch (poolingOf(b)) {
    case 'none':
      return rows;
    case 'mean':
      return mean(b, rows);
    case 'cls':
    case 'last':
      return chosen(b, rows);
    case 'rank':
      return classified(b, meansFirst ? mean(b, rows) : chosen(b, rows));
  }
}

function mean(b: Build, rows: GraphTensor): GraphTensor {
  const { tokens } = b.batch;
  // Of a batch rounded up to whole sequences only the tokens asked for have rows (graph_reserve).
  if (rows.ne[1] !== tokens) throw new GraphAbort('GGML_ASSERT(ggml_can_mul_mat(a, b)) failed');
  return b.mulMat(b.cont(b.transpose(rows)), b.inputTensor('f32', tokens, embeddings(b)));
}

function chosen(b: Build, rows: GraphTensor): GraphTensor {
  return b.getRows(rows, b.inputTensor('i32', embeddings(b)));
}

/** Embeddings that a batch has room for. */
function embeddings(b: Build): number {
  return recurrentRules(b)['encoder.pools'] === 'tokens' ? b.batch.tokens : b.batch.sequences;
}

function classified(b: Build, x: GraphTensor): GraphTensor {
  const { architecture } = b.hp;
  let t = x;
  const dense = b.optional('cls.weight');
  if (dense) {
    t = plus(b, b.mulMat(dense, t), 'cls.bias');
    t = b.unary(architecture === 'modern-bert' ? 'gelu' : 'tanh', t);
    const weight = b.optional('cls.norm.weight');
    if (weight) t = norm(b, t, { weight, kind: 'layer', layer: -1 });
  }
  const out = b.optional('cls.output.weight');
  if (out) t = plus(b, b.mulMat(out, t), 'cls.output.bias');
  return architecture === 'qwen3' || architecture === 'qwen3vl' ? b.softMax(t) : t;
}

function plus(b: Build, x: GraphTensor, name: string): GraphTensor {
  const bias = b.optional(name);
  return bias ? b.add(x, bias) : x;
}
