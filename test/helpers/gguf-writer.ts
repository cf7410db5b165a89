// Writes GGUF files for tests: a header from metadata and a list of tensors, and after it the data as zeros, as a hole of the right
// size, or not at all. Format: docs/gguf.md of ggml; everything little-endian unless asked otherwise.
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { type GgmlType, ggmlTypes, tensorBytes } from '../../src/spec/ggml-types.ts';
import type { GgufModel } from '../../src/spec/gguf.ts';
import { alignUp } from '../../src/units.ts';

/** Numbers of the value types. */
export const valueTypes = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;
export type ValueType = keyof typeof valueTypes;

/** A value whose type matters; a plain number is u32 or f32, a list takes the type of its first item. */
export interface TypedValue {
  type: ValueType;
  /** Type of the items of an array. */
  items?: ValueType;
  value: unknown;
}
export type MetadataValue = string | number | boolean | readonly (string | number | boolean)[] | TypedValue;

export interface WrittenTensor {
  name: string;
  /** Row length first. */
  ne: readonly number[];
  type: GgmlType;
  /** Bytes from the start of the data; default: behind the one before. */
  offset?: number;
}

export interface GgufSource {
  /** Full keys, in order. */
  metadata: Readonly<Record<string, MetadataValue>>;
  tensors: readonly WrittenTensor[];
  version?: number;
  bigEndian?: boolean;
  alignment?: number;
}

/** Bytes of the header, padded to the alignment: where the tensor data begins. */
export function ggufHeader({ metadata, tensors, version = 3, bigEndian = false, alignment = 32 }: GgufSource): Buffer {
  const out = new Bytes(bigEndian, version);
  out.raw(Buffer.from('GGUF', 'latin1'));
  out.number('u32', version);
  out.size(tensors.length);
  out.size(Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) {
    out.text(key);
    const { type, items, value: plain } = typed(value);
    out.number('u32', valueTypes[type]);
    out.value(type, items, plain);
  }
  let at = 0;
  for (const tensor of tensors) {
    out.text(tensor.name);
    out.number('u32', tensor.ne.length);
    for (const length of tensor.ne) out.size(length);
    out.number('u32', ggmlTypes[tensor.type].id);
    out.number('u64', tensor.offset ?? at);
    at = (tensor.offset ?? at) + alignUp(tensorBytes(tensor.type, tensor.ne), alignment);
  }
  const header = out.done();
  return Buffer.concat([header, Buffer.alloc(alignUp(header.length, alignment) - header.length)]);
}

/** Keys of an architecture that llama.cpp takes as f32 only (gguf-py/gguf/constants.py). */
const floatKey = /freq_base|alibi|clamp|epsilon|scale$|softcapping|scaling\.(factor|attn_factor|yarn_log_multiplier)/;

/** Keys that no size depends on and that llama.cpp insists on, for descriptions that leave them out; '' is every architecture. */
const demanded: Readonly<Record<string, Readonly<Record<string, MetadataValue>>>> = {
  '': {
    'attention.layer_norm_epsilon': { type: 'f32', value: 1e-5 },
    'attention.layer_norm_rms_epsilon': { type: 'f32', value: 1e-5 },
  },
  dbrx: { 'attention.clamp_kqv': { type: 'f32', value: 8 } },
  deepseek4: { expert_weights_scale: { type: 'f32', value: 1 } },
  mpt: { 'attention.max_alibi_bias': { type: 'f32', value: 8 } },
  qwen3vlmoe: { 'rope.dimension_sections': [24, 20, 20, 0] },
};

/** A description as a file with no tokenizer but a vocabulary's size, which llama.cpp loads. */
export function sourceOf({ architecture, metadata, tensors, vocabSize }: GgufModel): GgufSource {
  const needed = Object.entries({ ...demanded[''], ...demanded[architecture] });
  const stated = Object.entries(metadata).filter(([, value]) => value !== undefined);
  const own = stated.map(([key, value]): [string, MetadataValue] => {
    const full = /^(general|tokenizer|split)\./.test(key) ? key : `${architecture}.${key}`;
    return [full, typeof value === 'number' && floatKey.test(key) ? { type: 'f32', value } : value];
  });
  return {
    metadata: {
      'general.architecture': architecture,
      'tokenizer.ggml.model': 'no_vocab',
      [`${architecture}.vocab_size`]: vocabSize,
      'tokenizer.ggml.token_type_count': 2,
      ...Object.fromEntries(needed.map(([key, value]) => [`${architecture}.${key}`, value])),
      ...Object.fromEntries(own),
    },
    tensors,
  };
}

