// The header of one GGUF file, exactly: metadata and tensors, never the data. Law: docs/gguf.md of ggml; what llama.cpp's own reader
// (ggml/src/gguf.cpp) refuses is refused here, and every count and length has a limit with a name. An own reader and not
// @huggingface/gguf (0.4.6): that one takes 2 to 4 seconds for a vocabulary of 262,144, and reads zeros where a file is cut off.
import { type GgmlType, ggmlTypes, tensorBytes } from '../spec/ggml-types.ts';
import type { GgufScalar, GgufTensor, GgufValue } from '../spec/gguf.ts';
import { alignUp } from '../units.ts';
import { GgufBytes } from './gguf-bytes.ts';
import { printable } from './names.ts';

/** Real headers: up to 1,500 tensors, 100 keys, 15 MiB, nearly all of it the vocabulary. */
const limits = {
  headerBytes: 128 * 2 ** 20,
  tensors: 100_000,
  keys: 10_000,
  /** The format's own (docs/gguf.md). */
  keyBytes: 65_535,
  /** Longer texts, e.g. chat templates, are passed over. */
  textBytes: 4096,
  /** Longer arrays, and all of the tokenizer's, are passed over. */
  keptItems: 4096,
  /** GGML_MAX_NAME, less the zero at the end. */
  nameBytes: 63,
  /** GGML_MAX_DIMS. */
  dimensions: 4,
  dimension: 2 ** 40,
} as const;

const scalarTypes = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'text',
  'array',
  'u64',
  'i64',
  'f64',
] as const;
type ScalarType = Exclude<(typeof scalarTypes)[number], 'array'>;
const widths = { u8: 1, i8: 1, bool: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, u64: 8, i64: 8, f64: 8 } as const;

const typeOfId = new Map<number, GgmlType>(
  (Object.keys(ggmlTypes) as GgmlType[]).map((type) => [ggmlTypes[type].id, type]),
);

export interface GgufHeader {
  keys: ReadonlyMap<string, GgufValue>;
  /** Items of the arrays that were passed over, 0 for a text. */
  lengths: ReadonlyMap<string, number>;
  tensors: readonly GgufTensor[];
  /** Where the tensor data begins. */
  dataStart: number;
  /** Bytes of tensor data, padding included. */
  dataBytes: number;
  /** Padding behind the last tensor, which a file may lack. */
  lastPadding: number;
}

/** Throws what `broken` makes of the reason. */
export function readGgufHeader(handle: number, fileBytes: number, broken: (reason: string) => Error): GgufHeader {
  const bytes = new GgufBytes(handle, { fileBytes, ...limits }, broken);
  checkStart(bytes, broken);
  const tensorCount = counted(bytes.u64(), limits.tensors, 'tensors', broken);
  const keyCount = counted(bytes.u64(), limits.keys, 'keys', broken);
  const keys = new Map<string, GgufValue>();
  const lengths = new Map<string, number>();
  let alignment = 32;
  for (let i = 0; i < keyCount; i++) {
    bytes.part = `key ${i + 1} of ${keyCount}`;
    const key = bytes.text(limits.keyBytes);
    if (key === '' || keys.has(key) || lengths.has(key))
      throw broken(key === '' ? `${bytes.part} has no name` : `the key ${printable(key)} is there twice`);
    const type = typeNamed(bytes.u32(), key, broken);
    if (key === 'general.alignment') alignment = checkedAlignment(type, bytes, broken);
    else if (type === 'array') readArray(key, bytes, { keys, lengths }, broken);
    else keep(key, readScalar(type, bytes), { keys, lengths });
  }
  const { tensors, dataBytes, lastPadding } = readTensors(bytes, tensorCount, alignment, broken);
  return { keys, lengths, tensors, dataStart: alignUp(bytes.position, alignment), dataBytes, lastPadding };
}

type Broken = (reason: string) => Error;
interface Kept {
  keys: Map<string, GgufValue>;
  lengths: Map<string, number>;
}

/** Magic and version. Version 1 had 32-bit lengths (August 2023); llama.cpp no longer reads it. */
function checkStart(bytes: GgufBytes, broken: Broken): void {
  const magic = String.fromCharCode(bytes.u8(), bytes.u8(), bytes.u8(), bytes.u8());
  if (magic !== 'GGUF') throw broken(notGguf(magic));
  const version = bytes.u32();
  if (version === 2 || version === 3) return;
  if (version !== 0 && (version & 0xffff) === 0)
    throw broken('it is big-endian; llama.cpp does not load it on a little-endian machine: convert it');
  if (version === 1) throw broken('GGUF version 1 is no longer read by llama.cpp: convert the model again');
  throw broken(`GGUF version ${version} is unknown (2 and 3 are read)`);
}

