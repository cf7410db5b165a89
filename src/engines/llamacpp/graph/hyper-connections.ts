// Hyper-connections of DeepSeek-V4: four rows run beside each other in place of one residual; a block reads a weighted sum of them, and
// its result is mixed back into all four. Law: src/models/deepseek4.cpp (build_hc_pre, build_hc_post, build_hc_head).
import type { Build } from './build.ts';
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

/** The block's input: the rows' sum by weights that depend on them; and how its result will be mixed back. */
export function enterBlock(b: Build, x: GraphTensor, { fn, scale, base }: Weights): { input: GraphTensor } & Mixing {
  const count = x.ne[1];
  const mixed = mixes(b, x, fn);
  const affine = (from: number, index: number) =>
    b.add(b.mul(columns(b, mixed, count, from), part(b, scale, 1, index)), part(b, base, count, from));
  const weights = b.scale(b.unary('sigmoid', affine(0, 0)));
  const post = b.scale(b.unary('sigmoid', affine(count, 1)));
  const comb = b.tensor({
    op: 'dsv4_hc_comb',
    type: 'f32',
    ne: [count, count, x.ne[2], 1],
    src: [mixed, scale, base],
  });
  const input = b.tensor({ op: 'dsv4_hc_pre', type: 'f32', ne: [x.ne[0], x.ne[2], 1, 1], src: [x, weights] });
  return { input, residual: x, post, comb };
}

/** The rows after the block. */
export function leaveBlock(b: Build, x: GraphTensor, { residual, post, comb }: Mixing): GraphTensor {
  return b.tensor({ op: 'dsv4_hc_post', type: 'f32', ne: residual.ne, src: [x, residual, post, comb] });
}

/** One row of the last four, for the output; it has no operation of its own. */
export function lastRow(b: Build, x: GraphTensor, { fn, scale, base }: Weights): GraphTensor {
  const [embd, count, tokens] = x.ne;
  const weights = b.scale(b.unary('sigmoid', b.add(b.mul(mixes(b, x, fn), scale), base)));
  let sum: GraphTensor | undefined;
  for (let i = 0; i < count; i++) {
    const row = b.view(x, { ne: [embd, tokens], nb: [x.nb[2]], offset: i * x.nb[1] });
    const weight = b.view(weights, { ne: [1, tokens], nb: [weights.nb[1]], offset: i * weights.nb[0] });
    const weighted = b.mul(row, weight);
    sum = sum ? b.add(sum, weighted) : weighted;
  }
  return sum!;
}
