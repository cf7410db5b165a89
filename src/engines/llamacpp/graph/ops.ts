// The operations that llama.cpp's graphs are built of: dimensions and type of each result, and whether it is a view. Names and
// argument order are ggml's. Law: ggml/src/ggml.c.
import { assert } from '../../../assert.ts';
import { type GgmlType, ggmlTypes } from '../../../spec/ggml-types.ts';
import { elements, Graph, type GraphTensor, isContiguous, type Op, type Quad } from './tensor.ts';

/** ggml_row_size; a type's blocks are rounded as C divides. */
const rowSize = (type: GgmlType, values: number): number =>
  Math.trunc((ggmlTypes[type].bytes * values) / ggmlTypes[type].block);

export interface ViewShape {
  ne: readonly number[];
  /** Strides of the second and later dimensions; undefined: without gaps. */
  nb?: readonly number[];
  offset?: number;
}

function quad(ne: readonly number[]): Quad {
  return [ne[0]!, ne[1] ?? 1, ne[2] ?? 1, ne[3] ?? 1];
}

export class GraphOps extends Graph {
  /** A tensor that is set before the graph runs. */
  inputTensor(type: GgmlType, ...ne: number[]): GraphTensor {
    const t = this.tensor({ type, ne: quad(ne) });
    t.input = true;
    return t;
  }

  rowSize(type: GgmlType, values: number): number {
    return rowSize(type, values);
  }

  isPlain(a: GraphTensor): boolean {
    return isContiguous(a);
  }

  /** A result of its first operand's type and dimensions. */
  private like(op: Op, src: GraphTensor[], variant?: string): GraphTensor {
    return this.tensor({ op, type: src[0]!.type, ne: src[0]!.ne, src, variant });
  }

  // Views.

  /** ggml_view_1d to ggml_view_4d. */
  view(a: GraphTensor, { ne, nb = [], offset = 0 }: ViewShape): GraphTensor {
    const q = quad(ne);
    const nb0 = ggmlTypes[a.type].bytes;
    const nb1 = nb[0] ?? rowSize(a.type, q[0]);
    const nb2 = nb[1] ?? nb1 * q[1];
    const nb3 = nb[2] ?? nb2 * q[2];
    return this.tensor({
      op: 'view',
      type: a.type,
      ne: q,
      nb: [nb0, nb1, nb2, nb3],
      src: [a],
      viewSrc: a,
      viewOffset: offset,
    });
  }

  reshape(a: GraphTensor, ...ne: number[]): GraphTensor {
    const q = quad(ne);
    assert(q[0] * q[1] * q[2] * q[3] === elements(a), `reshape of ${a.ne.join('x')} to ${ne.join('x')}`);
    return this.tensor({ op: 'reshape', type: a.type, ne: q, src: [a], viewSrc: a });
  }

  /** Dimension i of `a` becomes dimension axes[i]. */
  permute(a: GraphTensor, ...axes: [number, number, number, number]): GraphTensor {
    const ne: [number, number, number, number] = [1, 1, 1, 1];
    const nb: [number, number, number, number] = [0, 0, 0, 0];
    for (let i = 0; i < 4; i++) {
      ne[axes[i]!] = a.ne[i]!;
      nb[axes[i]!] = a.nb[i]!;
    }
    return this.tensor({ op: 'permute', type: a.type, ne, nb, src: [a], viewSrc: a });
  }

  transpose(a: GraphTensor): GraphTensor {
    return this.tensor({
      op: 'transpose',
      type: a.type,
      ne: [a.ne[1], a.ne[0], a.ne[2], a.ne[3]],
      nb: [a.nb[1], a.nb[0], a.nb[2], a.nb[3]],
      src: [a],
      viewSrc: a,
    });
  }

  // Results of the first operand's layout.

