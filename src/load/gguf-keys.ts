// Looks into a GGUF description by key and by tensor name; what is of another type than expected counts as absent.
import type { GgufModel, GgufTensor } from '../spec/gguf.ts';

export class GgufKeys {
  readonly vocabSize: number;
  /** Blocks without those that only draft. */
  readonly layers: number;
  private readonly model: GgufModel;
  private readonly byName: ReadonlyMap<string, GgufTensor>;

  constructor(model: GgufModel) {
    this.model = model;
    this.vocabSize = model.vocabSize;
    this.byName = new Map(model.tensors.map((tensor) => [tensor.name, tensor]));
    this.layers = Math.max(0, (this.number('block_count') ?? 0) - (this.number('nextn_predict_layers') ?? 0));
  }

  has(tensor: string): boolean {
    return this.byName.has(tensor);
  }

  /** Dimensions of a tensor, the row length first. */
  shape(tensor: string): readonly number[] | undefined {
    return this.byName.get(tensor)?.ne;
  }

  number(key: string): number | undefined {
    const value = this.model.metadata[key];
    return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
  }

  text(key: string): string | undefined {
    const value = this.model.metadata[key];
    return typeof value === 'string' ? value : undefined;
  }

  flag(key: string): boolean | undefined {
    const value = this.model.metadata[key];
    return typeof value === 'boolean' ? value : undefined;
  }

  /** One number a block, where the key is a list. */
  list(key: string): readonly number[] | undefined {
    const value = this.model.metadata[key];
    return Array.isArray(value) ? value.map(Number) : undefined;
  }

  flags(key: string): readonly boolean[] | undefined {
    const value = this.model.metadata[key];
    return Array.isArray(value) ? value.map(Boolean) : undefined;
  }

  /** The number, or the largest of a list. */
  most(key: string): number | undefined {
    const list = this.list(key);
    return list && list.length > 0 ? list.reduce((a, b) => Math.max(a, b), 0) : this.number(key);
  }
}