function notGguf(magic: string): string {
  if (['lmgg', 'fmgg', 'tjgg'].includes(magic)) return 'a GGML file from before GGUF: convert the model again';
  if (magic === 'vers') return 'a Git LFS pointer, not the file itself: fetch it with git lfs pull';
  return `no GGUF file: it begins with ${JSON.stringify(printable(magic))}`;
}

function counted(count: number, limit: number, what: string, broken: Broken): number {
  if (count > limit) throw broken(`it claims ${count} ${what} (limit ${limit})`);
  return count;
}

function typeNamed(id: number, key: string, broken: Broken): (typeof scalarTypes)[number] {
  const type = scalarTypes[id];
  if (type === undefined) throw broken(`the key ${printable(key)} has the unknown type ${id}`);
  return type;
}

function checkedAlignment(type: string, bytes: GgufBytes, broken: Broken): number {
  if (type !== 'u32') throw broken(`general.alignment is of type ${type}, not u32`);
  const alignment = bytes.u32();
  if (alignment === 0 || !Number.isInteger(Math.log2(alignment)))
    throw broken(`general.alignment is ${alignment}, no power of two`);
  return alignment;
}

function readScalar(type: ScalarType, bytes: GgufBytes): GgufScalar | undefined {
  if (type === 'text') return bytes.shortText();
  return type === 'bool' ? bytes.u8() !== 0 : bytes[type]();
}

function keep(key: string, value: GgufValue | undefined, { keys, lengths }: Kept): void {
  if (value === undefined) lengths.set(key, 0);
  else keys.set(key, value);
}

function readArray(key: string, bytes: GgufBytes, kept: Kept, broken: Broken): void {
  const type = typeNamed(bytes.u32(), key, broken);
  if (type === 'array') throw broken(`the key ${printable(key)} is an array of arrays`);
  const length = bytes.u64();
  if (length > limits.keptItems || key.startsWith('tokenizer.')) {
    if (type === 'text') bytes.skipTexts(length);
    else bytes.skip(length * widths[type]);
    kept.lengths.set(key, length);
    return;
  }
  const items: GgufScalar[] = [];
  for (let i = 0; i < length; i++) items.push(readScalar(type, bytes) ?? '');
  kept.keys.set(key, items);
}

/** Tensors must follow each other in the data without gaps but the padding, as llama.cpp demands. */
function readTensors(bytes: GgufBytes, count: number, alignment: number, broken: Broken) {
  const tensors: GgufTensor[] = [];
  const names = new Set<string>();
  let dataBytes = 0;
  let lastPadding = 0;
  for (let i = 0; i < count; i++) {
    bytes.part = `tensor ${i + 1} of ${count}`;
    const tensor = readTensor(bytes, broken);
    const shown = printable(tensor.name);
    if (names.has(tensor.name)) throw broken(`the tensor ${shown} is there twice`);
    names.add(tensor.name);
    const offset = bytes.u64();
    if (offset !== dataBytes) throw broken(`the tensor ${shown} is at ${offset} of the data, not at ${dataBytes}`);
    const size = tensorBytes(tensor.type, tensor.ne);
    dataBytes += alignUp(size, alignment);
    lastPadding = alignUp(size, alignment) - size;
    if (!Number.isSafeInteger(dataBytes)) throw broken(`the tensor ${shown} [${tensor.ne}] is larger than any file`);
    tensors.push(tensor);
  }
  return { tensors, dataBytes, lastPadding };
}

function readTensor(bytes: GgufBytes, broken: Broken): GgufTensor {
  const name = bytes.text(limits.nameBytes);
  const shown = printable(name);
  const dimensions = bytes.u32();
  if (dimensions > limits.dimensions) throw broken(`the tensor ${shown} has ${dimensions} dimensions (limit 4)`);
  const ne: number[] = [];
  for (let i = 0; i < dimensions; i++) ne.push(bytes.u64());
  const wrong = ne.find((length) => length < 1 || length > limits.dimension);
  if (wrong !== undefined)
    throw broken(`the tensor ${shown} has a dimension of ${wrong} (1 to ${limits.dimension} are possible)`);
  const id = bytes.u32();
  const type = typeOfId.get(id);
  if (type === undefined) throw broken(`the tensor ${shown} has the type ${id}, which llama.cpp does not know`);
  const { block } = ggmlTypes[type];
  const row = ne[0] ?? 1;
  if (row % block !== 0)
    throw broken(`the tensor ${shown} has rows of ${row}, no whole number of ${type} blocks (${block})`);
  return { name, ne: ne.length === 0 ? [1] : ne, type };
}