  add = (a: GraphTensor, b: GraphTensor): GraphTensor => this.like('add', [a, b]);
  sub = (a: GraphTensor, b: GraphTensor): GraphTensor => this.like('sub', [a, b]);
  mul = (a: GraphTensor, b: GraphTensor): GraphTensor => this.like('mul', [a, b]);
  div = (a: GraphTensor, b: GraphTensor): GraphTensor => this.like('div', [a, b]);
  addId = (a: GraphTensor, b: GraphTensor, ids: GraphTensor): GraphTensor => this.like('add_id', [a, b, ids]);
  sqr = (a: GraphTensor): GraphTensor => this.like('sqr', [a]);
  sqrt = (a: GraphTensor): GraphTensor => this.like('sqrt', [a]);
  scale = (a: GraphTensor): GraphTensor => this.like('scale', [a]);
  norm = (a: GraphTensor): GraphTensor => this.like('norm', [a]);
  rmsNorm = (a: GraphTensor): GraphTensor => this.like('rms_norm', [a]);
  groupNorm = (a: GraphTensor): GraphTensor => this.like('group_norm', [a]);
  l2Norm = (a: GraphTensor): GraphTensor => this.like('l2_norm', [a]);
  /** silu, gelu, relu, sigmoid, tanh, softplus, exp, neg, ... */
  unary = (name: string, a: GraphTensor): GraphTensor => this.like('unary', [a], name);
  cumsum = (a: GraphTensor): GraphTensor => this.like('cumsum', [a]);
  fill = (a: GraphTensor): GraphTensor => this.like('fill', [a]);
  tri = (a: GraphTensor): GraphTensor => this.like('tri', [a]);

  rope(a: GraphTensor, positions: GraphTensor, factors?: GraphTensor): GraphTensor {
    return this.like('rope', factors ? [a, positions, factors] : [a, positions]);
  }

  /** A rotation undone. */
  ropeBack = (a: GraphTensor, positions: GraphTensor): GraphTensor => this.like('rope_back', [a, positions]);

  softMax(a: GraphTensor, mask?: GraphTensor, sinks?: GraphTensor): GraphTensor {
    const src = [a];
    if (mask) src.push(mask);
    if (sinks) src.push(sinks);
    return this.like('soft_max', src);
  }

  /** An operation that writes into its first operand. */
  viewLike(op: Op, a: GraphTensor, src: GraphTensor[] = [a]): GraphTensor {
    return this.tensor({ op, type: a.type, ne: a.ne, nb: a.nb, src, viewSrc: a });
  }

  // Results of other dimensions.

  /** F32, columns of `a` by columns of `b`. */
  mulMat(a: GraphTensor, b: GraphTensor): GraphTensor {
    assert(a.ne[0] === b.ne[0], `product of rows of ${a.ne[0]} and ${b.ne[0]}`);
    return this.tensor({ op: 'mul_mat', type: 'f32', ne: [a.ne[1], b.ne[1], b.ne[2], b.ne[3]], src: [a, b] });
  }

  /** `whole`: the second operand is to be read in F32, which CUDA does not do. */
  mulMatId(experts: GraphTensor, b: GraphTensor, ids: GraphTensor, whole = false): GraphTensor {
    return this.tensor({
      op: 'mul_mat_id',
      type: 'f32',
      ne: [experts.ne[1], ids.ne[0], b.ne[2], 1],
      src: [experts, b, ids],
      variant: whole ? 'f32' : undefined,
    });
  }

  /** ggml_cont, or ggml_cont_2d and so on with other dimensions. */
  cont(a: GraphTensor, ...ne: number[]): GraphTensor {
    return this.tensor({ op: 'cont', type: a.type, ne: ne.length > 0 ? quad(ne) : a.ne, src: [a] });
  }

  /** `a` written into `b`; the result is `b`. */
  cpy(a: GraphTensor, b: GraphTensor): GraphTensor {
    return this.tensor({ op: 'cpy', type: b.type, ne: b.ne, nb: b.nb, src: [a, b], viewSrc: b });
  }

  /** A copy of another type; ggml names the result as its own second source. */
  cast(a: GraphTensor, type: GgmlType): GraphTensor {
    const result = this.tensor({ op: 'cpy', type, ne: a.ne, src: [a] });
    result.src.push(result);
    return result;
  }

  /** Rows of `b` written into `a` where `ids` says; the result is `a`. */
  setRows(a: GraphTensor, b: GraphTensor, ids: GraphTensor): GraphTensor {
    return this.viewLike('set_rows', a, [b, ids, a]);
  }

