// ggml's backend scheduler: which backend runs each operation, where the graph is cut into splits, and which tensors are copied from
// one backend to another at the start of a split. Backends are the GPUs in order and, last, the CPU.
// Law: ggml/src/ggml-backend.cpp (ggml_backend_sched_split_graph).
import { assert } from '../../../assert.ts';
import { GraphAbort } from '../aborts.ts';
import { cudaSupports, offloads } from './cuda.ts';
import { keptForFusion } from './dependencies.ts';
import type { GraphRules } from './rules.ts';
import { type Graph, type GraphTensor, isViewOp } from './tensor.ts';

export interface SchedulerInput {
  graph: Graph;
  /** GPUs. */
  devices: number;
  /** Copies of every input of a split: 4 with pipeline parallelism, else 1. */
  copies: number;
  /** Operations of host weights may move to a GPU. */
  opOffload: boolean;
  rules: GraphRules;
}

/** What the graph allocator replays. */
export interface Schedule {
  nodes: GraphTensor[];
  nodeBackends: number[];
  leafs: GraphTensor[];
  leafBackends: number[];
  splits: number;
}

interface Split {
  backend: number;
  start: number;
  end: number;
  inputs: GraphTensor[];
  /** Inputs that it takes before an operation with further ones starts another split; 0: no limit. */
  capacity: number;
}

export function schedule(input: SchedulerInput): Schedule {
  const run = new Scheduler(input);
  run.assignByData();
  run.expandAll();
  run.assignRest();
  run.split();
  return run.result();
}

class Scheduler {
  private readonly graph: Graph;
  private readonly cpu: number;
  private readonly splits: Split[] = [];
  /** Copies by tensor and backend. */
  private readonly copiesOf = new Map<number, GraphTensor[]>();
  private readonly graphInputs: GraphTensor[] = [];

  constructor(private readonly input: SchedulerInput) {
    this.graph = input.graph;
    this.cpu = input.devices;
  }

  private supports(backend: number, t: GraphTensor): boolean {
    if (backend !== this.cpu) return cudaSupports(t, backend, this.input.rules);
    return isViewOp(t.op) || this.input.rules.cpuReadsDevices || !t.src.some(({ place }) => typeof place === 'number');
  }

  /** The backend of data that lies somewhere already, if it can run the operation there. */
  private backendOfData(data: GraphTensor, op: GraphTensor): number {
    const place = (data.viewSrc ?? data).place;
    if (place === undefined) return -1;
    const backend = place === 'cpu' ? this.cpu : place;
    return this.supports(backend, op) ? backend : -1;
  }

  /** Where a tensor's own data, its being an input or its weights want it. */
  private wanted(t: GraphTensor): number {
    const own = this.backendOfData(t, t);
    if (own !== -1) return own;
    assert((t.viewSrc ?? t).place === undefined, `no backend runs ${t.op} where its data lies`);
    if (t.input) return this.cpu;
    // Their small weights (frequency factors, sinks) do not choose a backend.
    if (t.op === 'rope' || (t.op === 'flash_attn_ext' && !this.input.rules.sinksChoose)) return -1;
    for (const source of t.src) {
      if (!source.weight) continue;
      const backend = this.backendOfData(source, t);
      if (this.input.opOffload && backend === this.cpu && !this.graph.hostOnly.has(source) && offloads(t)) {
        for (let b = 0; b < this.cpu; b++) if (this.supports(b, t)) return b;
      }
      return backend;
    }
    return -1;
  }

  /** Pass 1. */
  assignByData(): void {
    for (const leaf of this.graph.leafs) if (leaf.backend === -1) leaf.backend = this.wanted(leaf);
    for (const node of this.graph.nodes) if (node.backend === -1) node.backend = this.wanted(node);
  }

  /** Pass 2: neighbours of what is assigned, GPUs before the CPU. */
  expandAll(): void {
    this.expand(true, true);
    this.expand(false, true);
    this.expand(true, false);
    this.expand(false, false);
  }

  private expand(down: boolean, gpuOnly: boolean): void {
    const { nodes } = this.graph;
    let current = -1;
    for (let n = 0; n < nodes.length; n++) {
      const node = nodes[down ? n : nodes.length - 1 - n]!;
      if (isViewOp(node.op)) continue;
      if (node.backend !== -1) current = gpuOnly && node.backend === this.cpu ? -1 : node.backend;
      else if (current !== -1 && this.supports(current, node)) node.backend = current;
    }
  }

  /** Passes 3 and 4: what no neighbour could run goes where most of its sources are; sources follow their readers. */
  assignRest(): void {
    for (const node of this.graph.nodes)
      if (node.backend === -1 && !isViewOp(node.op)) node.backend = this.nearest(node);
    for (const node of this.graph.nodes) {
      if (node.viewSrc && node.backend === -1) node.backend = node.viewSrc.backend;
      for (const source of node.src) {
        if (source.backend === -1) source.backend = source.viewSrc ? source.viewSrc.backend : node.backend;
      }
      for (let b = 0; b <= this.cpu && node.backend === -1; b++) if (this.supports(b, node)) node.backend = b;
    }
  }

  private nearest(node: GraphTensor): number {
    let best = -1;
    let most = -1;
    for (let b = 0; b <= this.cpu; b++) {
      if (!this.supports(b, node)) continue;
      const near = node.src.filter((s) => this.reaches(b, s)).length;
      if (near > most) {
        most = near;
        best = b;
      }
    }
    return best;
  }

