// Hyper-connections of DeepSeek-V4: four rows run beside each other in place of one residual; a block reads a weighted sum of them, and
// its result is mixed back into all four. Law: src/models/deepseek4.cpp (build_hc_pre, build_hc_post, build_hc_head).
import type { Build } from './build.ts';
import { stated } from './serial.ts';
import type { GraphTensor } from './tensor.ts';

/** What a block's end needs of its start. */
export interface Mixing {
  residual: GraphTensor;
  post: GraphTensor;
  comb: GraphTensor;
}

/** The embeddings, once for every row. */
export function startRows(b: Build, x: GraphTensor, count: number): GraphTensor {
  const [embd, tokens] = x.ne;
  return b.repeat(b.reshape(x, embd, 1, tokens), embd, count, tokens);
}

interface Weights {
  fn: GraphTensor;
  scale: GraphTensor;
  base: GraphTensor;
}

const part = (b: Build, t: GraphTensor, count: number, from: number): GraphTensor =>
  b.view(t, { ne: [count], offset: b.rowSize(t.type, from) });

const columns = (b: Build, t: GraphTensor, count: number, from: number): GraphTensor =>
  b.view(t, { ne: [count, t.ne[1]], nb: [t.nb[1]], offset: b.rowSize(t.type, from) });

function mixes(b: Build, x: GraphTensor, fn: GraphTensor): GraphTensor {
  const [embd, count, tokens] = x.ne;
  return b.mulMat(fn, b.rmsNorm(b.reshape(x, embd * count, tokens)));
}

/** Operations that the build has for it; without them it takes many small ones. */
export interface Connecting {
  pre: boolean;
  comb: boolean;
  post: boolean;
}

/** The block's input: the rows' sum by weights that depend on them; and how its result will be mixed back. */
export function enterBlock(
  b: Build,
  x: GraphTensor,
  { fn, scale, base }: Weights,
  fused: Connecting,
): { input: GraphTensor } & Mixing {
  const count = x.ne[1];
  const mixed = mixes(b, x, fn);
  const affine = (width: number, from: number, index: number) =>
    b.add(b.mul(columns(b, mixed, width, from), part(b, scale, 1, index)), part(b, base, width, from));
  const weights = b.scale(b.unary('sigmoid', affine(count, 0, 0)));
  const post = b.scale(b.unary('sigmoid', affine(count, count, 1)));
  const comb = fused.comb
    ? b.tensor({ op: 'dsv4_hc_comb', type: 'f32', ne: [count, count, x.ne[2], 1], src: [mixed, scale, base] })
    : balanced(b, b.reshape(affine(count * count, 2 * count, 2), count, count, x.ne[2]));
  const input = fused.pre
    ? b.tensor({ op: 'dsv4_hc_pre', type: 'f32', ne: [x.ne[0], x.ne[2], 1, 1], src: [x, weights] })
    : weightedRows(b, x, weights);
  return { input, residual: x, post, comb };
}

/** Rows and columns of each matrix normed by turns (build_hc_sinkhorn). */
function balanced(b: Build, x: GraphTensor): GraphTensor {
  const steps = stated(b, 'hyper_connection.sinkhorn_iterations');
  const least = b.fill(b.tensor({ type: 'f32', ne: [1, 1, 1, 1] }));
  let t = b.add(b.softMax(x), least);
  const columnsNormed = () => {
    const sums = b.add(b.sumRows(b.cont(b.permute(t, 1, 0, 2, 3))), least);
    t = b.div(t, b.permute(sums, 1, 0, 2, 3));
  };
  columnsNormed();
  for (let i = 1; i < steps; i++) {
    t = b.div(t, b.add(b.sumRows(t), least));
    columnsNormed();
  }
  return t;
}

/** The rows' sum (embedding x count x tokens), each by its weight. */
function weightedRows(b: Build, x: GraphTensor, weights: GraphTensor): GraphTensor {
  const [embd, count, tokens] = x.ne;
  let sum: GraphTensor | undefined;
  for (let i = 0; i < count; i++) {
    const row = b.view(x, { ne: [embd, tokens], nb: [x.nb[2]], offset: i * x.nb[1] });
    const weight = b.view(weights, { ne: [1, tokens], nb: [weights.nb[1]], offset: i * weights.nb[0] });
    const weighted = b.mul(row, weight);
    sum = sum ? b.add(sum, weighted) : weighted;
  }
  return sum!;
}

/** The rows after the block. */
export function leaveBlock(b: Build, x: GraphTensor, { residual, post, comb }: Mixing, fused: Connecting): GraphTensor {
  if (fused.post) {
    return b.tensor({ op: 'dsv4_hc_post', type: 'f32', ne: residual.ne, src: [x, residual, post, comb] });
  }
  const [embd, count, tokens] = residual.ne;
  const rows = Array.from({ length: count }, (_, to) => {
    const own = b.view(post, { ne: [1, tokens], nb: [post.nb[1]], offset: to * post.nb[0] });
    let sum = b.mul(x, own);
    for (let from = 0; from < count; from++) {
      const row = b.view(residual, { ne: [embd, tokens], nb: [residual.nb[2]], offset: from * residual.nb[1] });
      const offset = to * comb.nb[0] + from * comb.nb[1];
      sum = b.add(sum, b.mul(row, b.view(comb, { ne: [1, tokens], nb: [comb.nb[2]], offset })));
    }
    return b.reshape(sum, embd, 1, tokens);
  });
  return rows.reduce((all, row) => b.concat(all, row, 1));
}

/** One row of the last four, for the output; it has no operation of its own. */
export function lastRow(b: Build, x: GraphTensor, { fn, scale, base }: Weights): GraphTensor {
  return weightedRows(b, x, b.scale(b.unary('sigmoid', b.add(b.mul(mixes(b, x, fn), scale), base))));
}
