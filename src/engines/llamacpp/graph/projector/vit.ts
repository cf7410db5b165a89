// A vision transformer's graph as clip.cpp builds it: the picture's patches, blocks of attention and feed-forward networks, norms.
// Weights are looked up by their names in the projector's file. Law: tools/mtmd/clip.cpp (clip_graph::build_vit, build_attn, ...).
import { assert } from '../../../../assert.ts';
import type { GgufModel, GgufTensor } from '../../../../spec/gguf.ts';
import { GraphOps } from '../ops.ts';
import type { GraphTensor, Quad } from '../tensor.ts';

export type NormKind = 'rms' | 'layer';

export interface VitSizes {
  /** Side of the picture in pixels, and of its patches. */
  imageSize: number;
  patchSize: number;
  /** Patches of a side that become one token. */
  merge: number;
  embd: number;
  heads: number;
  kvHeads: number;
  blocks: number;
  /** Of the language model's embeddings. */
  projected: number;
}

export interface VitParts {
  positions: number;
  kind: NormKind;
  /** Added to the patches. */
  learned?: GraphTensor;
  rotate?: (x: GraphTensor) => GraphTensor;
  /** The mask of a block's attention. */
  mask?: (block: number) => GraphTensor | undefined;
  /** V is normed as well. */
  normsV?: boolean;
  afterBlock?: (x: GraphTensor, block: number) => void;
  /** Blocks that run; default: all. */
  blocks?: number;
}

export class Vit extends GraphOps {
  private readonly weights = new Map<string, GraphTensor>();
  private readonly byName: ReadonlyMap<string, GgufTensor>;
  /** Patches of a side, and in all. */
  readonly side: number;
  readonly patches: number;
  readonly headSize: number;

  constructor(
    readonly model: GgufModel,
    readonly sizes: VitSizes,
    readonly flash: boolean,
    private readonly place: 'cpu' | 0,
    readonly activation: string,
  ) {
    super();
    this.byName = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
    this.side = Math.floor(sizes.imageSize / sizes.patchSize);
    this.patches = this.side * this.side;
    this.headSize = Math.floor(sizes.embd / Math.max(1, sizes.heads));
  }

  optional(name: string): GraphTensor | undefined {
    const known = this.weights.get(name);
    if (known) return known;
    const tensor = this.byName.get(name);
    if (!tensor) return undefined;
    const ne: Quad = [tensor.ne[0] ?? 1, tensor.ne[1] ?? 1, tensor.ne[2] ?? 1, tensor.ne[3] ?? 1];
    const weight = this.tensor({ type: tensor.type, ne });
    weight.place = this.place;
    weight.weight = true;
    this.weights.set(name, weight);
    return weight;
  }

  weight(name: string): GraphTensor {
    const weight = this.optional(name);
    assert(weight, `the projector has no tensor ${name}`);
    return weight;
  }

  // Parts.

  picture(): GraphTensor {
    return this.inputTensor('f32', this.sizes.imageSize, this.sizes.imageSize, 3, 1);
  }

  /** build_inp: a row for each patch. */
  patchRows(picture = this.picture()): GraphTensor {
    const { patchSize, embd } = this.sizes;
    const t = this.conv2d(this.weight('v.patch_embd.weight'), picture, patchSize);
    const rows = this.cont(this.transpose(this.reshape(t, this.patches, embd, 1)));
    const bias = this.optional('v.patch_embd.bias');
    return bias ? this.add(rows, bias) : rows;
  }

  normed(x: GraphTensor, name: string, kind: NormKind): GraphTensor {
    let t = kind === 'rms' ? this.rmsNorm(x) : this.norm(x);
    const weight = this.optional(`${name}.weight`);
    if (weight) t = this.mul(t, weight);
    const bias = this.optional(`${name}.bias`);
    return bias ? this.add(t, bias) : t;
  }

  linear(x: GraphTensor, name: string): GraphTensor {
    const t = this.multiplied(x, name);
    const bias = this.optional(`${name}.bias`);
    return bias ? this.add(t, bias) : t;
  }

  /** The product, its operands bounded where the file says so (Gemma 4). */
  private multiplied(x: GraphTensor, name: string): GraphTensor {
    const weight = this.weight(`${name}.weight`);
    if (!this.optional(`${name}.input_max`)) return this.mulMat(weight, x);
    const bounded = (t: GraphTensor) => this.tensor({ op: 'clamp', type: t.type, ne: t.ne, src: [t] });
    return bounded(this.mulMat(weight, bounded(x)));
  }

  ffn(x: GraphTensor, names: { up: string; gate?: string; down: string }, activation: string): GraphTensor {
    const up = this.linear(x, names.up);
    const gate = names.gate !== undefined && this.optional(`${names.gate}.weight`) ? this.linear(x, names.gate) : null;
    const inner = gate ? this.glu(activation === 'silu' ? 'swiglu' : 'geglu', gate, up) : this.unary(activation, up);
    return this.linear(inner, names.down);
  }