  getRows(a: GraphTensor, ids: GraphTensor): GraphTensor {
    return this.tensor({
      op: 'get_rows',
      type: a.type === 'i32' ? 'i32' : 'f32',
      ne: [a.ne[0], ids.ne[0], ids.ne[1], ids.ne[2]],
      src: [a, ids],
    });
  }

  concat(a: GraphTensor, b: GraphTensor, dim: number): GraphTensor {
    const ne: [number, number, number, number] = [a.ne[0], a.ne[1], a.ne[2], a.ne[3]];
    ne[dim] = a.ne[dim]! + b.ne[dim]!;
    return this.tensor({ op: 'concat', type: a.type, ne, src: [a, b] });
  }

  /** ggml_repeat to the given dimensions. */
  repeat(a: GraphTensor, ...ne: number[]): GraphTensor {
    return this.tensor({ op: 'repeat', type: a.type, ne: quad(ne), src: [a] });
  }

  /** Dimensions grown by zeros. */
  pad(a: GraphTensor, ...by: number[]): GraphTensor {
    const ne: Quad = [a.ne[0] + (by[0] ?? 0), a.ne[1] + (by[1] ?? 0), a.ne[2] + (by[2] ?? 0), a.ne[3] + (by[3] ?? 0)];
    return this.tensor({ op: 'pad', type: a.type, ne, src: [a] });
  }

  /** A gated unit: swiglu, geglu, reglu, swiglu_oai; one operand holds both halves, two are gate and up. */
  glu(name: string, a: GraphTensor, b?: GraphTensor): GraphTensor {
    const ne: Quad = b ? a.ne : [Math.trunc(a.ne[0] / 2), a.ne[1], a.ne[2], a.ne[3]];
    return this.tensor({ op: 'glu', type: a.type, ne, src: b ? [a, b] : [a], variant: name });
  }

  argsort(a: GraphTensor): GraphTensor {
    return this.tensor({ op: 'argsort', type: 'i32', ne: a.ne, src: [a] });
  }

  /** The places of the largest values of a row. */
  topK(a: GraphTensor, k: number): GraphTensor {
    return this.tensor({ op: 'top_k', type: 'i32', ne: [k, a.ne[1], a.ne[2], a.ne[3]], src: [a] });
  }

  /** Scores of all cached keys for every query, summed over the weighted heads. */
  lightningIndexer(x: { q: GraphTensor; k: GraphTensor; weights: GraphTensor; mask: GraphTensor }): GraphTensor {
    const { q, k, weights, mask } = x;
    const ne: Quad = [k.ne[2], q.ne[2], 1, q.ne[3]];
    return this.tensor({ op: 'lightning_indexer', type: 'f32', ne, src: [q, k, weights, mask] });
  }

  sumRows(a: GraphTensor): GraphTensor {
    return this.tensor({ op: 'sum_rows', type: a.type, ne: [1, a.ne[1], a.ne[2], a.ne[3]], src: [a] });
  }

  mean(a: GraphTensor): GraphTensor {
    return this.tensor({ op: 'mean', type: 'f32', ne: [1, a.ne[1], a.ne[2], a.ne[3]], src: [a] });
  }

  /** A convolution along the tokens; the first operand holds the tail of the tokens before, too. */
  ssmConv(x: GraphTensor, kernel: GraphTensor, variant?: string): GraphTensor {
    const ne: Quad = [kernel.ne[1], x.ne[0] - kernel.ne[0] + 1, x.ne[2], 1];
    return this.tensor({ op: 'ssm_conv', type: 'f32', ne, src: [x, kernel], variant });
  }

  /** Operands: states, x, dt, A, B, C, and rows unless all states are read. Results and, behind them, the new states. */
  ssmScan(src: GraphTensor[], { variant, states: kept = 1 }: { variant?: string; states?: number } = {}): GraphTensor {
    const [states, x, , , , , rows] = src as [GraphTensor, GraphTensor, ...GraphTensor[]];
    const state = states.ne[0] * states.ne[1] * states.ne[2] * (rows ? rows.ne[0] : states.ne[3]);
    return this.tensor({ op: 'ssm_scan', type: 'f32', ne: [elements(x) + kept * state, 1, 1, 1], src, variant });
  }

