// Reads the headers of safetensors files exactly: names, types, shapes and bytes of every tensor, never the data. A file is
// 8 bytes of header length, a JSON header, then the tensors without gaps (safetensors README, "Format"). Everything a hostile
// or cut-off file could claim is checked against the file's size; limits have names.
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type InputError, inputError } from '../diagnostics.ts';
import { fileError, type LoadContext, readText } from './context.ts';
import { parseJsonObject } from './json.ts';
import { printable } from './names.ts';

/** The format's own limit on the header. */
const maxHeaderBytes = 100_000_000;
const maxTensors = 2_000_000;
const maxShards = 2_000;

/** Bits of one element. */
const dtypeBits: Readonly<Record<string, number>> = {
  BOOL: 8,
  U8: 8,
  I8: 8,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  I64: 64,
  U64: 64,
  F64: 64,
  C64: 64,
};

export interface StoredTensor {
  name: string;
  dtype: string;
  shape: number[];
  bytes: number;
}

export interface Checkpoint {
  /** File names, without the directory. */
  files: string[];
  tensors: StoredTensor[];
  /** Sum over tensors. */
  bytes: number;
  bytesByDtype: Record<string, number>;
}

/** The checkpoint in a directory, or undefined when there is no safetensors file in it. */
export function readCheckpoint(directory: string, context: LoadContext, option: string): Checkpoint | undefined {
  const files = shardNames(directory, context, option);
  if (files === undefined) return undefined;
  const seen = new Map<string, string>();
  const tensors: StoredTensor[] = [];
  for (const file of files) {
    for (const tensor of readHeader(join(directory, file), option)) {
      const other = seen.get(tensor.name);
      if (other !== undefined) throw broken(file, `tensor ${printable(tensor.name)} is also in ${other}`);
      seen.set(tensor.name, file);
      tensors.push(tensor);
    }
    if (tensors.length > maxTensors) throw broken(file, `more than ${maxTensors} tensors`);
  }
  const bytesByDtype: Record<string, number> = {};
  let bytes = 0;
  for (const tensor of tensors) {
    bytes += tensor.bytes;
    bytesByDtype[tensor.dtype] = (bytesByDtype[tensor.dtype] ?? 0) + tensor.bytes;
  }
  return { files, tensors, bytes, bytesByDtype };
}

/** The files that make up the checkpoint: those of the index, else model.safetensors, else every *.safetensors. */
function shardNames(directory: string, context: LoadContext, option: string): string[] | undefined {
  const index = join(directory, 'model.safetensors.index.json');
  if (existsSync(index)) return indexedShards(directory, readText(index, context, option));
  let entries: string[];
  try {
    entries = readdirSync(directory);
  } catch (error) {
    throw fileError(error, directory, option);
  }
  if (entries.includes('model.safetensors')) return ['model.safetensors'];
  const files = entries.filter((name) => name.endsWith('.safetensors') && !name.startsWith('.')).sort();
  if (files.length > maxShards) throw broken(directory, `more than ${maxShards} safetensors files`);
  return files.length > 0 ? files : undefined;
}

function indexedShards(directory: string, text: string): string[] {
  const file = 'model.safetensors.index.json';
  const map = parseJsonObject(text, file).weight_map;
  if (typeof map !== 'object' || map === null || Array.isArray(map)) throw broken(file, 'it has no weight_map');
  const names = [...new Set(Object.values(map))];
  if (names.length > maxShards) throw broken(file, `more than ${maxShards} shards`);
  const shards = names.map((name) => {
    if (typeof name !== 'string' || name !== basename(name) || !name.endsWith('.safetensors')) {
      throw broken(file, `"${printable(String(name))}" is no shard of this directory`);
    }
    return name;
  });
  const missing = shards.filter((name) => !existsSync(join(directory, name)));
  if (missing.length > 0) {
    throw broken(file, `${missing.length} of ${shards.length} shards are missing, e.g. ${printable(missing[0]!)}`);
  }
  return shards.sort();
}

/** Tensors of one file. */
function readHeader(path: string, option = '--model'): StoredTensor[] {
  const file = basename(path);
  let handle: number;
  try {
    handle = openSync(path, 'r');
  } catch (error) {
    throw fileError(error, path, option);
  }
  try {
    const { size } = fstatSync(handle);
    if (size < 8) throw broken(file, `${size} bytes, too short for a header`);
    const length = Number(readAt(handle, 0, 8).readBigUInt64LE(0));
    if (length > maxHeaderBytes) {
      throw broken(file, `it claims a header of ${length} bytes (limit ${maxHeaderBytes}); not a safetensors file?`);
    }
    if (8 + length > size) throw broken(file, `cut off: a header of ${length} bytes in a file of ${size}`);
    const header = parseJsonObject(readAt(handle, 8, length).toString('utf8'), file);
    return checkedTensors(header, size - 8 - length, file);
  } finally {
    closeSync(handle);
  }
}

function readAt(handle: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const read = readSync(handle, buffer, done, length - done, position + done);
    if (read === 0) break;
    done += read;
  }
  return buffer;
}

/** Every tensor within the data, each as large as its shape says, no gaps and no overlaps. */
function checkedTensors(header: Record<string, unknown>, dataBytes: number, file: string): StoredTensor[] {
  const spans: { tensor: StoredTensor; begin: number; end: number }[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
    if (typeof dtype !== 'string' || !isSizes(shape) || !isSizes(offsets) || offsets.length !== 2) {
      throw broken(file, `tensor ${printable(name)} has no dtype, shape or data_offsets`);
    }
    const bits = dtypeBits[dtype];
    if (bits === undefined) throw broken(file, `tensor ${printable(name)} has the unknown type ${printable(dtype)}`);
    const [begin, end] = offsets as [number, number];
    const bytes = (shape.reduce((a, b) => a * b, 1) * bits) / 8;
    if (!Number.isSafeInteger(bytes) || bytes !== end - begin) {
      throw broken(file, `tensor ${printable(name)} ${dtype}[${shape}] does not take ${end - begin} bytes`);
    }
    if (end > dataBytes) throw broken(file, `cut off: tensor ${printable(name)} ends at ${end} of ${dataBytes} bytes`);
    spans.push({ tensor: { name, dtype, shape, bytes }, begin, end });
  }
  spans.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const { tensor, begin, end } of spans) {
    if (begin !== at) throw broken(file, `a gap or an overlap before tensor ${printable(tensor.name)}`);
    at = end;
  }
  if (at !== dataBytes) throw broken(file, `${dataBytes - at} bytes after the last tensor`);
  return spans.map(({ tensor }) => tensor);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function broken(file: string, reason: string): InputError {
  return inputError('VRAM114', `${printable(file)}: ${reason}`, { path: printable(file) });
}