  /** build_vit. */
  transformer(given: GraphTensor, parts: VitParts): GraphTensor {
    const { kind, learned, positions } = parts;
    let x = learned ? this.add(given, learned) : given;
    x = this.reshape(x, this.sizes.embd, positions);
    if (this.optional('v.pre_ln.weight')) x = this.normed(x, 'v.pre_ln', kind);
    for (let block = 0; block < (parts.blocks ?? this.sizes.blocks); block++) {
      x = this.block(x, block, parts);
      parts.afterBlock?.(x, block);
    }
    return this.optional('v.post_ln.weight') ? this.normed(x, 'v.post_ln', kind) : x;
  }

  private block(x: GraphTensor, block: number, parts: VitParts): GraphTensor {
    const { kind } = parts;
    const at = `v.blk.${block}.`;
    let t = this.attended(this.normed(x, `${at}ln1`, kind), block, parts);
    const scaled = (name: string): void => {
      const scale = this.optional(`${at}${name}.weight`);
      if (scale) t = this.mul(t, scale);
    };
    scaled('ls1');
    if (this.optional(`${at}attn_post_norm.weight`)) t = this.normed(t, `${at}attn_post_norm`, kind);
    const sum = this.add(t, x);
    const names = { up: `${at}ffn_up`, gate: `${at}ffn_gate`, down: `${at}ffn_down` };
    t = this.ffn(this.normed(sum, `${at}ln2`, kind), names, this.activation);
    if (this.optional(`${at}ffn_post_norm.weight`)) t = this.normed(t, `${at}ffn_post_norm`, kind);
    scaled('ls2');
    t = this.add(sum, t);
    scaled('out_scale');
    return t;
  }

  private attended(x: GraphTensor, block: number, parts: VitParts): GraphTensor {
    const at = `v.blk.${block}.`;
    let { q, k, v } = this.projections(x, at, parts);
    if (parts.rotate) {
      q = parts.rotate(q);
      k = parts.rotate(k);
    }
    if (parts.normsV) v = this.rmsNorm(v);
    for (const t of [q, k, v]) this.expand(t);
    const mask = parts.mask?.(block);
    return this.linear(this.flash ? this.flashed(q, k, v, mask) : this.scored(q, k, v, mask), `${at}attn_out`);
  }

  private projections(x: GraphTensor, at: string, { kind, positions }: VitParts) {
    const { heads, kvHeads } = this.sizes;
    const size = this.headSize;
    const perHead = (t: GraphTensor, name: string): GraphTensor =>
      this.optional(`${at}${name}.weight`) ? this.normed(t, `${at}${name}`, kind) : t;
    if (this.optional(`${at}attn_qkv.weight`)) {
      const all = this.linear(x, `${at}attn_qkv`);
      const part = (count: number, from: number): GraphTensor =>
        this.view(all, {
          ne: [size, count, positions, 1],
          nb: [this.rowSize(all.type, size), all.nb[1], all.nb[1] * positions],
          offset: this.rowSize(all.type, from * size),
        });
      const [q, k, v] = [part(heads, 0), part(kvHeads, heads), part(kvHeads, heads + kvHeads)];
      return { q: perHead(q, 'attn_q_norm'), k: perHead(k, 'attn_k_norm'), v };
    }
    const single = (name: string, count: number): GraphTensor =>
      this.reshape(this.linear(x, `${at}${name}`), size, count, positions, 1);
    const [q, k, v] = [single('attn_q', heads), single('attn_k', kvHeads), single('attn_v', kvHeads)];
    return { q: perHead(q, 'attn_q_norm'), k: perHead(k, 'attn_k_norm'), v };
  }

  private flashed(q: GraphTensor, k: GraphTensor, v: GraphTensor, mask?: GraphTensor): GraphTensor {
    const order = (t: GraphTensor) => this.permute(t, 0, 2, 1, 3);
    const half = (t: GraphTensor) => this.cast(t, 'f16');
    const [first, second] = [order(q), order(k)];
    const third = order(v);
    const halves = { k: half(second), v: half(third) };
    const t = this.flashAttention({ q: first, ...halves, ...(mask ? { mask: half(mask) } : {}) });
    return this.reshape(t, t.ne[0] * t.ne[1], t.ne[2] * t.ne[3]);
  }

  private scored(q: GraphTensor, k: GraphTensor, v: GraphTensor, mask?: GraphTensor): GraphTensor {
    const order = (t: GraphTensor) => this.permute(t, 0, 2, 1, 3);
    const [first, second] = [order(q), order(k)];
    const values = this.cont(this.permute(v, 1, 2, 0, 3));
    const scores = this.softMax(this.mulMat(second, first), mask);
    const t = this.permute(this.mulMat(values, scores), 0, 2, 1, 3);
    return this.cont(t, t.ne[0] * t.ne[1], t.ne[2] * t.ne[3]);
  }
}
