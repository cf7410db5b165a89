// ggml's graph allocator without memory: replays which tensor takes which part of its backend's buffer and gives it back after its
// last use, and reports how far each buffer reaches. Law: ggml/src/ggml-alloc.c.
import { ggmlTypes, isQuantized } from '../../../spec/ggml-types.ts';
import { type Flash, flashAttentionBytes } from './cuda.ts';
import type { Schedule } from './scheduler.ts';
import { type GraphTensor, type Op, sameLayout, tensorSpan } from './tensor.ts';

/** Alignment of CUDA buffers and of host buffers (CUDA_Host, CPU), bytes. */
export const cudaAlignment = 128;
export const hostAlignment = 32;

/** CUDA lets the kernels read whole rows of this many values of a quantized tensor (MATRIX_ROW_PADDING). */
const matrixRowPadding = 512;

/** Operations whose result may take over an operand's memory (ggml_op_can_inplace). */
const inPlace: ReadonlySet<Op> = new Set<Op>([
  'fill',
  'scale',
  'diag_mask_inf',
  'add',
  'add_id',
  'sub',
  'mul',
  'div',
  'sqr',
  'sqrt',
  'log',
  'unary',
  'rope',
  'rope_back',
  'rms_norm',
  'clamp',
  'soft_max',
]);

const alignUp = (bytes: number, alignment: number): number => Math.ceil(bytes / alignment) * alignment;

/**
 * One buffer's free blocks, sorted by offset; the last one has no end. Taking picks the smallest block that is large enough, the last
 * one only when no other is (ggml_dyn_tallocr).
 */
export class BlockAllocator {
  /** Bytes that were ever in use at once, counted from the start of the buffer. */
  size = 0;
  private readonly offsets: number[] = [0];
  private readonly sizes: number[] = [Number.POSITIVE_INFINITY];

  constructor(private readonly alignment: number) {}

  /** The offset of `bytes` bytes, rounded up to the alignment. */
  take(bytes: number): number {
    const need = alignUp(bytes, this.alignment);
    const { offsets, sizes } = this;
    let best = -1;
    let bestSize = Number.POSITIVE_INFINITY;
    for (let i = 0; i < sizes.length - 1; i++) {
      const size = sizes[i]!;
      if (size >= need && size <= bestSize) {
        best = i;
        bestSize = size;
      }
    }
    if (best < 0) best = sizes.length - 1;
    const offset = offsets[best]!;
    offsets[best] = offset + need;
    sizes[best] = sizes[best]! - need;
    if (sizes[best] === 0) this.remove(best);
    if (offset + need > this.size) this.size = offset + need;
    return offset;
  }

  giveBack(offset: number, bytes: number): void {
    const size = alignUp(bytes, this.alignment);
    const { offsets, sizes } = this;
    for (let i = 0; i < offsets.length; i++) {
      if (offsets[i]! + sizes[i]! === offset) {
        sizes[i] = sizes[i]! + size;
        if (i < offsets.length - 1 && offset + size === offsets[i + 1]) {
          sizes[i] = sizes[i]! + sizes[i + 1]!;
          this.remove(i + 1);
        }
        return;
      }
      if (offset + size === offsets[i]) {
        offsets[i] = offset;
        sizes[i] = sizes[i]! + size;
        if (i > 0 && offsets[i - 1]! + sizes[i - 1]! === offset) {
          sizes[i - 1] = sizes[i - 1]! + sizes[i]!;
          this.remove(i);
        }
        return;
      }
    }
    let at = 0;
    while (at < offsets.length && offsets[at]! < offset) at++;
    offsets.splice(at, 0, offset);
    sizes.splice(at, 0, size);
  }

  private remove(at: number): void {
    this.offsets.splice(at, 1);
    this.sizes.splice(at, 1);
  }
}

export interface AllocatorInput {
  schedule: Schedule;
  /** Tensors of the graph, the scheduler's copies included. */
  tensors: number;
  /** Backends; the last one is the CPU. */
  backends: number;
  flash: Flash;
  /** What an operation leaves of an operand's memory that it took over goes back. */
  returnsRest: boolean;
}

/** Bytes of each backend's compute buffer. */
export function allocate({ schedule, ...input }: AllocatorInput): number[] {
  const run = new Run(input);
  run.leafs(schedule);
  run.count(schedule);
  run.nodes(schedule);
  return run.buffers.map((b) => b.size);
}