  /** Whether the backend reads the tensor where it lies. */
  private reaches(backend: number, t: GraphTensor): boolean {
    const place = (t.viewSrc ?? t).place;
    if (place !== undefined) return (place === 'cpu' ? this.cpu : place) === backend;
    const home = t.backend === -1 && t.viewSrc ? t.viewSrc.backend : t.backend;
    return home === backend;
  }

  /** Pass 5. */
  split(): void {
    const { nodes } = this.graph;
    const capacity = this.input.rules.maxSplitInputs;
    const first = nodes.findIndex((n) => !isViewOp(n.op));
    let split: Split = { backend: nodes[first]!.backend, start: 0, end: 0, inputs: [], capacity };
    this.splits.push(split);
    for (let i = first; i < nodes.length; i++) {
      const node = nodes[i]!;
      if (isViewOp(node.op)) continue;
      if (node.backend !== split.backend || this.startsAnew(node, split)) {
        split.end = i;
        split = { backend: node.backend, start: i, end: 0, inputs: [], capacity };
        this.splits.push(split);
      }
      for (let j = 0; j < node.src.length; j++) this.bring(node, j, split);
    }
    split.end = nodes.length;
  }

  /** A weight to be copied in gets a split of its own, so that the memory of the one before is free again. */
  private startsAnew(node: GraphTensor, split: Split): boolean {
    if (split.inputs.length === 0) return false;
    for (const source of node.src) {
      if (source.weight && source.backend !== split.backend && !this.reaches(split.backend, source)) return true;
      if (split.capacity === 0 || split.inputs.length < split.capacity) continue;
      const missing = !this.copiesOf.has(this.key(source, split.backend));
      if (source.backend !== split.backend && missing && !this.reaches(split.backend, source)) return true;
    }
    return false;
  }

  private key(t: GraphTensor, backend: number): number {
    return t.id * (this.cpu + 1) + backend;
  }

  /** Makes the node's source reachable for the split's backend. */
  private bring(node: GraphTensor, j: number, split: Split): void {
    const source = node.src[j]!;
    if (source.input && this.input.copies > 1) this.copyInput(source);
    if (source.backend === split.backend || this.reaches(split.backend, source)) return;
    const key = this.key(source, split.backend);
    let copies = this.copiesOf.get(key);
    if (!copies) {
      copies = Array.from({ length: this.input.copies }, () => this.duplicate(source));
      this.copiesOf.set(key, copies);
      // An operation with several new inputs can bring more than there is room for.
      if (!this.input.rules.splitInputsGrow && split.capacity > 0 && split.inputs.length >= split.capacity) {
        throw new GraphAbort('GGML_ASSERT(split->n_inputs < GGML_SCHED_MAX_SPLIT_INPUTS) failed');
      }
      split.inputs.push(source);
      if (this.input.rules.splitInputsGrow && split.inputs.length > split.capacity) split.capacity *= 2;
    }
    node.src[j] = copies[0]!;
  }

  /** With pipeline parallelism the graph's inputs exist several times, too; the first is the tensor itself. */
  private copyInput(source: GraphTensor): void {
    const key = this.key(source, source.backend);
    if (this.copiesOf.has(key)) return;
    const copies = Array.from({ length: this.input.copies }, (_, c) => (c === 0 ? source : this.duplicate(source)));
    source.output = true;
    this.copiesOf.set(key, copies);
    this.graphInputs.push(source);
  }

  private duplicate(source: GraphTensor): GraphTensor {
    const copy = this.graph.tensor({ type: source.type, ne: source.ne, nb: source.nb });
    if (this.input.copies > 1) {
      copy.input = true;
      copy.output = true;
    }
    return copy;
  }

  result(): Schedule {
    const result: Schedule = { nodes: [], nodeBackends: [], leafs: [], leafBackends: [], splits: this.splits.length };
    const keep = keptForFusion(this.graph, this.splits, this.input);
    for (const split of this.splits) this.appendSplit(split, result, keep);
    if (this.input.copies > 1) {
      for (const t of this.graphInputs) this.appendCopies(t, t.backend, result);
      for (const split of this.splits) for (const t of split.inputs) this.appendCopies(t, split.backend, result);
    }
    for (const leaf of this.graph.leafs) {
      result.leafs.push(leaf);
      result.leafBackends.push(leaf.backend);
    }
    return result;
  }

  private appendSplit(split: Split, result: Schedule, keep: ReadonlyMap<number, GraphTensor[]>): void {
    const push = (node: GraphTensor, backend: number) => {
      result.nodes.push(node);
      result.nodeBackends.push(backend);
    };
    for (const t of split.inputs) {
      // A node that only keeps the source until the copy is made.
      push(this.holder([t]), t.backend);
      push(this.copiesOf.get(this.key(t, split.backend))![0]!, split.backend);
    }
    for (let i = split.start; i < split.end; i++) {
      const node = this.graph.nodes[i]!;
      push(node, node.backend);
      const kept = keep.get(node.id);
      if (kept)
        for (let k = 0; k < kept.length; k += maxSources)
          push(this.holder(kept.slice(k, k + maxSources)), split.backend);
    }
  }

  private holder(src: GraphTensor[]): GraphTensor {
    const [t] = src as [GraphTensor];
    return this.graph.tensor({ type: t.type, ne: t.ne, nb: t.nb, src, viewSrc: t });
  }

  private appendCopies(t: GraphTensor, backend: number, result: Schedule): void {
    for (const copy of this.copiesOf.get(this.key(t, backend))!) {
      result.leafs.push(copy);
      result.leafBackends.push(backend);
    }
  }
}

/** GGML_MAX_SRC. */
const maxSources = 10;
