// Tensors that the CUDA backend keeps longer than the graph needs them, because it computes several operations of a mixture of
// experts in one kernel: the routing, and the weighted sum of the experts' results.
// Law: ggml/src/ggml-cuda/ggml-cuda.cu (ggml_backend_cuda_graph_optimize, ggml_cuda_topk_moe_fusion).
import type { SchedulerInput } from './scheduler.ts';
import { type Graph, type GraphTensor, isContiguous, type Op, sameQuad } from './tensor.ts';

/** By the id of the node until which they are kept. */
export type KeptTensors = ReadonlyMap<number, GraphTensor[]>;

/** Weighted sums of more experts are not fused. */
const mostFusedExperts = 15;

export interface SplitRange {
  backend: number;
  start: number;
  end: number;
}

export function keptForFusion(graph: Graph, splits: readonly SplitRange[], input: SchedulerInput): KeptTensors {
  const kept = new Map<number, GraphTensor[]>();
  if (!input.rules.keepsFused) return kept;
  const fuser = new Fuser(graph, kept);
  for (const split of splits) if (split.backend < input.devices) fuser.search(split);
  return kept;
}

interface Reduction {
  kept: GraphTensor[];
  until: GraphTensor;
  nodes: number;
}

class Fuser {
  private readonly uses: Int32Array;

  constructor(
    private readonly graph: Graph,
    private readonly kept: Map<number, GraphTensor[]>,
  ) {
    this.uses = new Int32Array(graph.tensors.length);
    for (const node of graph.nodes) for (const source of node.src) this.uses[source.id]!++;
  }

  search({ start, end }: SplitRange): void {
    const { nodes } = this.graph;
    for (let i = start; i < end; i++) {
      const reduction = this.reduction(i, end);
      if (reduction) {
        for (const t of reduction.kept) this.keep(t, reduction.until);
        i += reduction.nodes - 1;
      }
      const { op } = nodes[i]!;
      if (op !== 'unary' && op !== 'soft_max') continue;
      const count = this.routing(i, end);
      const until = nodes[i + count];
      if (count === 0 || !until) continue;
      for (let n = i; n < i + count; n++) {
        this.keep(nodes[n]!, until);
        for (const source of nodes[n]!.src) this.keep(source, until);
      }
      i += count - 1;
    }
  }

  private keep(t: GraphTensor, until: GraphTensor): void {
    const list = this.kept.get(until.id);
    if (!list) this.kept.set(until.id, [t]);
    else if (!list.includes(t)) list.push(t);
  }

  /** experts x weights, perhaps with a scale between, then a view of each expert and their sum. */
  private reduction(at: number, end: number): Reduction | undefined {
    const { nodes } = this.graph;
    const first = nodes[at]!;
    if (first.op !== 'mul' || first.type !== 'f32' || !isContiguous(first)) return undefined;
    let weighted = first;
    let kept: GraphTensor[] | undefined = factors(first);
    let products = 1;
    const second = at + 1 < end ? nodes[at + 1]! : undefined;
    if (second && second.op === 'mul' && second.type === 'f32' && isContiguous(second)) {
      const route = factors(second);
      if (route && route[0] === first && kept) {
        kept = [kept[0]!, route[1]!, kept[1]!];
        weighted = second;
        products = 2;
      }
    }
    if (!kept) return undefined;
    const experts = weighted.ne[1];
    const count = 2 * experts + products - 1;
    if (experts < 2 || experts > mostFusedExperts || at + count > end) return undefined;
    if (!this.sumsViews(at + products, at + count, weighted)) return undefined;
    const last = at + count - 1;
    return this.confined(at, count, [last]) ? { kept, until: nodes[last]!, nodes: count } : undefined;
  }