  /** Operands: q, k, v, g, beta, states. Rows of results and, behind them, the new states. */
  gatedDeltaNet(src: GraphTensor[], states = 1): GraphTensor {
    const { ne } = src[2]!;
    const rows = ne[2] * ne[3] + states * ne[0] * ne[3];
    return this.tensor({ op: 'gated_delta_net', type: 'f32', ne: [ne[0] * ne[1], rows, 1, 1], src });
  }

  /** RWKV's and gated linear attention: a row of results for each token and, behind them, the new states. The last operand is the state. */
  stateAttention(op: 'rwkv_wkv6' | 'rwkv_wkv7' | 'gated_linear_attn', src: GraphTensor[]): GraphTensor {
    const { ne } = op === 'rwkv_wkv7' ? src[2]! : src[0]!;
    const rows = ne[2] + ne[0] * src.at(-1)!.ne[1];
    return this.tensor({ op, type: 'f32', ne: [ne[0] * ne[1], rows, 1, 1], src });
  }

  /** A square matrix with these values on its diagonal. */
  diag(a: GraphTensor): GraphTensor {
    return this.tensor({ op: 'diag', type: a.type, ne: [a.ne[0], a.ne[0], a.ne[2], a.ne[3]], src: [a] });
  }

  solveTri(a: GraphTensor, b: GraphTensor): GraphTensor {
    return this.tensor({ op: 'solve_tri', type: 'f32', ne: b.ne, src: [a, b] });
  }

  /** Patches of a picture as rows, for a kernel that is as wide as its steps (ggml_im2col without padding). */
  im2col(kernel: GraphTensor, picture: GraphTensor, side: number, type: GgmlType): GraphTensor {
    const [width, height, channels, batch] = picture.ne;
    const out = (n: number): number => Math.trunc((n - side) / side) + 1;
    const ne: Quad = [channels * side * side, out(width), out(height), batch];
    return this.tensor({ op: 'im2col', type, ne, src: [kernel, picture] });
  }

  /** ggml_conv_2d with steps as wide as the kernel. */
  conv2d(kernel: GraphTensor, picture: GraphTensor, side: number): GraphTensor {
    const columns = this.im2col(kernel, picture, side, kernel.type === 'bf16' ? 'f32' : 'f16');
    const [, width, height, batch] = columns.ne;
    const out = kernel.ne[3];
    const product = this.mulMat(
      this.reshape(columns, columns.ne[0], width * height * batch),
      this.reshape(kernel, elements(kernel) / out, out),
    );
    return this.cont(this.permute(this.reshape(product, width, height, batch, out), 0, 1, 3, 2));
  }

  /** Mean of squares of `side` by `side`. */
  averagePool(a: GraphTensor, side: number): GraphTensor {
    const out = (n: number): number => Math.trunc((n - side) / side) + 1;
    return this.tensor({ op: 'pool_2d', type: 'f32', ne: [out(a.ne[0]), out(a.ne[1]), a.ne[2], a.ne[3]], src: [a] });
  }

  interpolate(a: GraphTensor, ...ne: number[]): GraphTensor {
    return this.tensor({ op: 'upscale', type: a.type, ne: quad(ne), src: [a] });
  }

  flashAttention(parts: {
    q: GraphTensor;
    k: GraphTensor;
    v: GraphTensor;
    mask?: GraphTensor;
    sinks?: GraphTensor;
    /** ALiBi slopes. */
    alibi?: boolean;
  }): GraphTensor {
    const { q, k, v, mask, sinks, alibi } = parts;
    const src = [q, k, v];
    if (mask) src.push(mask);
    if (sinks) src.push(sinks);
    return this.tensor({
      op: 'flash_attn_ext',
      type: 'f32',
      ne: [v.ne[0], q.ne[2], q.ne[1], q.ne[3]],
      src,
      variant: alibi ? 'alibi' : undefined,
    });
  }
}