class Run {
  readonly buffers: BlockAllocator[];
  private readonly children: Int32Array;
  private readonly views: Int32Array;
  private readonly owned: Uint8Array;
  private readonly bufferOf: Int32Array;
  private readonly offsetOf: Float64Array;

  constructor(private readonly input: Omit<AllocatorInput, 'schedule'>) {
    const { tensors, backends } = input;
    this.buffers = Array.from(
      { length: backends },
      (_, i) => new BlockAllocator(i === backends - 1 ? hostAlignment : cudaAlignment),
    );
    this.children = new Int32Array(tensors);
    this.views = new Int32Array(tensors);
    this.owned = new Uint8Array(tensors);
    this.bufferOf = new Int32Array(tensors);
    this.offsetOf = new Float64Array(tensors);
  }

  leafs({ leafs, leafBackends }: Schedule): void {
    for (let i = 0; i < leafs.length; i++) this.take(leafs[i]!, leafBackends[i]!);
  }

  /** Counts what reads each tensor, and takes memory for the graph's inputs before anything else can. */
  count({ nodes, nodeBackends }: Schedule): void {
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[i]!;
      // Nodes without an operation only hold their sources; they are no views.
      if (node.viewSrc && node.op !== 'none') this.views[node.viewSrc.id]!++;
      if (node.input) this.take(node, nodeBackends[i]!);
      for (const source of node.src) {
        this.children[source.id]!++;
        if (source.input) this.take(source, nodeBackends[i]!);
      }
    }
  }

  nodes({ nodes, nodeBackends }: Schedule): void {
    for (let i = 0; i < nodes.length; i++) {
      const node = nodes[i]!;
      const buffer = nodeBackends[i]!;
      for (const source of node.src) this.take(source, buffer);
      this.take(node, buffer);
      for (const source of node.src) this.release(source);
    }
  }

  private release(source: GraphTensor): void {
    const left = --this.children[source.id]!;
    if (left !== 0 || this.views[source.id] !== 0) return;
    const base = source.viewSrc;
    if (!base) {
      if (this.owned[source.id]) this.free(source);
      return;
    }
    const views = --this.views[base.id]!;
    if (views === 0 && this.children[base.id] === 0 && this.owned[base.id]) this.free(base);
  }

  private free(t: GraphTensor): void {
    if (t.output) return;
    const buffer = this.bufferOf[t.id]!;
    this.buffers[buffer]!.giveBack(this.offsetOf[t.id]!, this.bytes(t, buffer));
    this.owned[t.id] = 0;
  }

  private take(t: GraphTensor, buffer: number): void {
    if (t.viewSrc || t.place !== undefined || this.owned[t.id]) return;
    this.owned[t.id] = 1;
    if (inPlace.has(t.op) && this.takeOver(t)) return;
    this.bufferOf[t.id] = buffer;
    this.offsetOf[t.id] = this.buffers[buffer]!.take(this.bytes(t, buffer));
  }

  /** Takes over the memory of an operand that nothing else will read. */
  private takeOver(t: GraphTensor): boolean {
    for (const source of t.src) {
      if (!this.owned[source.id] || source.output || source.viewSrc?.output || !sameLayout(t, source)) continue;
      if (this.children[source.id] !== 1 || this.views[source.id] !== 0) continue;
      const buffer = this.bufferOf[source.id]!;
      this.bufferOf[t.id] = buffer;
      const offset = this.offsetOf[source.id]!;
      this.offsetOf[t.id] = offset;
      this.owned[source.id] = 0;
      if (this.input.returnsRest) this.shrink(buffer, offset, source, t);
      return true;
    }
    return false;
  }

  /** What the operand had more than the result needs goes back. */
  private shrink(buffer: number, offset: number, from: GraphTensor, to: GraphTensor): void {
    const alignment = buffer === this.input.backends - 1 ? hostAlignment : cudaAlignment;
    const had = alignUp(this.bytes(from, buffer), alignment);
    const needs = alignUp(this.bytes(to, buffer), alignment);
    if (had > needs) this.buffers[buffer]!.giveBack(offset + needs, had - needs);
  }

  private bytes(t: GraphTensor, buffer: number): number {
    if (buffer === this.input.backends - 1) return tensorSpan(t);
    const span = t.op === 'flash_attn_ext' ? flashAttentionBytes(t, this.input.flash) : tensorSpan(t);
    const beyond = t.ne[0] % matrixRowPadding;
    return isQuantized(t.type) && beyond !== 0
      ? span + ((matrixRowPadding - beyond) / ggmlTypes[t.type].block) * ggmlTypes[t.type].bytes
      : span;
  }
}