  private sumsViews(from: number, to: number, weighted: GraphTensor): boolean {
    const { nodes } = this.graph;
    const experts = weighted.ne[1];
    const views: GraphTensor[] = [];
    let sum: GraphTensor | undefined;
    let adds = 0;
    for (let i = from; i < to; i++) {
      const node = nodes[i]!;
      if (node.op === 'view') {
        const ok = node.src[0] === weighted && node.viewSrc === weighted && views.length < experts;
        if (!ok || node.viewOffset !== views.length * weighted.nb[1] || node.nb[1] !== weighted.nb[2]) return false;
        views.push(node);
        continue;
      }
      if (node.op !== 'add' || views.length < 2 || adds + 1 >= views.length) return false;
      if (node.src[0] !== (sum ?? views[0]) || node.src[1] !== views[adds + 1]) return false;
      sum = node;
      adds++;
    }
    return views.length === experts && adds === experts - 1;
  }

  /** Number of nodes of a routing that starts here: activation, choice of experts, their weights. 0: none does. */
  private routing(at: number, end: number): number {
    const { nodes } = this.graph;
    const ops: Op[] = [nodes[at]!.op];
    const follows = (...next: Op[]) =>
      next.every((op, i) => at + ops.length + i < end && nodes[at + ops.length + i]!.op === op);
    const first = nodes[at]!;
    if (first.op === 'unary') {
      if (first.variant === 'softplus' && follows('sqrt')) ops.push('sqrt');
      else if (first.variant !== 'sigmoid') return 0;
    } else if (first.src.length > 1) {
      return 0;
    }
    const biased = follows('reshape', 'add');
    const choice: Op[] = biased
      ? ['reshape', 'add', 'argsort', 'view', 'get_rows']
      : ['reshape', 'argsort', 'view', 'get_rows'];
    if (!follows(...choice)) return 0;
    const probabilities = at + ops.length - 1;
    ops.push(...choice);
    const chosen = at + ops.length - 2;
    const rows = nodes[chosen + 1]!;
    if (rows.src[0] !== nodes[probabilities + 1] || rows.src[1] !== nodes[chosen]) return 0;
    const normalization: Op[] = ['reshape', 'sum_rows', 'clamp', 'div', 'reshape'];
    if (follows(...normalization)) ops.push(...normalization);
    if (follows('scale') && nodes[at + ops.length]!.src[0] === nodes[at + ops.length - 1]) ops.push('scale');
    if (!fusibleExperts(first.ne[0])) return 0;
    return this.confined(at, ops.length, [chosen, at + ops.length - 1]) ? ops.length : 0;
  }

  /** Nothing but the outputs is read from outside these nodes. */
  private confined(at: number, count: number, outputs: readonly number[]): boolean {
    const { nodes } = this.graph;
    const inside = nodes.slice(at, at + count);
    return inside.every((node, i) => {
      if (outputs.includes(at + i)) return true;
      if (node.output || (node.viewSrc && !inside.includes(node.viewSrc) && !node.viewSrc.weight)) return false;
      let within = 0;
      for (let j = i + 1; j < count; j++) for (const source of inside[j]!.src) if (source === node) within++;
      return within === this.uses[node.id];
    });
  }
}

/** The full operand of a product and the one with a single value per row; undefined: not such a product. */
function factors(t: GraphTensor): [GraphTensor, GraphTensor] | undefined {
  const full = (s: GraphTensor) => s.type === 'f32' && isContiguous(s) && sameQuad(s.ne, t.ne);
  const narrow = (s: GraphTensor) =>
    s.type === 'f32' &&
    isContiguous(s) &&
    s.ne[0] === 1 &&
    s.ne[1] === t.ne[1] &&
    s.ne[2] === t.ne[2] &&
    s.ne[3] === t.ne[3];
  const [a, b] = t.src as [GraphTensor, GraphTensor];
  if (full(a) && narrow(b)) return [a, b];
  return full(b) && narrow(a) ? [b, a] : undefined;
}

/** Numbers of experts that the routing kernel exists for. */
function fusibleExperts(experts: number): boolean {
  return experts === 288 || experts === 576 || (experts <= 512 && (experts & (experts - 1)) === 0);
}
