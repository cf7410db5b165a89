// Tensors of a compute graph as llama.cpp's ggml describes them: an operation, dimensions and strides, sources, and whether the data
// is a view of another tensor's. Nothing is computed; only what decides places and bytes is kept. Law: ggml/src/ggml.c.
import { type GgmlType, ggmlTypes } from '../../../spec/ggml-types.ts';
import type { Place } from '../types.ts';

export type Op =
  | 'none'
  | 'view'
  | 'reshape'
  | 'permute'
  | 'transpose'
  | 'dup'
  | 'add'
  | 'add_id'
  | 'sub'
  | 'mul'
  | 'div'
  | 'sqr'
  | 'sqrt'
  | 'log'
  | 'sum'
  | 'sum_rows'
  | 'mean'
  | 'argmax'
  | 'arange'
  | 'repeat'
  | 'concat'
  | 'norm'
  | 'rms_norm'
  | 'group_norm'
  | 'l2_norm'
  | 'mul_mat'
  | 'mul_mat_id'
  | 'out_prod'
  | 'scale'
  | 'set'
  | 'cpy'
  | 'cont'
  | 'get_rows'
  | 'set_rows'
  | 'diag'
  | 'diag_mask_inf'
  | 'soft_max'
  | 'rope'
  | 'rope_back'
  | 'clamp'
  | 'pad'
  | 'roll'
  | 'fill'
  | 'tri'
  | 'cumsum'
  | 'solve_tri'
  | 'argsort'
  | 'top_k'
  | 'flash_attn_ext'
  | 'lightning_indexer'
  | 'dsv4_hc_comb'
  | 'dsv4_hc_pre'
  | 'dsv4_hc_post'
  | 'ssm_conv'
  | 'ssm_scan'
  | 'gated_delta_net'
  | 'gated_linear_attn'
  | 'rwkv_wkv6'
  | 'rwkv_wkv7'
  | 'im2col'
  | 'upscale'
  | 'pool_2d'
  | 'unary'
  | 'glu'
  | 'custom';

/** Dimensions, the row length first, or strides in bytes. */
export type Quad = readonly [number, number, number, number];

export interface GraphTensor {
  /** Position among all tensors of its graph. */
  readonly id: number;
  readonly op: Op;
  readonly type: GgmlType;
  readonly ne: Quad;
  readonly nb: Quad;
  /** Operands; the scheduler puts copies in their place. */
  readonly src: GraphTensor[];
  /** The tensor whose data this one shows, never itself a view. */
  readonly viewSrc: GraphTensor | undefined;
  readonly viewOffset: number;
  /** The name of a unary or gated operation, and what else of an operation's parameters decides which backends can run it. */
  readonly variant: string | undefined;
  /** Set before the graph runs; its memory is taken first. */
  input: boolean;
  /** Read after the graph ran; its memory is never given back. */
  output: boolean;
  /** Where the data of a weight or a cache lies; undefined: in a compute buffer. */
  place: Place | undefined;
  /** A model's weight: operations prefer its backend. */
  weight: boolean;
  /** The backend it runs on or lies in; -1: not decided. */
  backend: number;
  visited: boolean;
}

export interface TensorParts {
  op?: Op;
  type: GgmlType;
  ne: Quad;
  nb?: Quad;
  src?: GraphTensor[];
  viewSrc?: GraphTensor;
  viewOffset?: number;
  variant?: string;
}

/** Strides of a tensor without gaps. */
export function contiguousStrides(type: GgmlType, ne: Quad): Quad {
  const { block, bytes } = ggmlTypes[type];
  const row = bytes * Math.trunc(ne[0] / block);
  return [bytes, row, row * ne[1], row * ne[1] * ne[2]];
}

export const elements = (t: GraphTensor): number => t.ne[0] * t.ne[1] * t.ne[2] * t.ne[3];

/** Bytes from the first to the last element (ggml_nbytes). */
export function tensorSpan(t: GraphTensor): number {
  const { ne, nb } = t;
  if (ne[0] === 0 || ne[1] === 0 || ne[2] === 0 || ne[3] === 0) return 0;
  const { block, bytes } = ggmlTypes[t.type];
  const row = block === 1 ? bytes + (ne[0] - 1) * nb[0] : (ne[0] * nb[0]) / block;
  return row + (ne[1] - 1) * nb[1] + (ne[2] - 1) * nb[2] + (ne[3] - 1) * nb[3];
}

export const sameQuad = (a: Quad, b: Quad): boolean => a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];

/** The same type, dimensions and strides (ggml_are_same_layout). */
export const sameLayout = (a: GraphTensor, b: GraphTensor): boolean =>
  a.type === b.type && sameQuad(a.ne, b.ne) && sameQuad(a.nb, b.nb);

/** No gaps and no permutation among the dimensions above `from` (ggml_is_contiguous_n). */
export function isContiguous(t: GraphTensor, from = 0): boolean {
  const { block, bytes } = ggmlTypes[t.type];
  if (t.ne[0] !== block && t.nb[0] !== bytes) return false;
  let next = bytes * (t.ne[0] / block);
  for (let i = 1; i < 4; i++) {
    if (i > from) {
      if (t.ne[i] !== 1 && t.nb[i] !== next) return false;
      next *= t.ne[i]!;
    } else {
      next = t.ne[i]! * t.nb[i]!;
    }
  }
  return true;
}

/** Every row is without gaps (ggml_is_contiguous_rows). */
export const hasContiguousRows = (t: GraphTensor): boolean =>
  t.ne[0] === ggmlTypes[t.type].block || t.nb[0] === ggmlTypes[t.type].bytes;

export const isTransposed = (t: GraphTensor): boolean => t.nb[0] > t.nb[1];

/** Operations that only look at their source's data in another shape (ggml_is_view_op). */
export const isViewOp = (op: Op): boolean =>
  op === 'view' || op === 'reshape' || op === 'permute' || op === 'transpose';

/** All tensors of one graph, and the order in which they run. */
export class Graph {
  readonly tensors: GraphTensor[] = [];
  /** Operations in order. */
  readonly nodes: GraphTensor[] = [];
  /** Weights, caches and inputs in the order in which operations first read them. */
  readonly leafs: GraphTensor[] = [];
  /** Weights in a form that the CPU alone reads. */
  readonly hostOnly = new Set<GraphTensor>();

  tensor(parts: TensorParts): GraphTensor {
    const base = parts.viewSrc?.viewSrc;
    const created: GraphTensor = {
      id: this.tensors.length,
      op: parts.op ?? 'none',
      type: parts.type,
      ne: parts.ne,
      nb: parts.nb ?? contiguousStrides(parts.type, parts.ne),
      src: parts.src ?? [],
      viewSrc: base ?? parts.viewSrc,
      viewOffset: (parts.viewOffset ?? 0) + (base ? parts.viewSrc!.viewOffset : 0),
      variant: parts.variant,
      input: false,
      output: false,
      place: undefined,
      weight: false,
      backend: -1,
      visited: false,
    };
    this.tensors.push(created);
    return created;
  }

  /** Adds a tensor after everything that it needs and that is not there yet (ggml_build_forward_expand). */
  expand(tensor: GraphTensor): void {
    if (tensor.visited) return;
    tensor.visited = true;
    for (const source of tensor.src) this.expand(source);
    (tensor.op === 'none' ? this.leafs : this.nodes).push(tensor);
  }
}