/** Bytes of the tensor data, padding included. */
export function ggufDataBytes({ tensors, alignment = 32 }: GgufSource): number {
  return tensors.reduce((sum, { type, ne }) => sum + alignUp(tensorBytes(type, ne), alignment), 0);
}

/** Writes a file; its data is a hole, so that a file of real size costs no disk. Returns its size in bytes. */
export function writeGguf(path: string, source: GgufSource, options: { data?: boolean } = {}): number {
  const header = ggufHeader(source);
  const size = header.length + (options.data === false ? 0 : ggufDataBytes(source));
  const handle = openSync(path, 'w');
  try {
    writeSync(handle, header);
    ftruncateSync(handle, size);
  } finally {
    closeSync(handle);
  }
  return size;
}

function typed(value: MetadataValue): TypedValue {
  if (typeof value === 'string') return { type: 'string', value };
  if (typeof value === 'boolean') return { type: 'bool', value };
  if (typeof value === 'number') return { type: numberType(value), value };
  if (!Array.isArray(value)) return value as TypedValue;
  const [first = 0] = value;
  const items = value.some((item) => typeof item === 'number' && !Number.isInteger(item)) ? 'f32' : typed(first).type;
  return { type: 'array', items: items === 'u32' ? 'i32' : items, value };
}

function numberType(value: number): ValueType {
  if (!Number.isInteger(value)) return 'f32';
  return value < 0 ? 'i32' : 'u32';
}

/** A growing buffer in one byte order and one version's width of sizes. */
class Bytes {
  private buffer = Buffer.alloc(2 ** 16);
  private length = 0;
  private readonly bigEndian: boolean;
  private readonly version: number;

  constructor(bigEndian: boolean, version: number) {
    this.bigEndian = bigEndian;
    this.version = version;
  }

  done(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  raw(bytes: Buffer): void {
    const at = this.room(bytes.length);
    bytes.copy(this.buffer, at);
  }

  text(text: string): void {
    const bytes = Buffer.from(text, 'utf8');
    this.size(bytes.length);
    this.raw(bytes);
  }

  /** Lengths and counts: 32 bits in version 1. */
  size(value: number): void {
    this.number(this.version === 1 ? 'u32' : 'u64', value);
  }

  value(type: ValueType, items: ValueType | undefined, value: unknown): void {
    if (type === 'string') this.text(value as string);
    else if (type === 'array') this.list(items ?? 'u32', value as unknown[]);
    else this.number(type, value as number | bigint | boolean);
  }

  private list(items: ValueType, list: readonly unknown[]): void {
    this.number('u32', valueTypes[items]);
    this.size(list.length);
    for (const item of list) {
      if (items === 'array') {
        const inner = item as TypedValue;
        this.value('array', inner.items, inner.value);
      } else this.value(items, undefined, item);
    }
  }

  number(type: Exclude<ValueType, 'string' | 'array'>, value: number | bigint | boolean): void {
    const width = widths[type];
    const at = this.room(width);
    const view = new DataView(this.buffer.buffer, this.buffer.byteOffset);
    const little = !this.bigEndian;
    if (type === 'f32') view.setFloat32(at, Number(value), little);
    else if (type === 'f64') view.setFloat64(at, Number(value), little);
    else if (width === 8) view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), little);
    else if (width === 4) view.setUint32(at, Number(value) >>> 0, little);
    else if (width === 2) view.setUint16(at, Number(value) & 0xffff, little);
    else view.setUint8(at, Number(value) & 0xff);
  }

  private room(bytes: number): number {
    const at = this.length;
    this.length += bytes;
    if (this.length > this.buffer.length) {
      const next = Buffer.alloc(Math.max(this.length, 2 * this.buffer.length));
      this.buffer.copy(next, 0, 0, at);
      this.buffer = next;
    }
    return at;
  }
}

const widths = { u8: 1, i8: 1, bool: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, u64: 8, i64: 8, f64: 8 } as const;
